"""MetadataService: the questions that the command line and the APIs ask of lineage, and what clients add to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeVar

from cairn.domain.artifacts import Artifact
from cairn.domain.lineage import Context, Event, EventType, Execution
from cairn.errors import NotFound, PreconditionFailed
from cairn.filters.tree import Filter
from cairn.metadata.types import ANY_ARTIFACT, DEFAULT_STORE, ArtifactQuery, LineageSubgraph, MetadataRecords, StoreName

Direction = Literal["both", "upstream", "downstream"]

T = TypeVar("T")

MAX_HOPS = 1 << 30
MAX_NODES = 10_000  # of a subgraph; aiplatform.v1 promises 1,000
DEFAULT_VERSION = "0.0.1"  # of a schema, where none is said


class MetadataService:
    """The engine writes a run's lineage by itself, with the state it belongs to. Threads: any."""

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
        executions = self._records.executions_in_context(store, context_id, MAX_NODES + 1)
        artifacts = self._records.artifacts_in_context(store, context_id, MAX_NODES + 1)
        _check_size(len(executions) + len(artifacts))
        joined = self._subgraph(store, executions)
        known = {one.id for one in joined.artifacts}
        alone = tuple(one for one in artifacts if one.id not in known)
        return LineageSubgraph((*joined.artifacts, *alone), joined.executions, joined.events)

    def artifact_lineage(
        self,
        artifact_id: str,
        *,
        direction: Direction = "both",
        max_hops: int = MAX_HOPS,
        where: Filter | None = None,
        store: StoreName = DEFAULT_STORE,
    ) -> LineageSubgraph:
        """aiplatform.v1 `QueryArtifactLineageSubgraph`: what the artifact came from and what came of it.

        A hop is from an artifact to an execution or back. Artifacts that `where` does not hold for are left out, with
        what lies behind them. Raises NotFound, and PreconditionFailed for more than MAX_NODES.
        """
        self.artifact(artifact_id, store)
        reached = _Reached({artifact_id}, where)
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
                found = self._kept(store, reached, found)
                artifacts = {event.artifact_id for event in found} - seen_artifacts
                seen_artifacts |= artifacts
            reached.add(found)
            _check_size(len(reached.artifacts) + len(reached.executions))
            if not (executions if hop % 2 == 0 else artifacts):
                return

    def _kept(self, store: StoreName, reached: _Reached, events: list[Event]) -> list[Event]:
        """Without events of artifacts that the filter does not hold for."""
        if reached.where is None:
            return events
        new = {event.artifact_id for event in events} - reached.artifacts
        kept = self._records.matching_artifacts(store, new, reached.where) | reached.artifacts
        return [event for event in events if event.artifact_id in kept]

    def _subgraph(self, store: StoreName, executions: list[Execution]) -> LineageSubgraph:
        events = self._records.events_of_executions(store, [one.id for one in executions])
        artifacts = self._records.artifacts_by_id(store, sorted({event.artifact_id for event in events}))
        return LineageSubgraph(tuple(artifacts), tuple(executions), tuple(events))


class _Reached:
    def __init__(self, artifacts: set[str], where: Filter | None) -> None:
        self.artifacts = artifacts
        self.where = where
        self.executions: set[str] = set()
        self.events: dict[Event, None] = {}  # a set that keeps its order

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            self.artifacts.add(event.artifact_id)
            self.executions.add(event.execution_id)
            self.events[event] = None


def _check_size(nodes: int) -> None:
    if nodes > MAX_NODES:
        raise PreconditionFailed(f"it has more than {MAX_NODES} artifacts and executions", remedy="ask for fewer hops")


def _only(found: list[T], message: str) -> T:
    if not found:
        raise NotFound(message)
    return found[0]
