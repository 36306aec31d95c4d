"""A home's records as one portable file: what `cairn backup` keeps and `cairn restore` reads.

JSON lines, compressed: a header, then for each table its name with its columns and one line for each row, then
the number of rows, without which a file is incomplete. Both databases write and read it, so it is also the way from one
to the other. What belongs to running processes (leases, demands, owners of claims) stays behind.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, cast

import msgspec

from cairn.errors import HomeError, InputRefused
from cairn.records import claims, migrating
from cairn.records.connection import Connection, Row
from cairn.records.migrations import migrations

FORMAT = 1
_PAGE = 2000
_encoder = msgspec.json.Encoder()

# In an order in which every row finds what it refers to; the columns by which a table is read, page by page.
_TABLES: dict[str, tuple[str, ...]] = {
    "settings": ("name",),
    "metadata_stores": ("n",),
    "specs": ("digest",),
    "runs": ("n",),
    "run_labels": ("run", "name"),
    "claims": ("run",),
    "tasks": ("n",),
    "attempts": ("n",),
    "journal": ("sequence",),
    "requests": ("sequence",),
    "contexts": ("n",),
    "context_parents": ("child", "parent"),
    "executions": ("n",),
    "artifacts": ("n",),
    "events": ("execution", "type", "name", "position"),
    "associations": ("context", "execution"),
    "attributions": ("context", "artifact"),
    "cache_entries": ("n",),
    "spills": ("run", "uri"),
    "documents": ("n",),
    "document_labels": ("document", "name"),
    "time_series": ("document",),
    "time_series_points": ("series", "step"),
    "credentials": ("id",),
}


class _Header(msgspec.Struct):
    cairn_records: int  # FORMAT
    schema: int
    sequence: int
    writes: int


class _Table(msgspec.Struct, tag="table", tag_field="kind"):
    table: str
    columns: list[str]


class _End(msgspec.Struct, tag="end", tag_field="kind"):
    rows: int


def write(connection: Connection, path: str) -> int:
    """One state of the database, while others write; how many rows. The file appears when it is complete."""
    partial = f"{path}.partial"
    connection.begin_reading()
    try:
        with gzip.open(partial, "wb", compresslevel=1) as file:
            rows = _write_all(connection, cast(BinaryIO, file))
        with open(partial, "rb") as written:
            os.fsync(written.fileno())
        os.replace(partial, path)
    finally:
        connection.rollback()
    return rows


def read(connection: Connection, path: str) -> int:
    """Fill a database that is empty; how many rows. Raises InputRefused when it is not, or the file is not whole."""
    try:
        with gzip.open(path, "rb") as file:
            lines = iter(file)
            header = msgspec.json.decode(next(lines, b""), type=_Header)
            if header.cairn_records != FORMAT or header.schema > migrating.VERSION:
                raise HomeError("was written by a newer Cairn", place=path, remedy="upgrade Cairn")
            if connection.schema_version() in (0, header.schema):
                migrating.migrate(connection, steps=migrations()[: header.schema])
            return _read_all(connection, path, header, lines)
    except (OSError, EOFError, zlib.error, msgspec.MsgspecError) as error:
        raise InputRefused(f"is not a whole backup: {error}", place=path) from error


def _write_all(connection: Connection, file: BinaryIO) -> int:
    head = connection.one("SELECT sequence, writes FROM head") or (0, 0)
    _line(file, _Header(FORMAT, connection.schema_version(), *head))
    count = 0
    for table, key in _TABLES.items():
        columns = connection.columns(table)
        _line(file, _Table(table, columns))
        for row in _rows(connection, table, columns, key):
            _line(file, row)
            count += 1
    _line(file, _End(count))
    return count


def _rows(connection: Connection, table: str, columns: Sequence[str], key: tuple[str, ...]) -> Iterator[Row]:
    """Page by page, so that memory does not grow with the table."""
    names, order = ", ".join(columns), ", ".join(key)
    places = [columns.index(column) for column in key]
    page = connection.query(f"SELECT {names} FROM {table} ORDER BY {order} LIMIT {_PAGE}")
    marks = ", ".join("?" * len(key))
    after = f"SELECT {names} FROM {table} WHERE ({order}) > ({marks}) ORDER BY {order} LIMIT {_PAGE}"
    while page:
        yield from page
        page = connection.query(after, [page[-1][place] for place in places]) if len(page) == _PAGE else []


def _read_all(connection: Connection, path: str, header: _Header, lines: Iterator[bytes]) -> int:
    connection.begin()
    try:
        if connection.schema_version() != header.schema or connection.one("SELECT 1 FROM runs"):
            raise InputRefused("is in use already", place=connection.place, remedy="restore into an empty home")
        connection.run("DELETE FROM settings")
        count = _fill(connection, path, lines)
        claims.release_all(connection)
        connection.run("UPDATE head SET sequence = ?, writes = ?", (header.sequence, header.writes + 1))
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return count


def _fill(connection: Connection, path: str, lines: Iterator[bytes]) -> int:
    sql, pending, count = "", list[list[Any]](), 0
    for line in lines:
        what = msgspec.json.decode(line, type=list[Any] | _Table | _End)
        if isinstance(what, list):
            pending.append(what)
            if len(pending) < _PAGE:
                continue
        count += len(pending)
        if pending:
            connection.many(sql, pending)
            pending = []
        if isinstance(what, _Table):
            sql = _insert(what)
        elif isinstance(what, _End):
            if what.rows != count or next(lines, None) is not None:  # which reads the checksum too
                break
            for table, key in _TABLES.items():
                if key == ("n",):
                    connection.number_after(table)
            return count
    raise InputRefused("is not a whole backup: its end is missing", place=path)


def _insert(what: _Table) -> str:
    if what.table not in _TABLES or not all(column.isidentifier() for column in what.columns):
        raise InputRefused(f"is not a backup of records: it has a table {what.table!r}")
    return f"INSERT INTO {what.table} ({', '.join(what.columns)}) VALUES ({', '.join('?' * len(what.columns))})"


def _line(file: BinaryIO, value: Any) -> None:
    file.write(_encoder.encode(value) + b"\n")
