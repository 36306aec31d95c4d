"""Documents: things of the API that are kept as a whole, by kind."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cairn.domain.documents import Document
from cairn.errors import AlreadyExists, Conflict, NotFound
from cairn.records import runs
from cairn.records.connection import Connection, Row
from cairn.records.encoding import encode_mapping, mapping

FIELDS = (
    "d.kind, d.id, s.project, s.location, d.parent, d.display_name, d.state, d.owner, d.request_id, d.due, "
    "d.create_time, d.update_time, d.body, d.n"
)
_ROWS = 500  # whose labels are read at once
_READ = f"SELECT {FIELDS} FROM documents d JOIN metadata_stores s ON s.n = d.store"
_ONE = "d.kind = ? AND d.id = ? AND d.parent = ? AND s.project = ? AND s.location = ?"


def create(connection: Connection, document: Document) -> Document:
    """The one that the same request made before, if there is. Raises AlreadyExists."""
    store = runs.store(connection, document.project, document.location)
    if document.request_id:
        sql = f"{_READ} WHERE d.kind = ? AND d.store = ? AND d.request_id = ?"
        row = connection.one(sql, (document.kind, store, document.request_id))
        if row is not None:
            return read_rows(connection, [row])[0]
    sql = "SELECT 1 FROM documents WHERE kind = ? AND id = ? AND store = ? AND parent = ?"
    if connection.one(sql, (document.kind, document.id, store, document.parent)):
        raise AlreadyExists(f"there is a {_noun(document.kind)} {document.id!r} already", remedy="choose another id")
    connection.run(
        "INSERT INTO documents (store, kind, parent, id, display_name, state, owner, request_id, due, create_time, "
        "update_time, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            store,
            document.kind,
            document.parent,
            document.id,
            document.display_name,
            document.state,
            document.owner,
            document.request_id,
            document.due,
            document.create_time,
            document.update_time,
            encode_mapping(document.body),
        ),
    )
    _label(connection, _number(connection, document), document)
    return document


def replace(connection: Connection, document: Document, etag: str) -> Document:
    """Overwrite one; what is written, with its new update time. Raises NotFound, Conflict."""
    number = _number(connection, document)
    [(before,)] = connection.query("SELECT update_time FROM documents WHERE n = ?", (number,))
    if etag and etag != str(before):
        raise Conflict(
            f"{_noun(document.kind)} {document.id!r} was changed meanwhile", remedy="read it again, then change it"
        )
    document = msgspec.structs.replace(document, update_time=max(document.update_time, before + 1))
    connection.run(
        "UPDATE documents SET display_name = ?, state = ?, owner = ?, due = ?, update_time = ?, body = ? WHERE n = ?",
        (
            document.display_name,
            document.state,
            document.owner,
            document.due,
            document.update_time,
            encode_mapping(document.body),
            number,
        ),
    )
    connection.run("DELETE FROM document_labels WHERE document = ?", (number,))
    _label(connection, number, document)
    return document


def delete(connection: Connection, kind: str, id_: str, project: str, location: str, parent: str) -> None:
    """Raises NotFound."""
    number = _number(connection, Document(kind, id_, project, location, parent))
    connection.run("DELETE FROM documents WHERE n = ?", (number,))


def read(connection: Connection, kind: str, id_: str, project: str, location: str, parent: str) -> Document:
    """Raises NotFound."""
    row = connection.one(f"{_READ} WHERE {_ONE}", (kind, id_, parent, project, location))
    if row is None:
        raise _missing(kind, id_)
    return read_rows(connection, [row])[0]


def changed(connection: Connection, kind: str, project: str, location: str, parent: str, after: int) -> list[Document]:
    """Those under `parent` whose update time is later, the earliest first."""
    sql = (
        f"{_READ} WHERE d.kind = ? AND d.parent = ? AND s.project = ? AND s.location = ? AND d.update_time > ? "
        "ORDER BY d.update_time, d.n"
    )
    rows = connection.query(sql, (kind, parent, project, location, after))
    return [one for start in range(0, len(rows), _ROWS) for one in read_rows(connection, rows[start : start + _ROWS])]


def due(connection: Connection, kind: str, now: int, limit: int) -> list[Document]:
    """Of all projects, those that are due first first."""
    sql = f"{_READ} WHERE d.kind = ? AND d.due > 0 AND d.due <= ? ORDER BY d.due, d.n LIMIT ?"
    return read_rows(connection, connection.query(sql, (kind, now, limit)))


def next_due(connection: Connection, kind: str) -> int:
    """When the next document of a kind is due; 0 when none is."""
    row = connection.one("SELECT min(due) FROM documents WHERE kind = ? AND due > 0", (kind,))
    return int(row[0] or 0) if row else 0


def find(connection: Connection, kind: str, id_: str) -> Document:
    """Whatever project and parent it is of. Raises NotFound, also when several have the id."""
    rows = connection.query(f"{_READ} WHERE d.kind = ? AND d.id = ? LIMIT 2", (kind, id_))
    if len(rows) != 1:
        raise _missing(kind, id_)
    return read_rows(connection, rows)[0]


def read_rows(connection: Connection, rows: Sequence[Row]) -> list[Document]:
    labels: dict[int, dict[str, str]] = {}
    if rows:
        marks = ",".join("?" * len(rows))
        sql = f"SELECT document, name, value FROM document_labels WHERE document IN ({marks}) ORDER BY name"
        for number, name, value in connection.query(sql, [row[-1] for row in rows]):
            labels.setdefault(number, {})[name] = value
    found = []
    for row in rows:
        *names, owner, request_id, when, create_time, update_time, body, number = row
        kind, id_, project, location, parent, display_name, state = names
        document = Document(kind, id_, project, location, parent, display_name, state, labels.get(number, {}), owner)
        rest = {"due": when, "create_time": create_time, "update_time": update_time, "body": mapping.decode(body)}
        found.append(msgspec.structs.replace(document, request_id=request_id, **rest))
    return found


def _number(connection: Connection, document: Document) -> int:
    sql = f"SELECT d.n FROM documents d JOIN metadata_stores s ON s.n = d.store WHERE {_ONE}"
    values = (document.kind, document.id, document.parent, document.project, document.location)
    row = connection.one(sql, values)
    if row is None:
        raise _missing(document.kind, document.id)
    return int(row[0])


def _label(connection: Connection, number: int, document: Document) -> None:
    rows = [(number, name, value) for name, value in document.labels.items()]
    if rows:
        connection.many("INSERT INTO document_labels (document, name, value) VALUES (?, ?, ?)", rows)


def _missing(kind: str, id_: str) -> NotFound:
    return NotFound(f"there is no {_noun(kind)} {id_!r}")


def _noun(kind: str) -> str:
    return kind.rpartition(".")[2].replace("_", " ")
