"""Python sources compiled by the real kfp, in an environment of their own.

CAIRN_TEST_KFP_PYTHON names an interpreter that has kfp; without it uv makes one from the package index.
"""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cairn.errors import CompileError
from cairn.spec.compile import compile_source
from cairn.spec.load import load_text

pytestmark = pytest.mark.network

STEP = """
from kfp import dsl

@dsl.component
def add(a: int, b: int = 1) -> int:
    return a + b
"""


@pytest.fixture(scope="session")
def kfp_python(tmp_path_factory, missing_service):
    given = os.environ.get("CAIRN_TEST_KFP_PYTHON")
    if given:
        return given
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    directory = tmp_path_factory.mktemp("kfp")
    made = uv and subprocess.run([uv, "venv", "-q", "-p", "3.11", directory], check=False).returncode == 0
    python = str(directory / "bin" / "python")
    if not made or subprocess.run([uv, "pip", "install", "-q", "-p", python, "kfp==2.17.0"], check=False).returncode:
        missing_service("kfp", "set CAIRN_TEST_KFP_PYTHON")
    return python


@pytest.fixture
def write(tmp_path):
    def written(text, name="pipeline.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return written


def test_the_only_pipeline_is_compiled_with_its_neighbours_importable(write, kfp_python):
    write("START = 3\n", "settings_of_mine.py")
    path = write(
        STEP
        + """
from settings_of_mine import START
print("hello from the file")

@dsl.pipeline(name="only")
def only(a: int = START) -> int:
    return add(a=a).output
"""
    )
    pipeline = load_text(compile_source(path, python=kfp_python).text, origin=str(path))
    assert pipeline.name == "only"
    assert pipeline.root.input_parameters["a"].default == 3


def test_a_single_component_is_a_pipeline(write, kfp_python):
    pipeline = load_text(compile_source(write(STEP), python=kfp_python).text, origin="x")
    assert list(pipeline.root.dag.tasks) == ["add"]


def test_one_of_several_is_chosen_by_name(write, kfp_python):
    path = write(STEP + "".join(f"@dsl.pipeline(name='p-{n}')\ndef {n}():\n    add(a=1)\n" for n in ("one", "two")))
    assert load_text(compile_source(path, function="two", python=kfp_python).text, origin="x").name == "p-two"
    with pytest.raises(CompileError, match="defines several pipelines") as raised:
        compile_source(path, python=kfp_python)
    assert "pipeline.py:one, pipeline.py:two" in raised.value.remedy
    with pytest.raises(CompileError, match="'three'"):
        compile_source(path, function="three", python=kfp_python)


def test_kfps_refusal_points_at_the_users_line(write, kfp_python):
    path = write(STEP + "\n@dsl.pipeline\ndef broken(a: str = 'x'):\n    add(a=a)\n")
    with pytest.raises(CompileError) as raised:
        compile_source(path, python=kfp_python)
    line = path.read_text().splitlines().index("    add(a=a)") + 1
    assert raised.value.place == f"{path}:{line}"
    assert "InconsistentTypeException" in raised.value.message
    assert "site-packages" not in raised.value.message
    with pytest.raises(CompileError, match="site-packages"):
        compile_source(path, python=kfp_python, traceback=True)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("from kfp import dsl\ndef f(:\n", 2, "SyntaxError"),
        ("x = 1\nraise ValueError('boo')\n", 2, "ValueError: boo"),
        ("import sys\nsys.exit(3)\n", 2, "sys.exit"),
        ("import nowhere_to_be_found\n", 1, "nowhere_to_be_found"),
    ],
)
def test_a_file_that_cannot_be_imported_is_placed(write, kfp_python, text, line, words):
    path = write(text)
    with pytest.raises(CompileError, match=words) as raised:
        compile_source(path, python=kfp_python)
    assert raised.value.place == f"{path}:{line}"
    assert raised.value.exit_status == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n", "defines no pipeline"),
        ("import os\nos._exit(3)\n", "status 3"),
        ("import time\ntime.sleep(60)", "5 s"),
    ],
)
def test_a_file_that_gives_no_pipeline_is_refused(write, kfp_python, text, words):
    with pytest.raises(CompileError, match=words):
        compile_source(write(text), python=kfp_python, timeout_seconds=5)


def test_an_environment_without_kfp_is_named(write):
    with pytest.raises(CompileError, match="has no kfp"):
        compile_source(write("x = 1\n"), python=sys.executable)
    with pytest.raises(CompileError, match="cannot be run"):
        compile_source(write("x = 1\n"), python="/nowhere/python")


def test_kfps_word_on_its_default_image_is_left_out_and_other_warnings_are_not(write, kfp_python, capfd, monkeypatch):
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    own = """
    import warnings
    warnings.warn("my own word", FutureWarning)

    @dsl.pipeline
    def sums():
        add(a=1)
    """
    compile_source(write(STEP + textwrap.dedent(own)), python=kfp_python)
    said = capfd.readouterr().err
    assert "my own word" in said
    assert "base_image" not in said


FACTORY = (
    STEP
    + """
def build(cfg):
    @dsl.pipeline(name="made-" + cfg["name"])
    def made():
        for number in range(cfg["steps"]):
            add(a=number)
    return made

def settings(config):  # beside components, one that makes no pipeline is passed over
    return config
"""
)


def test_a_function_makes_the_pipeline_of_a_configuration(write, kfp_python):
    path = write(FACTORY)
    made = compile_source(path, python=kfp_python, configuration={"name": "x", "steps": 2})
    pipeline = load_text(made.text, origin="x")
    assert (pipeline.name, len(pipeline.root.dag.tasks), made.configured) == ("made-x", 2, True)
    alone = compile_source(path, function="add", python=kfp_python, configuration={"name": "x"})
    assert not alone.configured
    with pytest.raises(CompileError, match="build makes the pipeline of a configuration, and none is given") as caught:
        compile_source(path, python=kfp_python)
    assert "--config-dir" in caught.value.remedy


def test_a_function_that_makes_no_pipeline_is_refused(write, kfp_python):
    path = write(FACTORY)
    with pytest.raises(CompileError, match="settings returned dict, no pipeline"):
        compile_source(path, function="settings", python=kfp_python, configuration={})
    with pytest.raises(CompileError, match="KeyError: 'name'") as caught:
        compile_source(path, function="build", python=kfp_python, configuration={})
    assert caught.value.place == f"{path}:9"
