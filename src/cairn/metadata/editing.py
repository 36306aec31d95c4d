"""What clients of the API write into a metadata store: experiments and their runs, artifacts, executions."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from cairn.domain.artifacts import Artifact, ArtifactType
from cairn.domain.lineage import Context, Event, Execution, ExecutionState
from cairn.errors import AlreadyExists, Conflict, InputRefused, NotFound
from cairn.filters.vertex import parse_filter, parse_order
from cairn.metadata.types import MetadataRecords, MetadataStore, Noun, Page, Search, StoreName

T = TypeVar("T", Artifact, Execution, Context)

# The limits that aiplatform.v1 documents for Artifact, Execution and Context, widened where clients are known to go
# beyond them: experiments' names have underscores and dots, a model's metadata more than 200 KB.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
MAX_METADATA = 1 << 20  # bytes of JSON
MAX_LABELS = 64
MAX_LABEL = 64  # characters
MAX_NAME = 512  # characters: four bytes each, and PostgreSQL takes 2704 in an index
MAX_URI = 4096
MAX_JOINED = 1000  # names in one request
MAX_PAGE = 1000


class MetadataEditor:
    """Threads: any. Everything raises NotFound for what is not there and InputRefused for what does not fit."""

    def __init__(self, records: MetadataRecords) -> None:
        self._records = records

    # --- lists ---

    def artifacts(self, store: StoreName, **asked: Any) -> Page[Artifact]:
        """`text`, `order`, `token`, `size` as in `_search`."""
        return self._records.search_artifacts(store, _search(**asked))

    def executions(self, store: StoreName, **asked: Any) -> Page[Execution]:
        return self._records.search_executions(store, _search(**asked))

    def contexts(self, store: StoreName, **asked: Any) -> Page[Context]:
        return self._records.search_contexts(store, _search(**asked))

    # --- one thing ---

    def create_artifact(self, store: StoreName, artifact: Artifact) -> Artifact:
        """With an id of its own when it has none. Raises AlreadyExists."""
        made = _checked(msgspec.structs.replace(artifact, id=artifact.id or str(uuid.uuid4()), foreign=True))
        return self._records.alter_artifact(store, made.id, _creating("artifact", made))

    def create_execution(self, store: StoreName, execution: Execution) -> Execution:
        """With an id of its own when it has none. Raises AlreadyExists."""
        made = _checked(msgspec.structs.replace(execution, id=execution.id or str(uuid.uuid4())))
        return self._records.alter_execution(store, made.id, _creating("execution", made))

    def create_context(self, store: StoreName, context: Context) -> Context:
        """With an id of its own when it has none. Raises AlreadyExists."""
        made = _checked(msgspec.structs.replace(context, id=context.id or str(uuid.uuid4())))
        return self._records.alter_context(store, made.id, _creating("context", made))

    def update_artifact(
        self, store: StoreName, id_: str, change: Callable[[Artifact], Artifact], *, etag: str, or_create: bool = False
    ) -> Artifact:
        """`change` what is recorded, in one transaction; with `or_create`, something empty where there is nothing.
        Raises Conflict when `etag` is given and another one is recorded."""
        empty = Artifact(id_, ArtifactType(""), "", state="", foreign=True) if or_create else None
        return self._records.alter_artifact(store, id_, _changing("artifact", id_, change, etag, empty))

    def update_execution(
        self,
        store: StoreName,
        id_: str,
        change: Callable[[Execution], Execution],
        *,
        etag: str,
        or_create: bool = False,
    ) -> Execution:
        """As `update_artifact`."""
        empty = Execution(id_, "", ExecutionState.UNSPECIFIED) if or_create else None
        return self._records.alter_execution(store, id_, _changing("execution", id_, change, etag, empty))

    def update_context(
        self, store: StoreName, id_: str, change: Callable[[Context], Context], *, etag: str, or_create: bool = False
    ) -> Context:
        """As `update_artifact`."""
        empty = Context(id_, "") if or_create else None
        return self._records.alter_context(store, id_, _changing("context", id_, change, etag, empty))

    def delete(self, noun: Noun, store: StoreName, id_: str, *, etag: str = "") -> None:
        """With what joins it to others, not with those. Raises PreconditionFailed when `etag` is given and another one
        is recorded, and for what the lineage of a run needs."""
        self._records.remove(noun, store, id_, etag)

    def purge(self, noun: Noun, store: StoreName, text: str, *, force: bool) -> tuple[int, list[str]]:
        """How many the filter finds, without those that a run's lineage needs, and up to 100 of their ids; with `force`
        they are gone, and not named."""
        where = parse_filter(text)
        if where is None:
            raise InputRefused("a filter is needed", place="filter")
        return self._records.purge(noun, store, where, force=force)

    # --- joining ---

    def add_events(self, store: StoreName, execution_id: str, events: Sequence[Event]) -> None:
        _check_count(events, "events")
        for event in events:
            _check_labels(dict(event.labels), "events.labels")
        self._records.add_events(store, execution_id, events)

    def add_to_context(
        self, store: StoreName, context_id: str, artifact_ids: Sequence[str], execution_ids: Sequence[str]
    ) -> None:
        _check_count(artifact_ids, "artifacts")
        _check_count(execution_ids, "executions")
        self._records.add_to_context(store, context_id, artifact_ids, execution_ids)

    def add_children(self, store: StoreName, parent_id: str, child_ids: Sequence[str]) -> None:
        """Raises PreconditionFailed for a circle."""
        _check_count(child_ids, "childContexts")
        self._records.add_children(store, parent_id, child_ids)

    def remove_children(self, store: StoreName, parent_id: str, child_ids: Sequence[str]) -> None:
        _check_count(child_ids, "childContexts")
        self._records.remove_children(store, parent_id, child_ids)

    # --- the store itself ---

    def create_store(self, store: StoreName, description: str = "") -> MetadataStore:
        """Raises AlreadyExists."""
        return self._records.create_store(store, _text(description, "description"))

    def store(self, store: StoreName) -> MetadataStore:
        return self._records.read_store(store)

    def drop_store(self, store: StoreName) -> None:
        """With everything in it. Raises PreconditionFailed while it holds the lineage of runs."""
        self._records.drop_store(store)


def page_size(asked: int) -> int:
    """1 to 1000, 100 when nothing is asked. Raises InputRefused."""
    if not 0 <= asked <= MAX_PAGE:
        raise InputRefused(f"it must be from 1 to {MAX_PAGE}", place="pageSize")
    return asked or 100


def _search(text: str = "", order: str = "", token: str = "", size: int = 0) -> Search:
    return Search(parse_filter(text), parse_order(order), text, token, page_size(size))


def _creating(noun: Noun, made: T) -> Callable[[T | None], T]:
    _check_id(made.id)

    def alter(before: T | None) -> T:
        if before is not None:
            raise AlreadyExists(f"there is {_ARTICLE[noun]} {noun} {made.id!r} already", remedy="choose another id")
        return made

    return alter


def _changing(noun: Noun, id_: str, change: Callable[[T], T], etag: str, empty: T | None) -> Callable[[T | None], T]:
    def alter(before: T | None) -> T:
        if before is None:
            if empty is None:
                raise NotFound(f"there is no {noun} {id_!r}")
            _check_id(id_)
            return _checked(change(empty))
        if etag and etag != str(before.update_time):
            raise Conflict(f"{noun} {id_!r} was changed meanwhile", remedy="read it again, then change it")
        return _checked(change(before))

    return alter


_ARTICLE: Mapping[Noun, str] = {"artifact": "an", "execution": "an", "context": "a"}


def _checked(thing: T) -> T:
    """Within the limits, its metadata's names without spaces around them. Raises InputRefused."""
    _text(thing.display_name, "displayName")
    schema: Any = getattr(thing, "type", thing)  # an artifact's is a part of its own
    _text(schema.schema_title, "schemaTitle")
    _text(schema.schema_version, "schemaVersion")
    _text(thing.description, "description", MAX_URI)
    _text(getattr(thing, "uri", ""), "uri", MAX_URI)
    _check_labels(thing.labels, "labels")
    metadata = {name.strip(): value for name, value in thing.metadata.items()}
    if len(msgspec.json.encode(metadata)) > MAX_METADATA:
        raise InputRefused(f"it has more than {MAX_METADATA >> 10} KiB", place="metadata")
    return msgspec.structs.replace(thing, metadata=metadata)


def _check_id(id_: str) -> None:
    if not _ID.fullmatch(id_):
        raise InputRefused(
            f"{id_[:40]!r} cannot be an id",
            remedy="use up to 128 of letters, digits, dots, underscores and dashes, the first a letter or a digit",
        )


def _text(value: str, place: str, limit: int = MAX_NAME) -> str:
    if len(value) > limit or "\x00" in value:
        raise InputRefused(f"it must be up to {limit} characters, without NUL", place=place)
    return value


def _check_labels(labels: Mapping[str, str], place: str) -> None:
    if len(labels) > MAX_LABELS or any(len(word) > MAX_LABEL for pair in labels.items() for word in pair):
        raise InputRefused(f"up to {MAX_LABELS} labels of up to {MAX_LABEL} characters are taken", place=place)


def _check_count(names: Sequence[object], place: str) -> None:
    if len(names) > MAX_JOINED:
        raise InputRefused(f"up to {MAX_JOINED} are taken in one request", place=place)
