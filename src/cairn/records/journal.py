"""The journal: what has changed, in the order of commits."""

from __future__ import annotations

from cairn.domain.runs import JournalEntry
from cairn.records.connection import Connection
from cairn.records.encoding import mapping

_READ = "SELECT j.sequence, r.uid, j.time, j.kind, j.path, j.state, j.detail FROM journal j JOIN runs r ON r.n = j.run"


def read(connection: Connection, after: int, run: int | None, limit: int) -> list[JournalEntry]:
    if run is None:
        rows = connection.query(f"{_READ} WHERE j.sequence > ? ORDER BY j.sequence LIMIT ?", (after, limit))
    else:
        sql = f"{_READ} WHERE j.run = ? AND j.sequence > ? ORDER BY j.sequence LIMIT ?"
        rows = connection.query(sql, (run, after, limit))
    return [
        JournalEntry(sequence, uid, time, kind, path, state, mapping.decode(detail))
        for sequence, uid, time, kind, path, state, detail in rows
    ]


def last(connection: Connection) -> int:
    row = connection.one("SELECT sequence FROM head")
    return int(row[0]) if row else 0
