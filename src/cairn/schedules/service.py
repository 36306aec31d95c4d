"""Schedules as a service: made, looked up, changed, paused, resumed, deleted. What falls due is `firing`'s."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

import msgspec

from cairn.domain.clock import Clock
from cairn.domain.documents import Document
from cairn.domain.ids import random_uid
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT
from cairn.engine.runs import RunService
from cairn.errors import CairnError, Conflict, InputRefused, NotFound, RecordsBusy, WrongState
from cairn.filters.tree import Filter, Order
from cairn.schedules.cron import caution
from cairn.schedules.macros import Macros
from cairn.schedules.planning import check, document_of, planned, schedule_of, standing
from cairn.schedules.types import (
    DEFINITION,
    KIND,
    Change,
    Definition,
    Schedule,
    ScheduleRecords,
    ScheduleState,
    UploadedText,
)
from cairn.spec.load import load_text
from cairn.spec.parameters import check_artifacts, resolve_parameters
from cairn.spec.types import Pipeline

_KEPT = 16  # pipelines that are kept as they were read
_END_OF_TIME = (1 << 63) - 1
_TRIES = 50  # of a change that meets another one


class ScheduleService:
    """Threads: any. `runs` is asked for when a pipeline is to be checked or run, and not before."""

    def __init__(
        self,
        records: ScheduleRecords,
        runs: Callable[[], RunService],
        clock: Clock,
        uploaded: UploadedText | None = None,
    ) -> None:
        self.records = records
        self.runs = runs
        self.clock = clock
        self.changed: list[Callable[[], None]] = []  # called, in whichever thread, when one may be due earlier
        self._uploaded = uploaded
        self._read: OrderedDict[str, Pipeline] = OrderedDict()

    # --- what the faces and the command line ask -------------------------------------------------------------------

    def create(
        self, schedule: Schedule, definition: Definition, *, paused: bool = False, backfill: bool = False
    ) -> Schedule:
        """Record it; its id is made up unless it has one. `backfill`: ticks between a start in the past and now are run
        too. Raises InputRefused for what could never run, AlreadyExists."""
        now = self.clock.now()
        schedule = msgspec.structs.replace(
            schedule, id=schedule.id or random_uid(), create_time=now, update_time=now, state=ScheduleState.ACTIVE
        )
        check(schedule)
        schedule = self._checked(schedule, definition)
        schedule = planned(schedule, schedule.start if backfill and schedule.start else now, now)
        cautions = filter(None, (*schedule.warnings, caution(schedule.trigger.cron, schedule.trigger.dialect)))
        schedule = msgspec.structs.replace(schedule, backlog_until=now, warnings=tuple(cautions))
        if paused and schedule.state is ScheduleState.ACTIVE:
            schedule = msgspec.structs.replace(schedule, state=ScheduleState.PAUSED, last_pause_time=now)
        self.records.create_document(_definition_document(schedule, definition))
        made = self.records.create_document(document_of(schedule))
        self._tell()
        return schedule_of(made)

    def get(self, id_: str, *, project: str = DEFAULT_PROJECT, location: str = DEFAULT_LOCATION) -> Schedule:
        """Raises NotFound."""
        return schedule_of(self.records.document(KIND, id_, project=project, location=location))

    def find(self, id_: str) -> Schedule:
        """By its id alone, in whichever project. Raises NotFound."""
        return schedule_of(self.records.find_document(KIND, id_))

    def definition(self, schedule: Schedule) -> Definition:
        place = {"project": schedule.project, "location": schedule.location}
        return msgspec.convert(self.records.document(DEFINITION, _definitions(schedule)[0], **place).body, Definition)

    def page(
        self,
        *,
        projects: Collection[str] | None = None,
        location: str = "",
        where: Filter | None = None,
        orders: Sequence[Order] = (),
        query: str = "",
        token: str = "",
        limit: int = 100,
    ) -> tuple[list[Schedule], str]:
        """Newest first unless `orders` says otherwise, and the token of the next page. Raises InputRefused."""
        documents, following = self.records.page_documents(
            KIND,
            projects=projects,
            location=location,
            where=where,
            orders=orders,
            query=query,
            token=token,
            limit=limit,
        )
        return [schedule_of(document) for document in documents], following

    def update(self, schedule: Schedule, change: Change, *, etag: str = "") -> Schedule:
        """Change it; runs that it has made go on as they are. With another trigger or start the next time is set
        anew from now on: ticks that still waited are given up. Raises InputRefused, NotFound, Conflict."""
        given = {
            name: value
            for name, value in msgspec.structs.asdict(change).items()
            if value is not None and name != "definition"
        }
        anew = not given.keys().isdisjoint(("trigger", "start"))
        bounds = not given.keys().isdisjoint(("end", "max_run_count"))
        # A definition is never written over: what the schedule runs changes in one write, and only if that succeeds.
        # The one before is kept for whoever has read the schedule just now.
        fresh, dropped = random_uid(), list[str]()

        def work(current: Schedule) -> Schedule:
            changed = msgspec.structs.replace(current, **given)
            if change.definition is not None:
                last, *dropped[:] = _definitions(current)
                changed = msgspec.structs.replace(changed, definitions=(fresh, last))
            check(changed)
            if change.definition is not None or change.submission is not None:
                changed = self._checked(changed, change.definition or self.definition(current))
            now = self.clock.now()
            if anew or (bounds and not changed.next_run_time):
                return planned(changed, now, now)
            return standing(changed, changed.next_run_time, now) if bounds else changed

        changed = work(schedule)  # refused before anything is written
        if change.definition is None:
            return self._change(schedule, work, etag)
        self.records.create_document(_definition_document(changed, change.definition))
        try:
            saved = self._change(schedule, work, etag)
        except CairnError:
            self._drop_definitions(schedule, [fresh])
            raise
        self._drop_definitions(schedule, dropped)
        return saved

    def pause(self, schedule: Schedule) -> Schedule:
        """No new runs until it is resumed. Raises WrongState when it is completed."""

        def work(current: Schedule) -> Schedule:
            if current.state is ScheduleState.COMPLETED:
                raise _completed(current)
            if current.state is ScheduleState.PAUSED:
                return current
            return msgspec.structs.replace(current, state=ScheduleState.PAUSED, last_pause_time=self.clock.now())

        return self._change(schedule, work)

    def pause_all(self) -> list[Schedule]:
        """Every active schedule of every project; those that were."""
        paused = []
        while page := self.records.due_documents(KIND, _END_OF_TIME):
            paused += [self.pause(schedule_of(document)) for document in page]
        return paused

    def resume(self, schedule: Schedule, *, catch_up: bool = False) -> Schedule:
        """Go on; `catch_up`: also with the ticks of the time in between. Raises WrongState when it is completed."""

        def work(current: Schedule) -> Schedule:
            if current.state is ScheduleState.COMPLETED:
                raise _completed(current)
            if current.state is ScheduleState.ACTIVE:
                return current
            now = self.clock.now()
            active = msgspec.structs.replace(
                current, state=ScheduleState.ACTIVE, last_resume_time=now, catch_up=catch_up, backlog_until=now
            )
            return planned(active, current.next_run_time if catch_up else now, now)

        return self._change(schedule, work)

    def delete(self, schedule: Schedule, *, etag: str = "") -> None:
        """Its runs stay. Raises NotFound, Conflict."""
        if etag and etag != self.get(schedule.id, project=schedule.project, location=schedule.location).etag:
            raise Conflict(f"schedule {schedule.id!r} was changed meanwhile")
        place = {"project": schedule.project, "location": schedule.location}
        self.records.delete_document(KIND, schedule.id, **place)
        self._drop_definitions(schedule, _definitions(schedule))

    # --- for `firing` ------------------------------------------------------------------------------------------------

    def pipeline_of(self, schedule: Schedule, definition: Definition | None = None) -> Pipeline:
        """What its next run executes. Raises NotFound, SpecError."""
        if schedule.reference is not None:
            if self._uploaded is None:
                raise NotFound(f"there is no pipeline {schedule.reference.pipeline_id!r}")
            text = self._uploaded(schedule.reference)
            return load_text(text, origin=f"pipeline {schedule.reference.pipeline_id}")
        known = self._read.get(schedule.pipeline_digest)
        if definition is None and known is not None:
            return known
        text = (definition or self.definition(schedule)).text
        if not text:
            raise InputRefused("names no pipeline", place="schedule")
        pipeline = load_text(text, origin=f"schedule {schedule.id}")
        self._read[pipeline.digest] = pipeline
        while len(self._read) > _KEPT:
            self._read.popitem(last=False)
        return pipeline

    def save(self, schedule: Schedule) -> Schedule:
        """Write it over what it was read from. Raises Conflict, NotFound."""
        document = msgspec.structs.replace(document_of(schedule), update_time=self.clock.now())
        return schedule_of(self.records.replace_document(document, etag=schedule.etag))

    # --- parts -------------------------------------------------------------------------------------------------------

    def _checked(self, schedule: Schedule, definition: Definition) -> Schedule:
        """With its pipeline's name, once that is known to read, to take the parameters and to run here."""
        pipeline = self.pipeline_of(schedule, definition)
        parameters = schedule.submission.parameters
        if schedule.macros:
            parameters = Macros(schedule.create_time, schedule.create_time, 1, random_uid()).fill(parameters)
        resolve_parameters(pipeline, {**pipeline.parameters, **parameters})
        check_artifacts(pipeline, schedule.submission.input_artifacts)
        self.runs().plans(pipeline, schedule.submission.settings)
        return msgspec.structs.replace(schedule, pipeline_name=pipeline.name, pipeline_digest=pipeline.digest)

    def _change(self, schedule: Schedule, work: Callable[[Schedule], Schedule], etag: str = "") -> Schedule:
        for _ in range(_TRIES):
            current = self.get(schedule.id, project=schedule.project, location=schedule.location)
            if etag and etag != current.etag:
                raise Conflict(f"schedule {schedule.id!r} was changed meanwhile", remedy="read it again")
            changed = work(current)
            if changed is current:
                return current
            try:
                saved = self.save(changed)
            except Conflict:
                continue
            self._tell()
            return saved
        raise RecordsBusy(f"schedule {schedule.id!r} is being changed all the time")

    def _drop_definitions(self, schedule: Schedule, ids: Sequence[str]) -> None:
        for id_ in ids:
            with suppress(NotFound):
                self.records.delete_document(DEFINITION, id_, project=schedule.project, location=schedule.location)

    def _tell(self) -> None:
        for changed in self.changed:
            changed()


def _definitions(schedule: Schedule) -> tuple[str, ...]:
    return schedule.definitions or (schedule.id,)


def _definition_document(schedule: Schedule, definition: Definition) -> Document:
    return Document(
        DEFINITION,
        _definitions(schedule)[0],
        schedule.project,
        schedule.location,
        owner=schedule.owner,
        create_time=schedule.create_time,
        update_time=schedule.create_time,
        body=msgspec.to_builtins(definition),
    )


def _completed(schedule: Schedule) -> WrongState:
    return WrongState(f"schedule {schedule.id!r} is completed", remedy="change its end or its count, or make a new one")
