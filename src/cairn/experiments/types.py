"""Experiments, and what their service needs of the records. Times are microseconds since the Unix epoch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from cairn.domain.documents import Document
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT
from cairn.filters.tree import Filter, Order

DEFAULT_EXPERIMENT = "Default"
MAX_NAME = 128  # characters; kubeflow/pipelines keeps as many
MAX_DESCRIPTION = 65_536


class Experiment(msgspec.Struct, frozen=True):
    """`name` is unique in its project."""

    id: str
    name: str
    description: str = ""
    project: str = DEFAULT_PROJECT
    location: str = DEFAULT_LOCATION
    archived: bool = False
    owner: str = ""
    create_time: int = 0
    update_time: int = 0


class ExperimentSchedules(Protocol):
    """What is done with the schedules of an experiment."""

    def __call__(self, experiment: str, project: str) -> None: ...


class ExperimentRecords(Protocol):
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

    def count_documents(
        self, kind: str, *, projects: Collection[str] | None = None, where: Filter | None = None
    ) -> int: ...

    def archive_runs(self, experiment: str) -> None: ...

    def last_run_times(self, experiments: Sequence[str]) -> dict[str, int]: ...
