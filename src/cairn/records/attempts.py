"""Attempts: every try of every leaf task."""

from __future__ import annotations

from collections.abc import Iterable

from cairn.domain.runs import AttemptRecord
from cairn.records.connection import Connection
from cairn.records.encoding import Codec, encode

_codec = Codec(AttemptRecord)
_UPSERT = (
    "INSERT INTO attempts (run, path, number, uid, state, directory, body) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (run, path, number) DO UPDATE SET uid = excluded.uid, state = excluded.state, "
    "directory = excluded.directory, body = excluded.body"
)


def write(connection: Connection, records: Iterable[tuple[int, AttemptRecord]]) -> None:
    connection.many(
        _UPSERT,
        [(run, one.path, one.number, one.uid, one.state, one.directory, encode(one)) for run, one in records],
    )


def read(connection: Connection, run: int) -> list[AttemptRecord]:
    """By path and number."""
    rows = connection.query("SELECT body FROM attempts WHERE run = ? ORDER BY path, number", (run,))
    return [_codec.decode(text) for (text,) in rows]
