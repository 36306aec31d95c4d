"""MetadataService: the questions that the command line and the APIs ask of lineage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeVar

from cairn.domain.artifacts import Artifact
from cairn.domain.lineage import Context, Event, EventType, Execution
from cairn.errors import NotFound
from cairn.metadata.types import ANY_ARTIFACT, DEFAULT_STORE, ArtifactQuery, LineageSubgraph, MetadataRecords, StoreName

Direction = Literal["both", "upstream", "downstream"]

T = TypeVar("T")

MAX_HOPS = 100


class MetadataService:
    """Reads only; the engine writes lineage with the state it belongs to. Threads: any."""

    def __init__(self, records: MetadataRecords) -> None:
        self._records = records

    def artifact(self, artifact_id: str, store: StoreName = DEFAULT_STORE) -> Artifact:
        """Raises NotFound."""
        return _only(self._records.artifacts_by_id(store, [artifact_id]), f"no artifact has the id {artifact_id!r}")

    def execution(self, execution_id: str, store: StoreName = DEFAULT_STORE) -> Execution:
        """Raises NotFound."""
        return _only(self._records.executions_by_id(store, [execution_id]), f"no execution has the id {execution_id!r}")

    def context(self, context_id: str, store: StoreName = DEFAULT_STORE) -> Context:
        """Raises NotFound."""
        return _only(self._records.contexts_by_id(store, [context_id]), f"no context has the id {context_id!r}")

    def artifacts(self, query: ArtifactQuery = ANY_ARTIFACT, store: StoreName = DEFAULT_STORE) -> list[Artifact]:
        """Newest first, one page."""
        return self._records.list_artifacts(store, query)

    def execution_inputs_and_outputs(self, execution_id: str, store: StoreName = DEFAULT_STORE) -> LineageSubgraph:
        """aiplatform.v1 `QueryExecutionInputsAndOutputs`. Raises NotFound."""
        return self._subgraph(store, [self.execution(execution_id, store)])

    def run_lineage(self, run_uid: str, store: StoreName = DEFAULT_STORE) -> LineageSubgraph:
        """Every execution of a run, with its inputs and outputs."""
        return self._subgraph(store, self._records.executions_of_run(run_uid))

    def context_lineage(self, context_id: str, store: StoreName = DEFAULT_STORE) -> LineageSubgraph:
        """aiplatform.v1 `QueryContextLineageSubgraph`. Raises NotFound."""
        self.context(context_id, store)
        return self._subgraph(store, self._records.executions_in_context(store, context_id))

    def artifact_lineage(
        self,
        artifact_id: str,
        *,
        direction: Direction = "both",
        max_hops: int = MAX_HOPS,
        store: StoreName = DEFAULT_STORE,
    ) -> LineageSubgraph:
        """aiplatform.v1 `QueryArtifactLineageSubgraph`: what the artifact came from and what came of it.

        A hop is from an artifact to an execution or back. Raises NotFound.
        """
        self.artifact(artifact_id, store)
        reached = _Reached({artifact_id})
        if direction in ("both", "upstream"):
            self._follow(store, reached, artifact_id, EventType.OUTPUT, max_hops)
        if direction in ("both", "downstream"):
            self._follow(store, reached, artifact_id, EventType.INPUT, max_hops)
        return LineageSubgraph(
            tuple(self._records.artifacts_by_id(store, sorted(reached.artifacts))),
            tuple(self._records.executions_by_id(store, sorted(reached.executions))),
            tuple(reached.events),
        )

    def producer(self, artifact_id: str, store: StoreName = DEFAULT_STORE) -> str:
        """The uid of the run that first made an artifact; "" when none did."""
        for event in self._records.events_of_artifacts(store, [artifact_id]):
            if event.type is EventType.OUTPUT:
                return self._records.run_of_execution(store, event.execution_id)
        return ""

    def _follow(self, store: StoreName, reached: _Reached, start: str, leaving: EventType, hops: int) -> None:
        """Breadth first. An artifact is left by its `leaving` events, an execution by the other ones."""
        artifacts, executions = {start}, set[str]()
        seen_artifacts, seen_executions = {start}, set[str]()
        for hop in range(hops):
            if hop % 2 == 0:
                found = [e for e in self._records.events_of_artifacts(store, sorted(artifacts)) if e.type is leaving]
                executions = {event.execution_id for event in found} - seen_executions
                seen_executions |= executions
            else:
                found = [
                    e for e in self._records.events_of_executions(store, sorted(executions)) if e.type is not leaving
                ]
                artifacts = {event.artifact_id for event in found} - seen_artifacts
                seen_artifacts |= artifacts
            reached.add(found)
            if not (executions if hop % 2 == 0 else artifacts):
                return

    def _subgraph(self, store: StoreName, executions: list[Execution]) -> LineageSubgraph:
        events = self._records.events_of_executions(store, [one.id for one in executions])
        artifacts = self._records.artifacts_by_id(store, sorted({event.artifact_id for event in events}))
        return LineageSubgraph(tuple(artifacts), tuple(executions), tuple(events))


class _Reached:
    def __init__(self, artifacts: set[str]) -> None:
        self.artifacts = artifacts
        self.executions: set[str] = set()
        self.events: dict[Event, None] = {}  # a set that keeps its order

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            self.artifacts.add(event.artifact_id)
            self.executions.add(event.execution_id)
            self.events[event] = None


def _only(found: list[T], message: str) -> T:
    if not found:
        raise NotFound(message)
    return found[0]
