"""Artifacts, executions, contexts and events as the engine writes them; `metadata.py` reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from cairn.domain.artifacts import Artifact, ArtifactType, Fingerprint
from cairn.domain.lineage import Context
from cairn.engine.ports import Lineage
from cairn.errors import RecordsError
from cairn.records.connection import Connection, Row, chunks, padded
from cairn.records.encoding import Codec, encode, encode_mapping, mapping


class _Details(msgspec.Struct, omit_defaults=True):
    """What of an artifact is never searched for."""

    schema_version: str = "0.0.1"
    schema_uri: str = ""
    instance_schema: str = ""
    custom_path: str = ""
    fingerprint: Fingerprint | None = None
    foreign: bool = False


_details = Codec(_Details)

ARTIFACT = (
    "a.id, a.schema_title, a.uri, a.display_name, a.metadata, a.details, a.create_time, a.update_time, a.state, "
    "a.description, a.labels"
)
labels: Codec[dict[str, str]] = Codec(dict[str, str])


def artifact(row: Row) -> Artifact:
    """From the columns named by `ARTIFACT`."""
    id_, schema_title, uri, display_name, metadata, text, create_time, update_time, state, description, labels_ = row
    rest = _details.decode(text)
    return Artifact(
        id_,
        ArtifactType(schema_title, rest.schema_version, rest.schema_uri, rest.instance_schema),
        uri,
        mapping.decode(metadata),
        display_name,
        rest.custom_path,
        rest.fingerprint,
        create_time,
        update_time,
        state,
        description,
        labels.decode(labels_),
        rest.foreign,
    )


def is_foreign(details: str) -> bool:
    """Of the column of that name: whether a client has recorded the artifact."""
    return _details.decode(details).foreign


def write_contexts(connection: Connection, store: int, contexts: Iterable[Context]) -> None:
    """New contexts are added. Of known ones the name is brought up to date; metadata only where there is some, for a
    client may have written its own."""
    contexts = list(contexts)
    connection.many(
        "INSERT INTO contexts (store, id, schema_title, display_name, metadata, create_time, update_time, "
        "schema_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id, store) DO UPDATE SET "
        "display_name = CASE excluded.display_name WHEN '' THEN contexts.display_name ELSE excluded.display_name END, "
        "metadata = CASE excluded.metadata WHEN '{}' THEN contexts.metadata ELSE excluded.metadata END",
        [
            (
                store,
                one.id,
                one.schema_title,
                one.display_name,
                encode_mapping(one.metadata),
                one.create_time,
                one.update_time or one.create_time,
                one.schema_version,
            )
            for one in contexts
        ],
    )
    pairs = [(one.id, parent) for one in contexts for parent in one.parents if parent != one.id]
    if pairs:
        known = _numbers(connection, "contexts", store, {name for pair in pairs for name in pair})
        connection.many(
            "INSERT INTO context_parents (child, parent) VALUES (?, ?) ON CONFLICT (child, parent) DO NOTHING",
            [(known[child], known[parent]) for child, parent in pairs],
        )


def write(connection: Connection, store: int, lineage: Sequence[tuple[int, Lineage]]) -> None:
    """(run, what its tasks added), all of one metadata store. Raises RecordsError when something named is unknown."""
    connection.many(
        "INSERT INTO executions "
        "(store, id, run, schema_title, state, display_name, metadata, create_time, update_time, schema_version) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id, store) DO UPDATE SET state = excluded.state, "
        "display_name = excluded.display_name, metadata = excluded.metadata, update_time = excluded.update_time",
        [
            (
                store,
                one.id,
                run,
                one.schema_title,
                one.state,
                one.display_name,
                encode_mapping(one.metadata),
                one.create_time,
                one.update_time,
                one.schema_version,
            )
            for run, part in lineage
            for one in part.executions
        ],
    )
    connection.many(
        "INSERT INTO artifacts (store, id, schema_title, uri, display_name, metadata, details, create_time, "
        "update_time, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id, store) DO UPDATE SET "
        "display_name = excluded.display_name, metadata = excluded.metadata, details = excluded.details",
        [_artifact_row(store, one) for _, part in lineage for one in part.artifacts],
    )
    _join(connection, store, [part for _, part in lineage])


def _join(connection: Connection, store: int, lineage: Sequence[Lineage]) -> None:
    events = [event for part in lineage for event in part.events]
    executions = _numbers(
        connection,
        "executions",
        store,
        {one.execution_id for one in events} | {one.id for part in lineage for one in part.executions},
    )
    artifacts = _numbers(
        connection,
        "artifacts",
        store,
        {one.artifact_id for one in events} | {one.id for part in lineage for one in part.artifacts},
    )
    contexts = _numbers(connection, "contexts", store, {name for part in lineage for name in part.contexts})
    connection.many(
        "INSERT INTO events (execution, type, name, position, artifact, time) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (execution, type, name, position) DO UPDATE SET artifact = excluded.artifact, "
        "time = excluded.time",
        [
            (executions[one.execution_id], one.type, one.key, one.index, artifacts[one.artifact_id], one.time)
            for one in events
        ],
    )
    connection.many(
        "INSERT INTO associations (context, execution) VALUES (?, ?) ON CONFLICT (context, execution) DO NOTHING",
        [(contexts[name], executions[one.id]) for part in lineage for name in part.contexts for one in part.executions],
    )
    connection.many(
        "INSERT INTO attributions (context, artifact) VALUES (?, ?) ON CONFLICT (context, artifact) DO NOTHING",
        [(contexts[name], artifacts[one.id]) for part in lineage for name in part.contexts for one in part.artifacts],
    )


def _artifact_row(store: int, one: Artifact) -> Row:
    row = (store, one.id, one.type.schema_title, one.uri, one.display_name, encode_mapping(one.metadata), details(one))
    return (*row, one.create_time, one.update_time or one.create_time, one.state)


def details(one: Artifact) -> str:
    """The column of that name."""
    type_ = one.type
    names = (type_.schema_version, type_.schema_uri, type_.instance_schema)
    return encode(_Details(*names, one.custom_path, one.fingerprint, one.foreign))


def _numbers(connection: Connection, table: str, store: int, ids: set[str]) -> dict[str, int]:
    """Narrow keys of everything named in `ids`."""
    found: dict[str, int] = {}
    for part in chunks(list(ids)):
        marks, values = padded(part)
        found.update(
            connection.query(f"SELECT id, n FROM {table} WHERE id IN ({marks}) AND store = ?", [*values, store])
        )
    if len(found) != len(ids):
        missing = ", ".join(sorted(ids - found.keys())[:5])
        raise RecordsError(f"lineage names {table} that are not recorded: {missing}")
    return found


# The index is on the first 200 characters. Were `uri` compared as it is, SQLite would put the value in its place in the
# index's expression too, and then read the whole table.
BY_URI = "SELECT u.n FROM artifacts u WHERE substr(u.uri, 1, 200) = substr(?, 1, 200) AND u.uri || '' = ?"


def artifacts_by_uri(
    connection: Connection, project: str, location: str, uri: str, schema_title: str
) -> list[Artifact]:
    rows = connection.query(
        f"SELECT {ARTIFACT} FROM artifacts a WHERE a.n IN ({BY_URI}) "
        "AND a.store = (SELECT n FROM metadata_stores WHERE project = ? AND location = ?) AND a.schema_title = ? "
        "ORDER BY a.n DESC LIMIT 100",
        (uri, uri, project, location, schema_title),
    )
    return [artifact(row) for row in rows]
