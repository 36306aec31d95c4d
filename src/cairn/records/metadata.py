"""What `metadata.MetadataService` reads; `lineage.py` writes it."""

from __future__ import annotations

from collections.abc import Sequence

from cairn.domain.artifacts import Artifact
from cairn.domain.lineage import Context, Event, EventType, Execution, ExecutionState
from cairn.metadata.types import ArtifactQuery, StoreName
from cairn.records.connection import Connection, Row, chunks, padded
from cairn.records.encoding import mapping
from cairn.records.lineage import ARTIFACT, artifact

_STORE = "(SELECT n FROM metadata_stores WHERE project = ? AND location = ?)"
_EXECUTION = "e.id, e.schema_title, e.state, e.display_name, e.metadata, e.create_time, e.update_time"
_CONTEXT = "c.id, c.schema_title, c.display_name, c.metadata, c.create_time, c.n"
_EVENTS = (
    "SELECT a.id, e.id, v.type, v.name, v.position, v.time FROM events v "
    "JOIN executions e ON e.n = v.execution JOIN artifacts a ON a.n = v.artifact"
)


class MetadataReads:
    """Implements `metadata.types.MetadataRecords`."""

    def _connection(self) -> Connection:
        raise NotImplementedError

    def artifacts_by_id(self, store: StoreName, ids: Sequence[str]) -> list[Artifact]:
        rows = self._by_id(f"SELECT {ARTIFACT}, a.n FROM artifacts a WHERE a.store = {_STORE} AND a.id IN", store, ids)
        return [artifact(row[:-1]) for row in sorted(rows, key=lambda row: row[-1])]

    def executions_by_id(self, store: StoreName, ids: Sequence[str]) -> list[Execution]:
        rows = self._by_id(
            f"SELECT {_EXECUTION}, e.n FROM executions e WHERE e.store = {_STORE} AND e.id IN", store, ids
        )
        return [_execution(row[:-1]) for row in sorted(rows, key=lambda row: row[-1])]

    def contexts_by_id(self, store: StoreName, ids: Sequence[str]) -> list[Context]:
        rows = self._by_id(f"SELECT {_CONTEXT} FROM contexts c WHERE c.store = {_STORE} AND c.id IN", store, ids)
        return [self._context(row) for row in sorted(rows, key=lambda row: row[-1])]

    def list_artifacts(self, store: StoreName, query: ArtifactQuery) -> list[Artifact]:
        where, values = [f"a.store = {_STORE}"], [store.project, store.location]
        for wanted, condition in (
            (query.schema_title, "a.schema_title = ?"),
            (query.uri, "a.uri = ?"),
            (query.uri, "substr(a.uri, 1, 200) = substr(?, 1, 200)"),
            (query.before, f"a.n < (SELECT n FROM artifacts WHERE id = ? AND store = {_STORE})"),
            (query.run_uid, _OF_RUN),
            (query.context_id, _OF_CONTEXT),
        ):
            if wanted:
                where.append(condition)
                values += [wanted, store.project, store.location] if _STORE in condition else [wanted]
        sql = f"SELECT {ARTIFACT} FROM artifacts a WHERE {' AND '.join(where)} ORDER BY a.n DESC LIMIT ?"
        return [artifact(row) for row in self._connection().query(sql, [*values, query.limit])]

    def executions_of_run(self, run_uid: str) -> list[Execution]:
        sql = f"SELECT {_EXECUTION} FROM executions e JOIN runs r ON r.n = e.run WHERE r.uid = ? ORDER BY e.n"
        return [_execution(row) for row in self._connection().query(sql, (run_uid,))]

    def executions_in_context(self, store: StoreName, context_id: str) -> list[Execution]:
        sql = (
            f"SELECT {_EXECUTION} FROM contexts c JOIN associations s ON s.context = c.n "
            f"JOIN executions e ON e.n = s.execution WHERE c.store = {_STORE} AND c.id = ? ORDER BY e.n"
        )
        return [_execution(row) for row in self._connection().query(sql, (store.project, store.location, context_id))]

    def events_of_artifacts(self, store: StoreName, ids: Sequence[str]) -> list[Event]:
        return _events(self._by_id(f"{_EVENTS} WHERE a.store = {_STORE} AND a.id IN", store, ids))

    def events_of_executions(self, store: StoreName, ids: Sequence[str]) -> list[Event]:
        return _events(self._by_id(f"{_EVENTS} WHERE e.store = {_STORE} AND e.id IN", store, ids))

    def run_of_execution(self, store: StoreName, execution_id: str) -> str:
        sql = f"SELECT r.uid FROM executions e JOIN runs r ON r.n = e.run WHERE e.store = {_STORE} AND e.id = ?"
        row = self._connection().one(sql, (store.project, store.location, execution_id))
        return row[0] if row else ""

    def _by_id(self, sql: str, store: StoreName, ids: Sequence[str]) -> list[Row]:
        rows: list[Row] = []
        for part in chunks(list(dict.fromkeys(ids))):
            marks, values = padded(part)
            rows += self._connection().query(f"{sql} ({marks})", [store.project, store.location, *values])
        return rows

    def _context(self, row: Row) -> Context:
        id_, schema_title, display_name, metadata, create_time, number = row
        sql = "SELECT p.id FROM context_parents j JOIN contexts p ON p.n = j.parent WHERE j.child = ? ORDER BY p.n"
        parents = tuple(parent for (parent,) in self._connection().query(sql, (number,)))
        return Context(id_, schema_title, display_name, mapping.decode(metadata), parents, create_time)


_OF_RUN = (
    "EXISTS (SELECT 1 FROM events v JOIN executions e ON e.n = v.execution JOIN runs r ON r.n = e.run "
    "WHERE v.artifact = a.n AND r.uid = ?)"
)
_OF_CONTEXT = (
    "EXISTS (SELECT 1 FROM attributions t JOIN contexts c ON c.n = t.context "
    f"WHERE t.artifact = a.n AND c.id = ? AND c.store = {_STORE})"
)


def _execution(row: Row) -> Execution:
    id_, schema_title, state, display_name, metadata, create_time, update_time = row
    return Execution(
        id_, schema_title, ExecutionState(state), display_name, mapping.decode(metadata), create_time, update_time
    )


def _events(rows: list[Row]) -> list[Event]:
    """Oldest first, each once."""
    found = {Event(row[0], row[1], EventType(row[2]), row[3], row[4], row[5]) for row in rows}
    return sorted(found, key=lambda event: (event.time, event.execution_id, event.type, event.key, event.index))
