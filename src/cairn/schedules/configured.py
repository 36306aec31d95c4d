"""The schedule that a configuration asks for: made, or what there is under its name brought up to it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from cairn.domain.configuration import ScheduleConfiguration
from cairn.domain.runs import Submission
from cairn.errors import AlreadyExists
from cairn.filters.tree import Comparison
from cairn.schedules.service import ScheduleService
from cairn.schedules.types import Change, Definition, Schedule, ScheduleState, Trigger
from cairn.spec.types import Pipeline

_CHANGED = (
    "trigger", "submission", "description", "start", "end", "max_run_count", "max_concurrent_run_count",
    "allow_queueing", "no_catchup",
)  # fmt: skip


class Outcome(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


def schedule_of(pipeline: Pipeline, submission: Submission, said: ScheduleConfiguration) -> Schedule:
    """What is to be kept; its name is `said`'s, else the run's, else the pipeline's."""
    return Schedule(
        "",
        Trigger(cron=said.cron, time_zone=said.time_zone, interval_seconds=said.interval_seconds),
        submission,
        display_name=said.name or submission.display_name or pipeline.display_name or pipeline.name,
        description=submission.description,
        project=submission.project,
        location=submission.location,
        start=_microseconds(said.start),
        end=_microseconds(said.end),
        max_run_count=said.max_runs,
        max_concurrent_run_count=said.max_concurrent,
        allow_queueing=said.queue,
        no_catchup=not said.catch_up,
    )


def apply(
    service: ScheduleService, pipeline: Pipeline, submission: Submission, said: ScheduleConfiguration
) -> tuple[Schedule, Outcome]:
    """The schedule as it stands now. One of the same name and project, of the same pipeline, is brought up to what is
    said: its runs stay, and one that somebody paused stays paused.

    Raises InputRefused for what could never run; AlreadyExists for a name that is another pipeline's, or several have.
    """
    wanted = schedule_of(pipeline, submission, said)
    there = _named(service, wanted, pipeline)
    if there is None:
        definition = Definition(pipeline.text)
        return service.create(wanted, definition, paused=said.paused, backfill=said.catch_up), Outcome.CREATED
    change = _difference(service, there, wanted, pipeline)
    found = there if change is None else service.update(there, change)
    if said.paused and found.state is ScheduleState.ACTIVE:
        return service.pause(found), Outcome.UPDATED
    return found, Outcome.UNCHANGED if change is None else Outcome.UPDATED


def _named(service: ScheduleService, wanted: Schedule, pipeline: Pipeline) -> Schedule | None:
    found, _ = service.page(
        projects=[wanted.project],
        location=wanted.location,
        where=Comparison(("display_name",), "=", wanted.display_name),
        limit=2,
    )
    if not found:
        return None
    place, remedy = "cairn.schedule.name", "give this one a name of its own: cairn.schedule.name"
    if len(found) > 1:
        ids = ", ".join(one.id for one in found)
        raise AlreadyExists(f"several schedules are called {wanted.display_name!r}: {ids}", place=place, remedy=remedy)
    if found[0].reference is not None or found[0].pipeline_name != pipeline.name:
        raise AlreadyExists(
            f"the schedule {wanted.display_name!r} ({found[0].id}) runs another pipeline, {found[0].pipeline_name}",
            place=place,
            remedy=remedy,
        )
    return found[0]


def _difference(service: ScheduleService, there: Schedule, wanted: Schedule, pipeline: Pipeline) -> Change | None:
    """None: there is none. A trigger that is the same keeps its next time."""
    given: dict[str, Any] = {
        name: getattr(wanted, name) for name in _CHANGED if getattr(wanted, name) != getattr(there, name)
    }
    if service.definition(there).text != pipeline.text:
        given["definition"] = Definition(pipeline.text)
    return Change(**given) if given else None


def _microseconds(moment: str) -> int:
    """Of RFC 3339, as `config.mapping` gives it; 0 for none."""
    return round(datetime.fromisoformat(moment).timestamp() * 1_000_000) if moment else 0
