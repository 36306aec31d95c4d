"""The one table of legal state changes; `docs/run_states.md` draws it. Nothing else decides what may follow what."""

from __future__ import annotations

from cairn.domain.states import AttemptState, RunState, TaskState

RUN: dict[RunState, frozenset[RunState]] = {
    RunState.PENDING: frozenset({RunState.RUNNING, RunState.CANCELLING, RunState.CANCELLED, RunState.FAILED}),
    RunState.RUNNING: frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLING}),
    RunState.CANCELLING: frozenset({RunState.CANCELLED, RunState.FAILED}),
    RunState.SUCCEEDED: frozenset({RunState.RUNNING}),  # `resume` with an edited pipeline
    RunState.FAILED: frozenset({RunState.RUNNING}),  # `resume`
    RunState.CANCELLED: frozenset({RunState.RUNNING}),  # `resume`
}

TASK: dict[TaskState, frozenset[TaskState]] = {
    TaskState.PENDING: frozenset(TaskState) - {TaskState.PENDING},
    TaskState.RUNNING: frozenset(
        {TaskState.PENDING, TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED, TaskState.SKIPPED}
    ),  # PENDING: its attempt failed or was lost, and another follows
    TaskState.SUCCEEDED: frozenset({TaskState.PENDING}),  # `resume`: upstream or its own definition was edited
    TaskState.FAILED: frozenset({TaskState.PENDING}),  # `resume`
    TaskState.SKIPPED: frozenset({TaskState.PENDING}),  # `resume`
    TaskState.CANCELLED: frozenset({TaskState.PENDING}),  # `resume`
}

ATTEMPT: dict[AttemptState, frozenset[AttemptState]] = {
    AttemptState.RUNNING: frozenset(AttemptState) - {AttemptState.RUNNING},
    AttemptState.SUCCEEDED: frozenset(),
    AttemptState.FAILED: frozenset(),
    AttemptState.CANCELLED: frozenset(),
    AttemptState.LOST: frozenset(),
}


def check_run(before: RunState, after: RunState) -> None:
    """Raise AssertionError for a change that the table does not allow: always a defect of ours."""
    if after not in RUN[before]:
        raise AssertionError(f"illegal transition of a run: {before} → {after}")


def check_task(before: TaskState, after: TaskState, path: str) -> None:
    if after not in TASK[before]:
        raise AssertionError(f"illegal transition of task {path}: {before} → {after}")


def check_attempt(before: AttemptState, after: AttemptState, path: str) -> None:
    if after not in ATTEMPT[before]:
        raise AssertionError(f"illegal transition of an attempt of {path}: {before} → {after}")
