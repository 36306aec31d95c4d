"""A schedule as it is kept, and what its service needs of others.

Sources: google/cloud/aiplatform/v1/schedule.proto, and the recurring runs of KFP's v2beta1 API. A Vertex schedule and a
KFP recurring run are the same record. All times are microseconds since the Unix epoch, 0 when not set.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from cairn.domain.documents import Document
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT, Run, Submission
from cairn.filters.tree import Filter, Order

KIND = "schedule"
DEFINITION = "schedule.definition"

# How a cron expression is read. unix: five fields, or six with seconds first. robfig: what KFP's controller takes, six
# fields with seconds first, of which the last (day of week) may be left out.
Dialect: TypeAlias = Literal["unix", "robfig"]


class ScheduleState(StrEnum):
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"


class Trigger(msgspec.Struct, frozen=True, omit_defaults=True):
    """Either `cron` (a prefix `TZ=Zone` or `CRON_TZ=Zone` goes before `time_zone`) or `interval_seconds`."""

    cron: str = ""
    time_zone: str = ""  # an IANA name; "": UTC
    dialect: Dialect = "unix"
    interval_seconds: int = 0


class PipelineReference(msgspec.Struct, frozen=True, omit_defaults=True):
    """An uploaded pipeline, looked up at each tick; without a version it is the newest one of that moment."""

    pipeline_id: str
    version_id: str = ""


class RunResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of the last tick: Vertex's `last_scheduled_run_response`."""

    scheduled_run_time: int = 0
    response: str = ""  # the run's resource name, or why there is none
    run_uid: str = ""  # "": it was refused or skipped


class Definition(msgspec.Struct, frozen=True, omit_defaults=True):
    """The large part of a schedule, written when it is made or changed and not at each tick: the pipeline's text (""
    with a reference), and what a face tells back as it was told."""

    text: str = ""
    client: dict[str, Any] = {}


class Schedule(msgspec.Struct, frozen=True, omit_defaults=True):
    """`next_run_time` is the earliest nominal time that nothing has become of yet: in the past, it is behind."""

    id: str
    trigger: Trigger
    submission: Submission  # of every run; project, location, job id, times and request id are filled in at the tick
    display_name: str = ""
    description: str = ""
    project: str = DEFAULT_PROJECT
    location: str = DEFAULT_LOCATION
    reference: PipelineReference | None = None
    pipeline_name: str = ""
    pipeline_digest: str = ""
    definitions: tuple[str, ...] = ()  # ids of its definition and of the one before; (): there is one, with its own id
    start: int = 0  # 0: as soon as it is made
    end: int = 0  # 0: never; a tick at this very time is still run
    max_run_count: int = 0  # 0: without limit
    max_concurrent_run_count: int = 0  # runs of it that have not ended, at most; 0: without limit
    max_concurrent_active_run_count: int = 0  # another name of the same; the lower one counts
    allow_queueing: bool = False  # at that limit a tick waits; False: it is skipped
    catch_up: bool = False  # what the last resume said
    no_catchup: bool = False  # of several ticks that are due only the latest is run
    macros: bool = False  # [[ScheduledTime]] and the like in names and parameters
    state: ScheduleState = ScheduleState.ACTIVE
    next_run_time: int = 0
    backlog_until: int = 0  # ticks up to then fell due while nobody was there: they wait, they are not skipped
    started_run_count: int = 0
    last_pause_time: int = 0
    last_resume_time: int = 0
    last_run: RunResponse = RunResponse()  # its time: every tick up to then is dealt with
    last_error: RunResponse = RunResponse()  # of the last tick that made no run because it was refused
    warnings: tuple[str, ...] = ()  # of itself: on each of its runs too
    labels: dict[str, str] = {}
    owner: str = ""
    client: dict[str, Any] = {}  # small things that only one face has a use for
    create_time: int = 0
    update_time: int = 0

    @property
    def etag(self) -> str:
        return str(self.update_time)

    @property
    def limit(self) -> int:
        """How many of its runs may be active at once; 0: any number."""
        given = [one for one in (self.max_concurrent_run_count, self.max_concurrent_active_run_count) if one > 0]
        return min(given, default=0)


class Change(msgspec.Struct, frozen=True):
    """What `update` changes; None leaves it as it is."""

    display_name: str | None = None
    description: str | None = None
    trigger: Trigger | None = None
    start: int | None = None
    end: int | None = None
    max_run_count: int | None = None
    max_concurrent_run_count: int | None = None
    max_concurrent_active_run_count: int | None = None
    allow_queueing: bool | None = None
    no_catchup: bool | None = None
    labels: dict[str, str] | None = None
    submission: Submission | None = None
    definition: Definition | None = None
    client: dict[str, Any] | None = None


# The text of an uploaded pipeline's version, of the newest one when the reference names none. Raises NotFound.
UploadedText: TypeAlias = Callable[[PipelineReference], str]


class ScheduleRecords(Protocol):
    """What schedules are kept in; see `records.store`. Threads: any."""

    def create_document(self, document: Document) -> Document: ...

    def replace_document(self, document: Document, *, etag: str = "") -> Document: ...

    def delete_document(
        self, kind: str, id_: str, *, project: str = "", location: str = "", parent: str = ""
    ) -> None: ...

    def document(self, kind: str, id_: str, *, project: str = "", location: str = "", parent: str = "") -> Document: ...

    def due_documents(self, kind: str, now: int, *, limit: int = 100) -> list[Document]: ...

    def next_due(self, kind: str) -> int: ...

    def page_documents(
        self,
        kind: str,
        *,
        projects: Collection[str] | None = None,
        location: str = "",
        where: Filter | None = None,
        orders: Sequence[Order] = (),
        query: str = "",
        token: str = "",
        limit: int = 100,
    ) -> tuple[list[Document], str]: ...

    def find_document(self, kind: str, id_: str) -> Document: ...

    def requested_run(self, project: str, location: str, request_id: str) -> Run | None: ...

    def open_run_count(self, project: str, location: str, schedule: str) -> int: ...
