"""Lightweight components: forked from a warm parent, and the same in a fresh process."""

from pathlib import Path

import pytest
from lightweight_steps import FRESH, OBSERVED, observation, output

from cairn.client.environment import SHIM
from cairn.domain.states import ExitReason
from cairn.executors.process.executor import MAX_IDLE
from cairn.testing.executors import collect, log, run


def test_a_step_returns_its_output(executor, components):
    request = components.call("def step(a: int, b: int) -> int:\n    return a + b\n", {"a": 1, "b": 2})
    found = run(executor, request)
    assert (found.reason, found.code) == (ExitReason.EXITED, 0)
    assert output(request) == 3
    assert found.cpu_seconds > 0
    assert found.peak_memory_bytes > 1 << 20


def test_a_plain_step_is_forked_and_one_with_start_up_variables_is_not(executor, components):
    source = "def step() -> str:\n    return open('/proc/self/cmdline').read()\n"
    forked, fresh = components.call(source), components.call(source, variables=FRESH)
    run(executor, forked)
    run(executor, fresh)
    assert "launcher_main" in output(forked)
    assert "launcher_main" not in output(fresh)


def test_a_forked_step_has_the_shim_where_a_fresh_process_has_it(executor, components):
    """What sends requests may be imported at any time; the shim is imported only then."""
    source = """
        def step() -> list:
            import os, socket, sys
            return sys.path[2:]  # behind the component's place and its own
    """
    found = []
    for variables in ({}, FRESH):
        request = components.call(source, variables={"CAIRN_STEP_SHIM": str(SHIM), **variables})
        assert run(executor, request).code == 0, log(request, "stderr")
        found.append(output(request))
    forked, fresh = found
    assert forked == fresh
    assert str(SHIM) in forked


def test_steps_share_no_state(executor, components):
    source = """
        def step() -> str:
            import json, os
            seen = getattr(json, 'left_behind', 'clean') + os.environ.get('LEFT_BEHIND', '')
            json.left_behind = 'dirty'
            os.environ['LEFT_BEHIND'] = 'dirty'
            return seen
    """
    for _ in range(3):
        request = components.call(source)
        assert run(executor, request).code == 0
        assert output(request) == "clean"


def test_random_numbers_differ_between_steps(executor, components):
    requests = [
        components.call("def step() -> str:\n    import random, uuid\n    return f'{random.random()}'") for _ in "ab"
    ]
    for request in requests:
        run(executor, request)
    assert output(requests[0]) != output(requests[1])


def test_an_exception_is_the_steps_failure_and_its_traceback_shows_none_of_our_frames(executor, components):
    request = components.call("def step() -> str:\n    raise ValueError('no good')\n")
    found = run(executor, request)
    assert (found.reason, found.code) == (ExitReason.EXITED, 1)
    text = log(request, "stderr")
    assert text.endswith("ValueError: no good\n")
    assert "cairn/launcher" not in text


def test_an_environment_without_the_runtime_says_so_in_the_steps_log(executor, components, kfp_environment, tmp_path):
    import subprocess
    import sys

    import msgspec

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    bare = msgspec.structs.replace(kfp_environment, key="bare", python=str(tmp_path / "bare/bin/python"))
    request = components.call("def step() -> str:\n    return ''\n", environment=bare)
    assert run(executor, request).code == 1
    assert "No module named" in log(request, "stderr")


def test_an_interpreter_that_is_gone_is_named(executor, components, kfp_environment):
    import msgspec

    gone = msgspec.structs.replace(kfp_environment, key="gone", python="/nowhere/bin/python")
    found = run(executor, components.call("def step() -> str:\n    return ''\n", environment=gone))
    assert found.reason is ExitReason.NOT_STARTED
    assert "/nowhere/bin/python" in found.message


def test_an_interpreter_that_fails_to_start_is_reported_in_its_own_words(
    executor, components, kfp_environment, tmp_path
):
    import msgspec

    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho the library is missing >&2\nexit 4\n")
    broken.chmod(0o755)
    environment = msgspec.structs.replace(kfp_environment, key="broken", python=str(broken))
    for _ in range(2):
        found = run(executor, components.call("def step() -> str:\n    return ''\n", environment=environment))
        assert found.reason is ExitReason.NOT_STARTED
        assert "the library is missing" in found.message


@pytest.mark.parametrize("name", OBSERVED)
def test_a_forked_step_cannot_be_told_from_a_fresh_process(executor, components, name):
    inputs = {"text": "ü"} if name == "unicode" else {}
    observed = []
    for variables in ({}, FRESH):
        request = components.call(OBSERVED[name], inputs, variables=variables)
        found = run(executor, request)
        observed.append(observation(request, found))
    forked, fresh = observed
    assert forked == fresh


@pytest.mark.parametrize("variables", [{}, FRESH], ids=["forked", "fresh"])
def test_a_parameter_longer_than_a_command_line_arrives(executor, components, variables):
    source = """
        def step(text: str) -> dict:
            import os, sys
            return {'length': len(text), 'argv': sys.argv[0], 'path': sys.path[:2], 'name': __name__}
    """
    request = components.call(source, {"text": "ü" * 3_000_000}, variables=variables, log_limit_bytes=100_000)
    assert run(executor, request).code == 0
    found = output(request)
    assert found["length"] == 3_000_000
    assert found["argv"].endswith("kfp/dsl/executor_main.py")
    assert found["path"][1] == str(Path(request.directory, "work"))


def test_supervisors_beyond_need_are_let_go(executor, components):
    requests = [components.call("def step() -> str:\n    return ''\n") for _ in range(4 * MAX_IDLE)]
    for request in requests:
        executor.start(request)
    collect(executor, len(requests))
    (parent,) = executor._parents.values()
    assert len(parent.supervisors) == MAX_IDLE
