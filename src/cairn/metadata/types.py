"""What the metadata service hands out, and what it needs of the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from cairn.domain.artifacts import Artifact
from cairn.domain.lineage import Context, Event, Execution
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT


class StoreName(msgspec.Struct, frozen=True):
    """`projects/PROJECT/locations/LOCATION/metadataStores/default`."""

    project: str = DEFAULT_PROJECT
    location: str = DEFAULT_LOCATION


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


DEFAULT_STORE = StoreName()
ANY_ARTIFACT = ArtifactQuery()


class MetadataRecords(Protocol):
    """Threads: any."""

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

    def executions_in_context(self, store: StoreName, context_id: str) -> list[Execution]:
        """Oldest first."""

    def events_of_artifacts(self, store: StoreName, ids: Sequence[str]) -> list[Event]: ...

    def events_of_executions(self, store: StoreName, ids: Sequence[str]) -> list[Event]: ...

    def run_of_execution(self, store: StoreName, execution_id: str) -> str:
        """The uid of the run an execution belongs to; "" when there is none."""
