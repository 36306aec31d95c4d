"""Which runs a starting command says were left behind."""

import time

import pytest

from cairn.cli.driving import UNCLAIMED_SECONDS, mention_abandoned
from cairn.domain.runs import Run
from cairn.domain.states import RunState


def _run(state: RunState, age_seconds: float) -> Run:
    created = time.time_ns() // 1000 - int(age_seconds * 1e6)
    return Run(uid="1" * 8, job_id="left", pipeline_name="p", spec_digest="", state=state, create_time=created)


@pytest.mark.parametrize(
    ("state", "age", "told"),
    [
        (RunState.PENDING, 5, False),  # its own process is about to claim it
        (RunState.PENDING, UNCLAIMED_SECONDS + 5, True),
        (RunState.RUNNING, 0, True),
    ],
)
def test_only_a_run_that_its_process_has_left_is_mentioned(state, age, told, capsys) -> None:
    mention_abandoned([_run(state, age)], lambda _uid: None, "own")
    assert ("cairn runs resume 11111111" in capsys.readouterr().err) is told


def test_a_run_that_somebody_runs_is_not_mentioned(capsys) -> None:
    mention_abandoned([_run(RunState.RUNNING, 100)], lambda _uid: object(), "own")
    assert capsys.readouterr().err == ""
