"""A sweep as it is kept, what its service needs of the records, and what is shown of its jobs.

Times are microseconds since the Unix epoch, 0 when not known.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from cairn.domain.configuration import SweepConfiguration
from cairn.domain.documents import Document
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT, Run, Submission
from cairn.engine.ports import Owner
from cairn.filters.tree import Filter, Order

KIND = "sweep"
DEFINITION = "sweep.definition"
LABEL = "cairn-sweep"  # on every run of a sweep: its id


class SweepState(StrEnum):
    """A sweep whose process is gone stays RUNNING: that nobody drives it is found out by its lock."""

    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"  # another process asks for its end
    SUCCEEDED = "SUCCEEDED"  # every job that was decided on has succeeded
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        return self not in (SweepState.RUNNING, SweepState.CANCELLING)


class Sweep(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is needed to drive it again: the sweeper's decisions follow from `overrides`, the files and `seed`."""

    id: str
    name: str  # --name, else the pipeline's, as soon as the first job is composed
    directory: str  # --config-dir, absolute
    config_name: str
    overrides: tuple[str, ...] = ()  # of the command line, Hydra's own ones included
    imports: tuple[str, ...] = ()
    files: dict[str, str] = {}  # `files.file_digests` of the configuration: what resuming compares
    sweeper: str = ""  # its class
    seed: int = 0  # what a sampler without a seed of its own was given; 0: none asked for one
    keys: tuple[str, ...] = ()  # what it varies
    pipeline_name: str = ""
    configuration: SweepConfiguration = SweepConfiguration()  # metric, goal, parallel, failures
    submission: Submission = Submission()  # what the command line said of every run
    flags: tuple[str, ...] = ()  # settings that it said: the configuration does not win over them
    project: str = DEFAULT_PROJECT
    location: str = DEFAULT_LOCATION
    experiment: str = ""  # id
    compiled_for_jobs: bool = False  # the pipeline's source asks for the configuration: compiled for each job
    state: SweepState = SweepState.RUNNING
    planned: int = 0  # jobs that the sweeper said it would decide on; 0: it does not say
    counts: dict[str, int] = {}  # jobs by state, as of the last batch
    error: str = ""  # why it did not go on
    create_time: int = 0
    end_time: int = 0
    update_time: int = 0


class Definition(msgspec.Struct, frozen=True):
    """The large part of a sweep, written once: the pipeline's canonical text."""

    text: str


class Job(msgspec.Struct, frozen=True):
    """One combination and what became of it. `metrics`: one for each of the sweep's, None where there is none."""

    number: int
    overrides: dict[str, str]  # key → value, of all keys that the sweeper gave
    state: str
    run_id: str = ""
    job_id: str = ""
    metrics: tuple[float | None, ...] = ()
    seconds: float = 0.0
    steps: int = 0
    cached: int = 0
    error: str = ""
    rank: int = 0  # from 1; 0: not ranked
    best: bool = False  # the first; of several objectives, one that no other job beats in all of them


class SweepRecords(Protocol):
    """Implemented by `records`."""

    def create_document(self, document: Document) -> Document: ...

    def replace_document(self, document: Document, *, etag: str = "") -> Document: ...

    def delete_document(self, kind: str, id_: str, *, project: str, location: str, parent: str = "") -> None: ...

    def find_document(self, kind: str, id_: str) -> Document: ...

    def page_documents(
        self,
        kind: str,
        *,
        projects: Collection[str] | None = None,
        where: Filter | None = None,
        orders: Sequence[Order] = (),
        query: str = "",
        token: str = "",
        limit: int = 100,
    ) -> tuple[list[Document], str]: ...

    def page_runs(
        self,
        *,
        projects: Collection[str] | None = None,
        location: str = "",
        where: Filter | None = None,
        orders: Sequence[Order] = (),
        query: str = "",
        token: str = "",
        limit: int = 100,
    ) -> tuple[list[Run], str]: ...

    def requested_run(self, project: str, location: str, request_id: str) -> Run | None: ...

    def tasks(self, run_uid: str) -> list[Any]: ...

    def run(self, run_uid: str) -> Run: ...

    def claimed(self, run_uid: str) -> Owner | None:
        """The live engine that holds a run, if any."""
