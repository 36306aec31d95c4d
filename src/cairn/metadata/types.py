"""What the metadata service hands out, and what it needs of the records."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from cairn.domain.artifacts import Artifact
from cairn.domain.lineage import Context, Event, Execution
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT
from cairn.filters.tree import Filter, Order

T = TypeVar("T")
Noun: TypeAlias = Literal["artifact", "execution", "context"]


class StoreName(msgspec.Struct, frozen=True):
    """`projects/PROJECT/locations/LOCATION/metadataStores/default`."""

    project: str = DEFAULT_PROJECT
    location: str = DEFAULT_LOCATION


class MetadataStore(msgspec.Struct, frozen=True):
    name: StoreName
    description: str = ""
    create_time: int = 0


class LineageSubgraph(msgspec.Struct, frozen=True):
    """aiplatform.v1 `LineageSubgraph`: every event joins an artifact and an execution of the same subgraph."""

    artifacts: tuple[Artifact, ...] = ()
    executions: tuple[Execution, ...] = ()
    events: tuple[Event, ...] = ()


class ArtifactQuery(msgspec.Struct, frozen=True):
    """Empty fields ask for nothing. `before` is the id of the last artifact of the page before."""

    run_uid: str = ""  # an input or output of one of its executions
    context_id: str = ""
    schema_title: str = ""
    uri: str = ""
    before: str = ""
    limit: int = 100


class Search(msgspec.Struct, frozen=True):
    """One page of a list; newest first when no order is asked for. `text` tells its page tokens from other lists'."""

    where: Filter | None = None
    orders: tuple[Order, ...] = ()
    text: str = ""
    token: str = ""
    limit: int = 100


class Page(msgspec.Struct, Generic[T], frozen=True):
    items: tuple[T, ...]
    next_token: str = ""


DEFAULT_STORE = StoreName()
ANY_ARTIFACT = ArtifactQuery()


class MetadataRecords(Protocol):
    """Threads: any. What changes something raises NotFound for what it is asked to join and is not there."""

    def artifacts_by_id(self, store: StoreName, ids: Sequence[str]) -> list[Artifact]:
        """Those that exist, oldest first."""

    def executions_by_id(self, store: StoreName, ids: Sequence[str]) -> list[Execution]:
        """Those that exist, oldest first."""

    def contexts_by_id(self, store: StoreName, ids: Sequence[str]) -> list[Context]:
        """Those that exist, oldest first."""

    def list_artifacts(self, store: StoreName, query: ArtifactQuery) -> list[Artifact]:
        """Newest first."""

    def executions_of_run(self, run_uid: str) -> list[Execution]:
        """Oldest first."""

    def executions_in_context(self, store: StoreName, context_id: str, limit: int) -> list[Execution]:
        """Oldest first."""

    def artifacts_in_context(self, store: StoreName, context_id: str, limit: int) -> list[Artifact]:
        """Oldest first."""

    def events_of_artifacts(self, store: StoreName, ids: Sequence[str]) -> list[Event]: ...

    def events_of_executions(self, store: StoreName, ids: Sequence[str]) -> list[Event]: ...

    def run_of_execution(self, store: StoreName, execution_id: str) -> str:
        """The uid of the run an execution belongs to; "" when there is none."""

    def matching_artifacts(self, store: StoreName, ids: Collection[str], where: Filter) -> set[str]:
        """The ids of those that the filter holds for. Raises InputRefused."""

    def search_artifacts(self, store: StoreName, search: Search) -> Page[Artifact]:
        """Raises InputRefused for a filter, order or token that does not fit."""

    def search_executions(self, store: StoreName, search: Search) -> Page[Execution]: ...

    def search_contexts(self, store: StoreName, search: Search) -> Page[Context]: ...

    def alter_artifact(self, store: StoreName, id_: str, alter: Callable[[Artifact | None], Artifact]) -> Artifact:
        """Write what `alter` makes of the recorded one (None: there is none) in the same transaction; it may raise, and
        then nothing is written. `update_time` strictly grows, `create_time` stays."""

    def alter_execution(
        self, store: StoreName, id_: str, alter: Callable[[Execution | None], Execution]
    ) -> Execution: ...

    def alter_context(self, store: StoreName, id_: str, alter: Callable[[Context | None], Context]) -> Context:
        """Its parents are not written."""

    def remove(self, noun: Noun, store: StoreName, id_: str, etag: str) -> None:
        """With its events, attributions, associations and places among parents and children. Raises NotFound; and
        PreconditionFailed when `etag` is given and another one is recorded, or a run's lineage needs it."""

    def purge(self, noun: Noun, store: StoreName, where: Filter, *, force: bool) -> tuple[int, list[str]]:
        """How many match and no run needs, and the ids of up to 100 of them; with `force` they are removed."""

    def add_events(self, store: StoreName, execution_id: str, events: Sequence[Event]) -> None:
        """Those that join the execution with an artifact in a way in which they are joined already are left out."""

    def add_to_context(
        self, store: StoreName, context_id: str, artifact_ids: Sequence[str], execution_ids: Sequence[str]
    ) -> None: ...

    def add_children(self, store: StoreName, parent_id: str, child_ids: Sequence[str]) -> None:
        """Raises PreconditionFailed for what would make a circle, or give a child more than 10 parents."""

    def remove_children(self, store: StoreName, parent_id: str, child_ids: Sequence[str]) -> None: ...

    def create_store(self, store: StoreName, description: str) -> MetadataStore:
        """Raises AlreadyExists."""

    def read_store(self, store: StoreName) -> MetadataStore:
        """Raises NotFound."""

    def drop_store(self, store: StoreName) -> None:
        """With everything in it. Raises NotFound, and PreconditionFailed while it holds the lineage of runs."""
