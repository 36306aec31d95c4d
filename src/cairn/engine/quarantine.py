"""The end of a run that made the engine raise."""

from __future__ import annotations

import msgspec

from cairn.domain.runs import AttemptRecord, Exit, Failure, Run, TaskRecord
from cairn.domain.states import AttemptState, ExitReason, RunState, TaskState
from cairn.engine.machine import RunMachine
from cairn.engine.ports import Batch
from cairn.errors import CairnError


def quarantined(machine: RunMachine, error: BaseException, trace: str, now: int) -> tuple[Batch, Run]:
    """What to write so that nothing of the run is left looking alive."""
    known = isinstance(error, CairnError)
    failure = Failure(
        str(error) if known else f"a defect of Cairn: {error!r}",
        kind=type(error).__name__ if known else "Defect",
        remedy="" if known else f"please report it with this trace:\n{trace}",
    )
    run = msgspec.structs.replace(machine.run, state=RunState.FAILED, error=failure, end_time=now, update_time=now)
    exit_ = Exit(ExitReason.LOST, message="the run was put aside")
    attempts: list[AttemptRecord] = [
        msgspec.structs.replace(record, state=AttemptState.LOST, exit=exit_, end_time=now)
        for record in machine.records.values()
    ]
    tasks: list[TaskRecord] = []
    for attempt in machine.running.values():
        task = attempt.ready.task
        tasks.append(
            TaskRecord(
                run_uid=run.uid,
                path=task.path,
                name=task.spec.name,
                component=task.spec.component,
                kind=task.kind,
                state=TaskState.FAILED,
                uid=task.uid,
                attempts=task.attempts,
                error=failure,
                end_time=now,
            )
        )
    return Batch(fences={run.uid: machine.fence}, runs=[run], tasks=tasks, attempts=attempts), run
