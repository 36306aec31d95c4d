"""What a run is called where a person reads of it, and the commands of its noun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cairn.domain.runs import RunKind

if TYPE_CHECKING:
    from cairn.domain.runs import Run

_NOUNS = {
    RunKind.PIPELINE: "run",
    RunKind.CUSTOM_JOB: "job",
    RunKind.TRAINING_PIPELINE: "job",
    RunKind.TRIAL: "trial",
    RunKind.TUNING_JOB: "tuning job",
}
_JOBS = (RunKind.CUSTOM_JOB, RunKind.TRAINING_PIPELINE, RunKind.TRIAL)


def noun(run: Run) -> str:
    return _NOUNS[run.kind]


def show_command(run: Run) -> str:
    """What has all of it. A tuning job's study has its id."""
    if run.kind is RunKind.TUNING_JOB:
        return f"cairn studies show {run.job_id}"
    return f"cairn {'jobs' if run.kind in _JOBS else 'runs'} show {run.uid[:8]}"


def follow_command(run: Run) -> str:
    return f"cairn jobs stream-logs {run.uid[:8]}" if run.kind in _JOBS else f"cairn runs watch {run.uid[:8]}"


def cancel_command(run: Run) -> str:
    return f"cairn {'jobs' if run.kind in _JOBS else 'runs'} cancel {run.uid[:8]}"


def logs_command(run: Run, path: str) -> str:
    """`path`: of the step, quoted as a shell wants it. A job has but one."""
    return f"cairn jobs logs {run.uid[:8]}" if run.kind in _JOBS else f"cairn runs logs {run.uid[:8]} {path}"
