"""Real uv, real interpreters, real processes."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from cairn.engine.ports import EnvironmentPlan
from cairn.environments.catalogue import READY
from cairn.environments.collection import collect, list_environments, refresh_environments, show_environment
from cairn.environments.service import UvEnvironments
from cairn.errors import EnvironmentBuildError, NotFound


def plan(spec):
    return EnvironmentPlan("comp", spec, None)


def python(environment, code):
    return subprocess.run(
        [environment.python, "-c", code], env=environment.variables, capture_output=True, text=True, check=False
    )


# Builds what `spec` says in another process; prints how many lines uv said and the environment's key.
BUILDER = """
import sys, msgspec
from cairn.config.home import Home
from cairn.config.settings import EnvironmentsSettings
from cairn.engine.ports import EnvironmentPlan
from cairn.environments.service import UvEnvironments
from cairn.environments.specification import UvSpec
home, settings, spec = sys.argv[1:]
environments = UvEnvironments(Home.open(home), msgspec.json.decode(settings, type=EnvironmentsSettings))
lines = []
found = environments.build(EnvironmentPlan("c", msgspec.json.decode(spec, type=UvSpec), None), lines.append)
print(len(lines), found.key)
"""


def start_builder(home, settings, spec):
    arguments = [str(home.root), msgspec.json.encode(settings).decode(), msgspec.json.encode(spec).decode()]
    return subprocess.Popen([sys.executable, "-c", BUILDER, *arguments], stdout=subprocess.PIPE, text=True)


def test_packages_come_with_their_dependencies_and_bare_ones_without(environments, spec):
    wanted = plan(spec("upper", bare=("kfp==2.17.0",)))
    assert environments.find(wanted) is None
    built = environments.build(wanted)
    ran = python(built, "import upper, lower, kfp.dsl, sys; print(lower.value, sys.prefix)")
    assert ran.stdout == f"1 {Path(built.python).parents[1]}\n", ran.stderr
    assert environments.find(wanted) == built


def test_another_process_finds_it_and_bytecode_is_there(environments, spec, home, settings):
    wanted = plan(spec("upper"))
    built = environments.build(wanted)
    assert UvEnvironments(home, settings).find(wanted) == built
    assert list(Path(built.python).parents[1].glob("lib/python3.*/site-packages/__pycache__/lower*.pyc"))


def test_kfp_is_brought_unless_the_packages_bring_it(environments, spec, add_wheel):
    add_wheel("kfp", "2.9.0", {"kfp.py": "old = True\n"})
    own = environments.build(plan(spec("kfp==2.9.0", brought="kfp==2.17.0")))
    assert python(own, "import kfp; print(kfp.old)").stdout == "True\n"
    brought = environments.build(plan(spec("lower", brought="kfp==2.17.0")))
    assert python(brought, "import kfp.dsl, lower").returncode == 0


def test_a_package_that_needs_kfp_is_content_with_the_pinned_one(environments, spec, add_wheel):
    add_wheel("kfp", "2.16.0", {"kfp.py": ""})
    add_wheel("plugin", "1.0", {"plugin.py": ""}, ("kfp>=2",))
    built = environments.build(plan(spec("plugin", bare=("kfp==2.16.0",))))
    lines = show_environment(environments.catalogue, built.key)[1]
    assert lines == ["kfp==2.16.0", "plugin==1.0"]


def test_equal_locks_share_one_environment(environments, spec):
    assert environments.build(plan(spec("upper"))).key == environments.build(plan(spec("upper", "lower"))).key


def test_the_order_of_resolution_is_kept_until_it_is_refreshed(environments, spec, add_wheel, home, settings):
    wanted = plan(spec("lower"))
    before = environments.build(wanted)
    add_wheel("lower", "1.1", {"lower.py": "value = 2\n"})
    assert UvEnvironments(home, settings).build(wanted) == before
    assert refresh_environments(environments.catalogue, before.key[:6]) == [
        f"python {wanted.environment_spec.python}: lower"
    ]
    after = UvEnvironments(home, settings).build(wanted)
    assert python(after, "import lower; print(lower.value)").stdout == "2\n"
    assert python(before, "import lower; print(lower.value)").stdout == "1\n"


def test_what_cannot_be_resolved_is_told_in_uvs_own_words(environments, spec):
    lines = []
    with pytest.raises(EnvironmentBuildError, match="lower") as raised:
        environments.build(plan(spec("lower==7")), lines.append)
    assert "lower==7" in str(raised.value)
    assert any("lower==7" in line for line in lines)


def test_credentials_of_an_index_appear_nowhere(home, settings, spec, monkeypatch, capfd):
    monkeypatch.delenv("UV_NO_INDEX")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "2")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    environments = UvEnvironments(home)
    url = "http://someone:pa55word@127.0.0.1:9/simple"
    lines = []
    with pytest.raises(EnvironmentBuildError) as raised:
        environments.build(plan(spec("lower", source=environments, index_url=url)), lines.append)
    assert "127.0.0.1" in str(raised.value)
    written = b"".join(path.read_bytes() for path in home.root.rglob("*") if path.is_file())
    said = str(raised.value) + "".join(lines) + "".join(capfd.readouterr())
    assert "pa55word" not in said
    assert b"pa55word" not in written


def test_many_processes_build_one_environment_once(home, settings, spec, environments):
    wanted = spec("upper", "large")
    builders = [start_builder(home, settings, wanted) for _ in range(6)]
    said = [builder.communicate(timeout=120)[0].split() for builder in builders]
    assert [builder.returncode for builder in builders] == [0] * 6
    assert len({key for _, key in said}) == 1
    assert sorted(lines == "0" for lines, _ in said) == [False, *[True] * 5]
    assert python(environments.find(plan(wanted)), "import large.module_399").returncode == 0


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.2])
def test_a_builder_killed_midway_leaves_nothing_that_is_used(home, settings, spec, environments, delay):
    wanted = spec("large")
    builder = start_builder(home, settings, wanted)
    built = environments.catalogue.built
    deadline = time.monotonic() + 60
    while not (built.is_dir() and list(built.iterdir())):
        assert time.monotonic() < deadline
        assert builder.poll() is None
        time.sleep(0.001)
    time.sleep(delay)
    was_ready = any(built.glob(f"*/{READY}"))
    builder.send_signal(signal.SIGKILL)
    builder.communicate()
    if not was_ready:
        assert environments.catalogue.record(wanted.key) is None
    after = environments.build(plan(wanted))
    assert python(after, "import large.module_399, large.module_0").returncode == 0
    assert len(list(built.iterdir())) == 1


def test_an_environment_in_use_is_not_collected_and_locks_are_kept(environments, spec, home, settings):
    holder = start_holder(home, settings, spec("lower"))
    try:
        key = holder.stdout.readline().strip()
        environments.build(plan(spec("upper")))
        assert [info.in_use for info in list_environments(environments.catalogue)] == [True, True]
        other = UvEnvironments(home, settings)
        assert collect(other.catalogue, older_than=-1).environments == ()
    finally:
        holder.kill()
        holder.communicate()
    collected = collect(environments.catalogue, older_than=-1)
    assert collected.environments == (key,)
    assert collected.bytes_freed > 0
    assert environments.catalogue.lock_file(spec("lower").key).exists()
    assert environments.build(plan(spec("lower"))).key == key


def start_holder(home, settings, spec):
    code = BUILDER.replace("print(len(lines), found.key)", "print(found.key, flush=True); sys.stdin.read()")
    arguments = [str(home.root), msgspec.json.encode(settings).decode(), msgspec.json.encode(spec).decode()]
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )


def test_a_recently_used_environment_and_one_that_is_kept_are_not_collected(home, settings, spec):
    environments = UvEnvironments(home, settings)
    key = environments.build(plan(spec("lower"))).key
    environments._holding.close()
    assert collect(environments.catalogue, older_than=3600).environments == ()
    assert collect(environments.catalogue, older_than=-1, keep={key}).environments == ()
    assert collect(environments.catalogue, older_than=-1).environments == (key,)


def test_an_environment_removed_by_hand_is_built_again(environments, spec):
    wanted = plan(spec("lower"))
    directory = Path(environments.build(wanted).python).parents[1]
    shutil.rmtree(directory)
    assert environments.find(wanted) is None
    assert python(environments.build(wanted), "import lower").returncode == 0


def test_an_environment_whose_interpreter_is_gone_is_not_ready(environments, spec):
    wanted = plan(spec("lower"))
    interpreter = Path(environments.build(wanted).python)
    interpreter.unlink()
    interpreter.symlink_to("/nowhere/python3")
    assert environments.find(wanted) is None
    assert python(environments.build(wanted), "import lower").returncode == 0


def test_a_python_that_is_missing_is_replaced_with_a_warning(environments, spec):
    built = environments.build(plan(spec("lower", python="3.99")))
    assert "3.99" in built.warnings[0]
    assert python(built, "import lower").returncode == 0


def test_an_unknown_environment_is_not_shown(environments):
    with pytest.raises(NotFound):
        show_environment(environments.catalogue, "abc")


def test_an_environment_removed_while_another_process_uses_it_is_built_again(environments, spec, home, settings):
    wanted = plan(spec("lower"))
    holder = start_holder(home, settings, spec("lower"))
    try:
        key = holder.stdout.readline().strip()
        shutil.rmtree(environments.catalogue.directory(key))
        assert python(environments.build(wanted), "import lower").returncode == 0
    finally:
        holder.kill()
        holder.communicate()
