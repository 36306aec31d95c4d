"""What `metadata.MetadataService` reads; `lineage.py` writes it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from cairn.domain.artifacts import Artifact
from cairn.domain.lineage import Context, Event, EventType, Execution, ExecutionState
from cairn.errors import NotFound
from cairn.filters.tree import Filter
from cairn.metadata.types import ArtifactQuery, MetadataStore, Noun, Page, Search, StoreName
from cairn.records.connection import Connection, Row, chunks, padded
from cairn.records.encoding import mapping
from cairn.records.lineage import ARTIFACT, BY_URI, artifact, labels

_STORE = "(SELECT n FROM metadata_stores WHERE project = ? AND location = ?)"
EXECUTION = (
    "e.id, e.schema_title, e.state, e.display_name, e.metadata, e.create_time, e.update_time, e.schema_version, "
    "e.description, e.labels"
)
CONTEXT = (
    "c.id, c.schema_title, c.display_name, c.metadata, c.create_time, c.update_time, c.schema_version, c.description, "
    "c.labels, c.n"
)
_EVENTS = (
    "SELECT a.id, e.id, v.type, v.name, v.position, v.time, v.labels FROM events v "
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
            f"SELECT {EXECUTION}, e.n FROM executions e WHERE e.store = {_STORE} AND e.id IN", store, ids
        )
        return [execution(row[:-1]) for row in sorted(rows, key=lambda row: row[-1])]

    def contexts_by_id(self, store: StoreName, ids: Sequence[str]) -> list[Context]:
        rows = self._by_id(f"SELECT {CONTEXT} FROM contexts c WHERE c.store = {_STORE} AND c.id IN", store, ids)
        return contexts(self._connection(), sorted(rows, key=lambda row: row[-1]))

    def list_artifacts(self, store: StoreName, query: ArtifactQuery) -> list[Artifact]:
        where, values = [f"a.store = {_STORE}"], [store.project, store.location]
        for wanted, condition in (
            (query.schema_title, "a.schema_title = ?"),
            (query.uri, f"a.n IN ({BY_URI})"),
            (query.before, f"a.n < (SELECT n FROM artifacts WHERE id = ? AND store = {_STORE})"),
            (query.run_uid, _OF_RUN),
            (query.context_id, _OF_CONTEXT),
        ):
            if wanted:
                where.append(condition)
                values += [wanted] * (condition.count("?") - 2 * condition.count(_STORE))
                values += [store.project, store.location] * condition.count(_STORE)
        sql = f"SELECT {ARTIFACT} FROM artifacts a WHERE {' AND '.join(where)} ORDER BY a.n DESC LIMIT ?"
        return [artifact(row) for row in self._connection().query(sql, [*values, query.limit])]

    def executions_of_run(self, run_uid: str) -> list[Execution]:
        sql = f"SELECT {EXECUTION} FROM executions e JOIN runs r ON r.n = e.run WHERE r.uid = ? ORDER BY e.n"
        return [execution(row) for row in self._connection().query(sql, (run_uid,))]

    def executions_in_context(self, store: StoreName, context_id: str, limit: int) -> list[Execution]:
        sql = (
            f"SELECT {EXECUTION} FROM contexts c JOIN associations s ON s.context = c.n "
            f"JOIN executions e ON e.n = s.execution WHERE c.store = {_STORE} AND c.id = ? ORDER BY e.n LIMIT ?"
        )
        values = (store.project, store.location, context_id, limit)
        return [execution(row) for row in self._connection().query(sql, values)]

    def artifacts_in_context(self, store: StoreName, context_id: str, limit: int) -> list[Artifact]:
        sql = (
            f"SELECT {ARTIFACT} FROM contexts c JOIN attributions t ON t.context = c.n "
            f"JOIN artifacts a ON a.n = t.artifact WHERE c.store = {_STORE} AND c.id = ? ORDER BY a.n LIMIT ?"
        )
        values = (store.project, store.location, context_id, limit)
        return [artifact(row) for row in self._connection().query(sql, values)]

    def events_of_artifacts(self, store: StoreName, ids: Sequence[str]) -> list[Event]:
        return _events(self._by_id(f"{_EVENTS} WHERE a.store = {_STORE} AND a.id IN", store, ids))

    def events_of_executions(self, store: StoreName, ids: Sequence[str]) -> list[Event]:
        return _events(self._by_id(f"{_EVENTS} WHERE e.store = {_STORE} AND e.id IN", store, ids))

    def run_of_execution(self, store: StoreName, execution_id: str) -> str:
        sql = f"SELECT r.uid FROM executions e JOIN runs r ON r.n = e.run WHERE e.store = {_STORE} AND e.id = ?"
        row = self._connection().one(sql, (store.project, store.location, execution_id))
        return row[0] if row else ""

    def matching_artifacts(self, store: StoreName, ids: Collection[str], where: Filter) -> set[str]:
        from cairn.records import metadata_pages

        return metadata_pages.matching(self._connection(), store, ids, where)

    def search_artifacts(self, store: StoreName, search: Search) -> Page[Artifact]:
        rows, token = self._page("artifact", ARTIFACT, store, search)
        return Page(tuple(map(artifact, rows)), token)

    def search_executions(self, store: StoreName, search: Search) -> Page[Execution]:
        rows, token = self._page("execution", EXECUTION, store, search)
        return Page(tuple(map(execution, rows)), token)

    def search_contexts(self, store: StoreName, search: Search) -> Page[Context]:
        rows, token = self._page("context", CONTEXT, store, search)
        return Page(tuple(contexts(self._connection(), rows)), token)

    def read_store(self, store: StoreName) -> MetadataStore:
        sql = "SELECT description, create_time FROM metadata_stores WHERE project = ? AND location = ?"
        row = self._connection().one(sql, (store.project, store.location))
        if row is None or not row[1]:
            raise NotFound("there is no metadata store 'default'", remedy="create it")
        return MetadataStore(store, *row)

    def _page(self, noun: Noun, select: str, store: StoreName, search: Search) -> tuple[list[Row], str]:
        from cairn.records import metadata_pages

        return metadata_pages.page(self._connection(), noun, select, store, search)

    def _by_id(self, sql: str, store: StoreName, ids: Sequence[str]) -> list[Row]:
        rows: list[Row] = []
        for part in chunks(list(dict.fromkeys(ids))):
            marks, values = padded(part)
            rows += self._connection().query(f"{sql} ({marks})", [store.project, store.location, *values])
        return rows


_OF_RUN = (
    "EXISTS (SELECT 1 FROM events v JOIN executions e ON e.n = v.execution JOIN runs r ON r.n = e.run "
    "WHERE v.artifact = a.n AND r.uid = ?)"
)
_OF_CONTEXT = (
    "EXISTS (SELECT 1 FROM attributions t JOIN contexts c ON c.n = t.context "
    f"WHERE t.artifact = a.n AND c.id = ? AND c.store = {_STORE})"
)


def execution(row: Row) -> Execution:
    """From the columns named by `EXECUTION`."""
    id_, schema_title, state, display_name, metadata, create_time, update_time, version, description, labels_ = row
    found = Execution(id_, schema_title, ExecutionState(state), display_name, mapping.decode(metadata), create_time)
    rest = {"schema_version": version, "description": description, "labels": labels.decode(labels_)}
    return msgspec.structs.replace(found, update_time=update_time, **rest)


def contexts(connection: Connection, rows: list[Row]) -> list[Context]:
    """From the columns named by `CONTEXT`."""
    parents: dict[int, list[str]] = {}
    for part in chunks([row[-1] for row in rows]):
        marks, values = padded(part)
        sql = (
            "SELECT j.child, p.id FROM context_parents j JOIN contexts p ON p.n = j.parent "
            f"WHERE j.child IN ({marks}) ORDER BY p.n"
        )
        for child, parent in connection.query(sql, values):
            parents.setdefault(child, []).append(parent)
    return [_context(row, tuple(parents.get(row[-1], ()))) for row in rows]


def _context(row: Row, parents: tuple[str, ...]) -> Context:
    id_, schema_title, display_name, metadata, create_time, update_time, version, description, labels_, _ = row
    found = Context(id_, schema_title, display_name, mapping.decode(metadata), parents, create_time)
    rest = {"schema_version": version, "description": description, "labels": labels.decode(labels_)}
    return msgspec.structs.replace(found, update_time=update_time, **rest)


def _events(rows: list[Row]) -> list[Event]:
    """Oldest first, each once."""
    found = {_event(*row) for row in rows}
    return sorted(found, key=lambda event: (event.time, event.execution_id, event.type, event.key, event.index))


def _event(artifact_id: str, execution_id: str, type_: str, key: str, index: int, when: int, text: str) -> Event:
    found = Event(artifact_id, execution_id, EventType(type_), key, index, when)
    return found if text == "{}" else msgspec.structs.replace(found, labels=tuple(labels.decode(text).items()))
