"""Words that the kernel does not pass on: the same program sees the same, or it is said which word it is."""

import json
import os
import subprocess
import sys

import pytest

from cairn.launcher.long_words import MAX_ARGUMENT, through_files, too_long

PROGRAM = """
program_path=$(mktemp -d)

printf "%s" "$0" > "$program_path/ephemeral_component.py"
_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main                         --component_module_path \
                        "$program_path/ephemeral_component.py"                         "$@"
"""
RUNTIME = """
import json, os, sys
source = open(sys.argv[2], errors="surrogateescape", newline="").read()
told = {"source": source, "arguments": sys.argv[3:], "runtime": os.environ.get("_KFP_RUNTIME"), "name": __name__}
print(json.dumps(told))
"""


@pytest.fixture
def runtime(tmp_path):
    """`runtime(words)`: what kfp's runtime is told by them."""
    package = tmp_path / "modules" / "kfp" / "dsl"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package.parent / "__init__.py").touch()
    (package / "executor_main.py").write_text(RUNTIME)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "PYTHONPATH": str(tmp_path / "modules"), "TMPDIR": str(tmp_path)}

    def run(words):
        return json.loads(subprocess.run(words, env=variables, check=True, capture_output=True, cwd=tmp_path).stdout)

    return run


@pytest.mark.parametrize("value", ["x" * 300_000, "é\r\n'\"\udce9" * 40_000], ids=["plain", "odd"])
@pytest.mark.parametrize("source", ["x = 1\r\n", "# é\r\n" * 60_000], ids=["short source", "long source"])
def test_a_python_component_is_given_values_of_any_length(runtime, tmp_path, value, source):
    words = ["sh", "-ec", PROGRAM, source, "--executor_input", value, "--function_to_execute", "f"]
    with pytest.raises(OSError, match="too long"):
        subprocess.run(words, env={})
    told = runtime(through_files(words, str(tmp_path / "component")))
    assert told == {"source": source, "arguments": words[4:], "runtime": "true", "name": "__main__"}


def test_a_program_of_the_image_with_kfps_runtime_too(runtime, tmp_path):
    (tmp_path / "module.py").write_text("x = 1\n")
    words = ["python3", "-m", "kfp.dsl.executor_main", "--component_module_path", "module.py", "x" * 300_000]
    told = runtime(through_files(words, str(tmp_path / "component")))
    assert (told["source"], told["arguments"], told["runtime"]) == ("x = 1\n", words[5:], None)


@pytest.mark.parametrize("length", [10, MAX_ARGUMENT])
def test_what_the_kernel_passes_on_is_left_alone(tmp_path, length):
    words = ["sh", "-ec", PROGRAM, "source", "x" * length]
    subprocess.run(["true", *words], check=True)
    assert through_files(words, str(tmp_path / "component")) == words
    assert not (tmp_path / "component").exists()
    assert not too_long(words, {"A": "x" * (MAX_ARGUMENT - 2)})


def test_a_command_of_the_users_own_is_left_alone_and_its_word_named(tmp_path):
    words = ["sh", "-ec", PROGRAM + "true", "source", "x" * (MAX_ARGUMENT + 1)]
    with pytest.raises(OSError, match="too long"):
        subprocess.run(words)
    assert through_files(words, str(tmp_path)) == words
    assert too_long(words, {}).startswith(f"its argument 4 has {MAX_ARGUMENT + 1} bytes")
    assert too_long(words[:1], {"BIG": "é" * MAX_ARGUMENT}).startswith("its variable BIG has")
