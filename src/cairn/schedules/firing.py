"""What falls due becomes runs: each tick once, in order, whatever is killed.

A tick is known by its nominal time. Its run is recorded under a request id made of it, then the schedule moves on:
killed in between, the next turn finds that run instead of making another one. So do several servers on one database.
"""

from __future__ import annotations

import logging
import re
import time
import zlib
from collections.abc import Callable

import msgspec

from cairn.domain.ids import random_uid
from cairn.domain.runs import Run, Submission
from cairn.engine.faultpoints import point
from cairn.errors import CairnError, Conflict, HomeError, NotFound, RecordsError
from cairn.schedules.macros import Macros
from cairn.schedules.planning import advanced, newest_due, schedule_of, standing
from cairn.schedules.service import ScheduleService
from cairn.schedules.types import KIND, RunResponse, Schedule, ScheduleState
from cairn.spec.types import Pipeline

BATCH = 10  # ticks of one schedule in one turn, so that the others have theirs
AWAY = 5_000_000  # microseconds without a turn after which what is due counts as missed, not as overlapping
DEFECT_PAUSE = 60_000_000  # microseconds before a schedule that met a defect is tried again
_MOST = 10_000  # schedules in one turn

POINTS = ("tick.begun", "tick.submitted", "tick.recorded")  # where tests kill; see `engine.faultpoints`

Started = Callable[[Run, Pipeline], None]
_log = logging.getLogger("cairn.schedules")


class Firing:
    """Threads: one."""

    def __init__(self, service: ScheduleService) -> None:
        self.service = service
        self._looked = 0  # when the last turn was
        self._held: dict[str, int] = {}  # schedules that met a defect, until when they are left alone

    def tick(self, now: int, started: Started) -> bool:
        """Run what is due at `now`; True when some of it was left for another turn, which may come at once.

        `started` is called with each run that was made. Raises RecordsError; nothing is lost then.
        """
        away = not self._looked or now - self._looked > AWAY
        more = False
        for document in self.service.records.due_documents(KIND, now, limit=_MOST):
            if self._held.get(document.id, 0) > now:
                continue
            try:
                more |= self._fire(schedule_of(document), now, started, away=away)
            except RecordsError:
                raise
            except HomeError as error:  # a record of its own that cannot be read
                _log.error("schedule %s has to wait: %s", document.id, error)
                self._held[document.id] = now + DEFECT_PAUSE
            except Exception:  # noqa: BLE001 - the others are not to wait for it
                _log.exception("schedule %s met a defect", document.id)
                self._held[document.id] = now + DEFECT_PAUSE
        self._looked = max(now, self.service.clock.now())  # a turn with much to do is no absence
        return more

    def _fire(self, schedule: Schedule, now: int, started: Started, *, away: bool) -> bool:
        following: Schedule | None = self._noticed(schedule, now) if away else schedule
        for _ in range(BATCH):
            if following is None or not _is_due(following, now):
                return False
            following = self._step(following, now, started)
        return following is not None and _is_due(following, now)

    def _noticed(self, schedule: Schedule, now: int) -> Schedule | None:
        """What is due fell due while nobody was there: it is made up for, even where overlaps are skipped."""
        if schedule.allow_queueing or not schedule.limit or not schedule.next_run_time:
            return schedule
        try:
            return self.service.save(msgspec.structs.replace(schedule, backlog_until=now))
        except (Conflict, NotFound):
            return None  # changed just now: the next turn sees it as it is

    def _step(self, schedule: Schedule, now: int, started: Started) -> Schedule | None:
        """One tick; None when it has to wait."""
        if not schedule.next_run_time:
            return self._move(schedule, None, now)
        nominal = newest_due(schedule, now) if schedule.no_catchup else schedule.next_run_time
        run = self.service.records.requested_run(schedule.project, schedule.location, request_id(schedule, nominal))
        if run is None and self._is_full(schedule):
            if schedule.allow_queueing or schedule.no_catchup or nominal <= schedule.backlog_until:
                return None
            last = newest_due(schedule, now)
            words = f"skipped: {schedule.limit} of its runs had not ended"
            return self._move(schedule, RunResponse(last, words), now)
        point("tick.begun")
        outcome = _made(nominal, run) if run is not None else self._submit(schedule, nominal, now, started)
        point("tick.submitted")
        moved = self._move(schedule, outcome, now)
        point("tick.recorded")
        return moved

    def _is_full(self, schedule: Schedule) -> bool:
        if not schedule.limit:
            return False
        count = self.service.records.open_run_count(schedule.project, schedule.location, schedule.id)
        return count >= schedule.limit

    def _submit(self, schedule: Schedule, nominal: int, now: int, started: Started) -> RunResponse:
        try:
            pipeline = self.service.pipeline_of(schedule)
            submission = submission_of(schedule, pipeline, nominal, now)
            run = self.service.runs().submit(pipeline, submission)
        except (RecordsError, HomeError):
            raise
        except CairnError as error:
            _log.warning("schedule %s (%s) made no run: %s", schedule.id, schedule.display_name, error)
            place = f"{error.place}: " if error.place else ""
            return RunResponse(nominal, f"refused: {place}{error.message}")
        if run.uid == submission.uid:
            started(run, pipeline)
        return _made(nominal, run)

    def _move(self, schedule: Schedule, outcome: RunResponse | None, now: int) -> Schedule | None:
        """Record what became of a tick, over whatever was changed meanwhile; None when the schedule is gone, or when
        another server has moved it on."""
        current = schedule
        while True:
            if outcome is None:
                moved = standing(current, 0, now)
            elif current.last_run.scheduled_run_time >= outcome.scheduled_run_time:
                return None
            else:
                moved = advanced(current, outcome, now)
                if outcome.response.startswith("refused: "):
                    moved = msgspec.structs.replace(moved, last_error=outcome)
            try:
                return self.service.save(moved)
            except NotFound:
                return None
            except Conflict:
                if outcome is None:
                    return None
            try:
                current = self.service.get(schedule.id, project=schedule.project, location=schedule.location)
            except NotFound:
                return None


def request_id(schedule: Schedule, nominal: int) -> str:
    return f"schedule/{schedule.id}/{nominal}"


def submission_of(schedule: Schedule, pipeline: Pipeline, nominal: int, now: int) -> Submission:
    """The schedule's own submission with what is of this tick."""
    template = schedule.submission
    uid = random_uid()
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(nominal // 1_000_000))
    name = template.display_name or pipeline.display_name or pipeline.name
    shown, parameters = f"{name}-{stamp}", template.parameters
    if schedule.macros:
        macros = Macros(nominal, now, schedule.started_run_count + 1, uid)
        parameters = macros.fill(parameters)
        filled = macros.fill(name)
        shown = filled if filled != name else shown
    request = request_id(schedule, nominal)
    return msgspec.structs.replace(
        template,
        parameters=parameters,
        settings=msgspec.structs.replace(template.settings, detached=True),
        project=schedule.project,
        location=schedule.location,
        job_id=f"{_stem(template.job_id or pipeline.name)}-{stamp}-{zlib.crc32(request.encode()):08x}",
        display_name=shown,
        request_id=request,
        owner=template.owner or schedule.owner,
        schedule=schedule.id,
        schedule_time=nominal,
        uid=uid,
        warnings=(*template.warnings, *schedule.warnings),
    )


def _stem(name: str) -> str:
    """As the id of a Vertex job may begin."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:90] or "pipeline"


def _made(nominal: int, run: Run) -> RunResponse:
    name = f"projects/{run.project}/locations/{run.location}/pipelineJobs/{run.job_id}"
    return RunResponse(nominal, name, run.uid)


def _is_due(schedule: Schedule, now: int) -> bool:
    if schedule.state is not ScheduleState.ACTIVE:
        return False
    return (schedule.next_run_time or schedule.end + 1) <= now
