"""What clients of the API write into a metadata store; the engine's own lineage is written by `lineage.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from cairn.domain.artifacts import Artifact
from cairn.domain.lineage import Context, Event, Execution
from cairn.errors import AlreadyExists, NotFound, PreconditionFailed
from cairn.filters.tree import Filter
from cairn.metadata.types import MetadataStore, Noun, StoreName
from cairn.records import runs
from cairn.records.connection import Connection, Row, chunks, padded
from cairn.records.encoding import encode_mapping
from cairn.records.lineage import ARTIFACT, artifact, details
from cairn.records.metadata import CONTEXT, EXECUTION, MetadataReads, contexts, execution
from cairn.records.transaction import Writing

T = TypeVar("T", Artifact, Execution, Context)

MAX_PARENTS = 10  # of a context, as aiplatform.v1 `Context.parent_contexts` says
_SAMPLE = 100
_PURGED = 1000  # at once: others write in between

_COLUMNS = {
    "artifacts": "schema_title, uri, display_name, metadata, details, state, description, labels, update_time",
    "executions": "schema_title, state, display_name, metadata, schema_version, description, labels, update_time",
    "contexts": "schema_title, display_name, metadata, schema_version, description, labels, update_time",
}
# The run that needs a thing: what is recorded of it would not be whole without.
_NEEDED = {
    "artifact": "SELECT r.job_id FROM events v JOIN executions e ON e.n = v.execution JOIN runs r ON r.n = e.run "
    "WHERE v.artifact = a.n",
    "execution": "SELECT r.job_id FROM runs r WHERE r.n = e.run",
    "context": "SELECT r.job_id FROM runs r WHERE r.store = c.store AND (r.job_id = c.id OR r.pipeline_name = c.id)",
}


class MetadataWrites(MetadataReads):
    """The other half of `metadata.types.MetadataRecords`."""

    def _writing(self) -> Writing:
        raise NotImplementedError

    def alter_artifact(self, store: StoreName, id_: str, alter: Callable[[Artifact | None], Artifact]) -> Artifact:
        with self._writing() as writing:
            number, row = _row(writing.connection, f"{ARTIFACT} FROM artifacts a", store, id_)
            before = artifact(row) if row else None
            after = _dated(alter(before), before, writing.time)
            _write(writing.connection, "artifacts", number, after, _artifact_values(after), insert=before is None)
        return after

    def alter_execution(self, store: StoreName, id_: str, alter: Callable[[Execution | None], Execution]) -> Execution:
        with self._writing() as writing:
            number, row = _row(writing.connection, f"{EXECUTION} FROM executions e", store, id_)
            before = execution(row) if row else None
            after = _dated(alter(before), before, writing.time)
            _write(writing.connection, "executions", number, after, _execution_values(after), insert=before is None)
        return after

    def alter_context(self, store: StoreName, id_: str, alter: Callable[[Context | None], Context]) -> Context:
        with self._writing() as writing:
            number, row = _row(writing.connection, f"{CONTEXT} FROM contexts c", store, id_)
            before = contexts(writing.connection, [row])[0] if row else None
            after = _dated(alter(before), before, writing.time)
            _write(writing.connection, "contexts", number, after, _context_values(after), insert=before is None)
        return after

    def remove(self, noun: Noun, store: StoreName, id_: str, etag: str) -> None:
        t = noun[0]
        with self._writing() as writing:
            connection = writing.connection
            sql = f"{t}.n, {t}.update_time, ({_NEEDED[noun]} LIMIT 1) FROM {noun}s {t}"
            _, row = _row(connection, sql, store, id_)
            if row is None:
                raise _missing(noun, [id_])
            if etag and etag != str(row[1]):
                raise PreconditionFailed(f"{noun} {id_!r} was changed meanwhile", remedy="read it again")
            if row[2] is not None:
                raise PreconditionFailed(
                    f"{noun} {id_!r} belongs to the lineage of run {row[2]!r}", remedy="delete the run instead"
                )
            _remove(connection, noun, [row[0]])

    def purge(self, noun: Noun, store: StoreName, where: Filter, *, force: bool) -> tuple[int, list[str]]:
        from cairn.records import metadata_pages
        from cairn.records.filtering import compile_filter

        t = noun[0]
        condition = compile_filter(where, metadata_pages.columns(noun, store), self._connection().dialect)
        source = (
            f"FROM {noun}s {t} WHERE {t}.store = (SELECT n FROM metadata_stores WHERE project = ? AND location = ?) "
            f"AND {condition.sql} AND NOT EXISTS ({_NEEDED[noun]})"
        )
        values = [store.project, store.location, *condition.values]
        [(count,)] = self._connection().query(f"SELECT count(*) {source}", values)
        sample = self._connection().query(f"SELECT {t}.id {source} ORDER BY {t}.n LIMIT {_SAMPLE}", values)
        if not force:
            return int(count), [id_ for (id_,) in sample]
        count = 0
        while True:
            with self._writing() as writing:
                found = writing.connection.query(f"SELECT {t}.n {source} ORDER BY {t}.n LIMIT {_PURGED}", values)
                _remove(writing.connection, noun, [number for (number,) in found])
            count += len(found)
            if len(found) < _PURGED:
                return count, []

    def add_events(self, store: StoreName, execution_id: str, events: Sequence[Event]) -> None:
        with self._writing() as writing:
            connection = writing.connection
            number = _numbers(connection, "execution", store, [execution_id])[execution_id]
            artifacts = _numbers(connection, "artifact", store, [one.artifact_id for one in events])
            rows = connection.query("SELECT artifact, type, name, position FROM events WHERE execution = ?", (number,))
            joined = {(row[0], row[1]) for row in rows}
            position = max((row[3] for row in rows if not row[2]), default=-1) + 1
            added = []
            for one in events:
                key = (artifacts[one.artifact_id], one.type.value)
                if key not in joined:
                    joined.add(key)
                    added.append(
                        (number, one.type, "", position, key[0], writing.time, encode_mapping(dict(one.labels)))
                    )
                    position += 1
            connection.many(
                "INSERT INTO events (execution, type, name, position, artifact, time, labels) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                added,
            )

    def add_to_context(
        self, store: StoreName, context_id: str, artifact_ids: Sequence[str], execution_ids: Sequence[str]
    ) -> None:
        with self._writing() as writing:
            connection = writing.connection
            number = _numbers(connection, "context", store, [context_id])[context_id]
            for noun, table, ids in (
                ("artifact", "attributions", artifact_ids),
                ("execution", "associations", execution_ids),
            ):
                connection.many(
                    f"INSERT INTO {table} (context, {noun}) VALUES (?, ?) ON CONFLICT (context, {noun}) DO NOTHING",
                    [(number, one) for one in _numbers(connection, noun, store, ids).values()],
                )

    def add_children(self, store: StoreName, parent_id: str, child_ids: Sequence[str]) -> None:
        with self._writing() as writing:
            connection = writing.connection
            known = _numbers(connection, "context", store, [parent_id, *child_ids])
            children = list(dict.fromkeys(known[id_] for id_ in child_ids))
            above = {number for (number,) in connection.query(_ANCESTORS, (known[parent_id],))}
            circle = next((id_ for id_ in child_ids if known[id_] in above), None)
            if circle is not None:
                raise PreconditionFailed(f"context {circle!r} would lie under itself", place="childContexts")
            connection.many(
                "INSERT INTO context_parents (child, parent) VALUES (?, ?) ON CONFLICT (child, parent) DO NOTHING",
                [(child, known[parent_id]) for child in children],
            )
            _check_parents(connection, children)

    def remove_children(self, store: StoreName, parent_id: str, child_ids: Sequence[str]) -> None:
        with self._writing() as writing:
            known = _numbers(writing.connection, "context", store, [parent_id, *child_ids])
            writing.connection.many(
                "DELETE FROM context_parents WHERE child = ? AND parent = ?",
                [(known[id_], known[parent_id]) for id_ in child_ids],
            )

    def create_store(self, store: StoreName, description: str) -> MetadataStore:
        with self._writing() as writing:
            number = runs.store(writing.connection, store.project, store.location)
            changed = writing.connection.run(
                "UPDATE metadata_stores SET create_time = ?, description = ? WHERE n = ? AND create_time = 0",
                (writing.time, description, number),
            )
            if not changed:
                raise AlreadyExists("there is a metadata store 'default' already")
        return MetadataStore(store, description, writing.time)

    def drop_store(self, store: StoreName) -> None:
        self.read_store(store)
        with self._writing() as writing:
            connection = writing.connection
            number = (runs.store(connection, store.project, store.location),)
            if connection.one("SELECT 1 FROM runs WHERE store = ? LIMIT 1", number):
                raise PreconditionFailed("it holds the lineage of runs", remedy="delete the runs first")
            for table in ("contexts", "executions", "artifacts"):
                connection.run(f"DELETE FROM {table} WHERE store = ?", number)
            connection.run("UPDATE metadata_stores SET create_time = 0, description = '' WHERE n = ?", number)


_ANCESTORS = (
    "WITH RECURSIVE above (n) AS (SELECT CAST(? AS BIGINT) UNION SELECT p.parent FROM context_parents p "
    "JOIN above ON above.n = p.child) SELECT n FROM above"
)


def _row(connection: Connection, sql: str, store: StoreName, id_: str) -> tuple[int, Row | None]:
    """The store's narrow key, and the row with that id."""
    alias = sql.rpartition(" ")[2]
    number = runs.store(connection, store.project, store.location)
    return number, connection.one(f"SELECT {sql} WHERE {alias}.id = ? AND {alias}.store = ?", (id_, number))


def _dated(after: T, before: T | None, now: int) -> T:
    if before is None:
        return msgspec.structs.replace(after, create_time=now, update_time=now)
    update_time = max(now, before.update_time + 1)
    return msgspec.structs.replace(after, id=before.id, create_time=before.create_time, update_time=update_time)


def _write(
    connection: Connection, table: str, store: int, thing: Artifact | Execution | Context, values: Row, *, insert: bool
) -> None:
    names = _COLUMNS[table]
    if insert:
        marks = ", ".join("?" * (len(values) + 3))
        sql = f"INSERT INTO {table} ({names}, id, store, create_time) VALUES ({marks})"
        connection.run(sql, (*values, thing.id, store, thing.create_time))
    else:
        assigned = ", ".join(f"{name} = ?" for name in names.split(", "))
        connection.run(f"UPDATE {table} SET {assigned} WHERE id = ? AND store = ?", (*values, thing.id, store))


def _artifact_values(one: Artifact) -> Row:
    first = (one.type.schema_title, one.uri, one.display_name, encode_mapping(one.metadata), details(one), one.state)
    return (*first, one.description, encode_mapping(one.labels), one.update_time)


def _execution_values(one: Execution) -> Row:
    first = (one.schema_title, one.state, one.display_name, encode_mapping(one.metadata), one.schema_version)
    return (*first, one.description, encode_mapping(one.labels), one.update_time)


def _context_values(one: Context) -> Row:
    first = (one.schema_title, one.display_name, encode_mapping(one.metadata), one.schema_version)
    return (*first, one.description, encode_mapping(one.labels), one.update_time)


def _remove(connection: Connection, noun: Noun, numbers: Iterable[int]) -> None:
    """What refers to them goes too; of artifacts the events by this, all else by the tables' references."""
    keys = [(number,) for number in numbers]
    if noun == "artifact":
        connection.many("DELETE FROM events WHERE artifact = ?", keys)
    connection.many(f"DELETE FROM {noun}s WHERE n = ?", keys)


def _numbers(connection: Connection, noun: str, store: StoreName, ids: Sequence[str]) -> dict[str, int]:
    """Narrow keys by id. Raises NotFound."""
    number = runs.store(connection, store.project, store.location)
    found: dict[str, int] = {}
    for part in chunks(list(dict.fromkeys(ids))):
        marks, values = padded(part)
        sql = f"SELECT id, n FROM {noun}s WHERE id IN ({marks}) AND store = ?"
        found.update(connection.query(sql, [*values, number]))
    missing = [id_ for id_ in dict.fromkeys(ids) if id_ not in found]
    if missing:
        raise _missing(noun, missing)
    return found


def _check_parents(connection: Connection, children: Sequence[int]) -> None:
    for part in chunks(children):
        marks, values = padded(part)
        sql = (
            "SELECT c.id FROM contexts c JOIN context_parents p ON p.child = c.n "
            f"WHERE c.n IN ({marks}) GROUP BY c.n, c.id HAVING count(*) > {MAX_PARENTS} LIMIT 1"
        )
        row = connection.one(sql, values)
        if row is not None:
            raise PreconditionFailed(f"context {row[0]!r} would have more than {MAX_PARENTS} parents")


def _missing(noun: str, ids: Sequence[str]) -> NotFound:
    return NotFound(f"there is no {noun} {', '.join(map(repr, ids[:5]))}")
