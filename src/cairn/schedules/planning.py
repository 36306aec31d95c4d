"""When a schedule is due next, and what state that puts it in. No clock, no records."""

from __future__ import annotations

import msgspec

from cairn.domain.documents import Document
from cairn.errors import InputRefused
from cairn.schedules.cron import Cron, Interval, latest, parse_cron
from cairn.schedules.types import KIND, RunResponse, Schedule, ScheduleState

MAX_NAME = 128  # characters of a display name, as Vertex has it
MAX_INTERVAL = 100 * 366 * 86400  # seconds
MAX_COUNT = 2**63 - 1


def check(schedule: Schedule) -> None:
    """Raises InputRefused with the field."""
    times_of(schedule)
    if len(schedule.display_name) > MAX_NAME or "\x00" in schedule.display_name:
        raise InputRefused(f"is longer than {MAX_NAME} characters, or holds NUL", place="display_name")
    for name in ("max_run_count", "max_concurrent_run_count", "max_concurrent_active_run_count", "start", "end"):
        if not 0 <= getattr(schedule, name) <= MAX_COUNT:
            raise InputRefused(f"{getattr(schedule, name)} is not possible", place=name)
    if schedule.end and schedule.end <= schedule.start:
        raise InputRefused("is not after the start time", place="end_time")


def times_of(schedule: Schedule) -> Cron | Interval:
    """Raises InputRefused."""
    trigger = schedule.trigger
    anchor = schedule.start or schedule.create_time
    if bool(trigger.cron) == bool(trigger.interval_seconds):
        raise InputRefused("give either a cron expression or an interval", place="trigger")
    if trigger.cron:
        found = parse_cron(trigger.cron, trigger.dialect, trigger.time_zone)
        return found if isinstance(found, Cron) else Interval(found, anchor)
    if not 0 < trigger.interval_seconds <= MAX_INTERVAL:
        raise InputRefused(f"{trigger.interval_seconds} seconds is no interval", place="interval_second")
    return Interval(trigger.interval_seconds, anchor)


def planned(schedule: Schedule, earliest: int, now: int) -> Schedule:
    """With its next time set anew: not before `earliest`, nor before its start, nor one that is dealt with."""
    start = schedule.start + (schedule.trigger.dialect == "robfig")  # KFP's first time comes after the start
    earliest = max(earliest, start, schedule.last_run.scheduled_run_time + 1)
    return standing(schedule, times_of(schedule).after(earliest - 1), now)


def standing(schedule: Schedule, next_run_time: int, now: int) -> Schedule:
    """With a next time, and completed where that, its end or its count says so."""
    beyond = bool(schedule.end) and next_run_time > schedule.end
    spent = 0 < schedule.max_run_count <= schedule.started_run_count
    over = spent or not next_run_time or (beyond and now > schedule.end)
    state = schedule.state
    if over:
        state = ScheduleState.COMPLETED
    elif state is ScheduleState.COMPLETED:  # it was changed so that there is more to come
        state = ScheduleState.ACTIVE
    return msgspec.structs.replace(schedule, state=state, next_run_time=0 if over or beyond else next_run_time)


def due(schedule: Schedule) -> int:
    """When it wants to be looked at; 0: not as it stands."""
    if schedule.state is not ScheduleState.ACTIVE:
        return 0
    return schedule.next_run_time or schedule.end + 1


def newest_due(schedule: Schedule, now: int) -> int:
    """The last nominal time that is due, of one that is due."""
    until = min(now, schedule.end) if schedule.end else now
    return latest(times_of(schedule), schedule.next_run_time, until)


def advanced(schedule: Schedule, outcome: RunResponse, now: int) -> Schedule:
    """After a tick: what became of it, and the time after it (or a later one that it was given meanwhile)."""
    nominal = outcome.scheduled_run_time
    schedule = msgspec.structs.replace(
        schedule, last_run=outcome, started_run_count=schedule.started_run_count + bool(outcome.run_uid)
    )
    following = schedule.next_run_time
    if following <= nominal:
        following = times_of(schedule).after(nominal)
    if schedule.state is ScheduleState.PAUSED and not 0 < schedule.max_run_count <= schedule.started_run_count:
        return msgspec.structs.replace(schedule, next_run_time=following)
    return standing(schedule, following, now)


def document_of(schedule: Schedule) -> Document:
    return Document(
        KIND,
        schedule.id,
        schedule.project,
        schedule.location,
        display_name=schedule.display_name,
        state=schedule.state,
        labels=schedule.labels,
        owner=schedule.owner,
        due=due(schedule),
        create_time=schedule.create_time,
        update_time=schedule.update_time,
        body=msgspec.to_builtins(schedule),
    )


def schedule_of(document: Document) -> Schedule:
    schedule = msgspec.convert(document.body, Schedule)
    return msgspec.structs.replace(schedule, update_time=document.update_time)
