"""Uploaded pipelines and their versions, and what the service needs of the records.

Times are microseconds since the Unix epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from cairn.domain.documents import Document
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT
from cairn.filters.tree import Filter, Order

MAX_NAME = 128  # characters; kubeflow/pipelines keeps as many
MAX_TEXT = 65_536  # of a description or URL
MAX_TAGS = 64
MAX_TAG = 63  # characters of a tag's key and of its value: v2beta1 pipeline.proto


class UploadedPipeline(msgspec.Struct, frozen=True):
    """A name under which versions are kept. `name` is unique in its project and never changes."""

    id: str
    name: str
    display_name: str = ""
    description: str = ""
    project: str = DEFAULT_PROJECT
    location: str = DEFAULT_LOCATION
    tags: dict[str, str] = {}
    owner: str = ""
    create_time: int = 0
    update_time: int = 0


class PipelineVersion(msgspec.Struct, frozen=True):
    """One text of a pipeline. `name` is unique in its pipeline; the text never changes."""

    id: str
    pipeline_id: str
    name: str
    text: str = ""  # as `spec.load` writes it
    display_name: str = ""
    description: str = ""
    project: str = DEFAULT_PROJECT
    location: str = DEFAULT_LOCATION
    package_url: str = ""
    code_source_url: str = ""
    tags: dict[str, str] = {}
    owner: str = ""
    create_time: int = 0
    update_time: int = 0


class DocumentRecords(Protocol):
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
        parent: str | None = None,
        where: Filter | None = None,
        orders: Sequence[Order] = (),
        query: str = "",
        token: str = "",
        limit: int = 100,
    ) -> tuple[list[Document], str]: ...

    def count_documents(
        self,
        kind: str,
        *,
        projects: Collection[str] | None = None,
        parent: str | None = None,
        where: Filter | None = None,
    ) -> int: ...
