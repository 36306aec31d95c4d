"""Requests are admission, limits are ceilings; what exceeds the machine is capped with a warning, or refused."""

import pytest

pytestmark = pytest.mark.network


def test_requests_may_come_from_parameters_and_from_upstream(cli) -> None:
    outcome = cli.run("requests", parameters={"cpu": "1", "memory": "300Mi"})
    assert outcome.exit == 0, outcome
    assert outcome.outputs == {"fixed": "1", "given": "1"}  # thread counts follow the CPU limit
    assert outcome.warnings == ""


def test_a_quantity_that_is_none_fails_the_task_and_is_shown(cli) -> None:
    outcome = cli.run("requests", parameters={"memory": "plenty"})
    assert outcome.exit == 1, outcome
    assert outcome.states["threads"] == "SUCCEEDED"
    assert "plenty" in outcome.task("threads-2")["error"]["message"]


def test_what_the_machine_lacks_is_capped_with_a_warning(cli) -> None:
    outcome = cli.run("too_much")
    assert outcome.exit == 0, outcome
    for what in ("500 cores", "900 GiB", "2 devices"):
        assert what in outcome.warnings, outcome.warnings


def test_strict_refuses_it_before_the_start(cli) -> None:
    outcome = cli.run("too_much", "--strict")
    assert (outcome.exit, outcome.state) == (2, "REJECTED"), outcome
    assert "500 cores" in outcome.stderr
    later = cli.run("too_much_from_upstream", "--strict")
    assert (later.exit, later.states) == (1, {"text": "SUCCEEDED", "threads": "FAILED"}), later
    assert "500 cores" in later.task("threads")["error"]["message"]


def test_a_step_that_exceeds_its_memory_is_ended_and_that_is_said(cli) -> None:
    outcome = cli.run("memory_exceeded")
    assert (outcome.exit, outcome.state) == (1, "FAILED"), outcome
    assert outcome.task("fill")["error"]["kind"] == "OutOfMemory"
    assert "memory" in outcome.stderr
