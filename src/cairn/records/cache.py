"""Results that later runs may take. An entry goes when the run that made it is deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from cairn.domain.runs import TaskOutputs
from cairn.engine.ports import CacheEntry
from cairn.records import spills
from cairn.records.connection import Connection, Row, chunks, padded
from cairn.records.encoding import Codec, encode


class _Body(msgspec.Struct):
    parts: dict[str, str]
    outputs: TaskOutputs


_codec = Codec(_Body)
_READ = (
    "SELECT c.scope, c.key, r.uid, c.path, c.create_time, c.component, c.body FROM cache_entries c "
    "JOIN runs r ON r.n = c.run"
)


def write(connection: Connection, entries: Iterable[tuple[int, CacheEntry]]) -> None:
    rows = []
    for run, one in entries:
        body = encode(_Body(one.parts, one.outputs))
        rows.append((run, one.scope, one.key, one.component, one.path, one.create_time, body))
        if '"spilled"' in body:
            spills.keep(connection, run, [one.outputs])
    connection.many(
        "INSERT INTO cache_entries (run, scope, key, component, path, create_time, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def newest(connection: Connection, scope: str, keys: Sequence[str], not_before: int) -> dict[str, CacheEntry]:
    found: dict[str, Row] = {}
    for part in chunks(list(dict.fromkeys(keys))):
        marks, values = padded(part)
        sql = f"{_READ} WHERE c.scope = ? AND c.key IN ({marks}) AND c.create_time >= ?"
        for row in connection.query(sql, [scope, *values, not_before]):
            current = found.get(row[1])
            if current is None or row[4] >= current[4]:
                found[row[1]] = row
    return {key: _entry(row) for key, row in found.items()}


def nearest(connection: Connection, scope: str, component: str, before: int) -> CacheEntry | None:
    older, values = (" AND c.create_time < ?", (before,)) if before else ("", ())
    sql = f"{_READ} WHERE c.scope = ? AND c.component = ?{older} ORDER BY c.n DESC LIMIT 1"
    row = connection.one(sql, (scope, component, *values))
    return _entry(row) if row else None


def forget(connection: Connection, scope: str, component: str, key: str) -> int:
    where, values = "scope = ?", [scope]
    if component:
        where, values = f"{where} AND component = ?", [*values, component]
    if key:
        where, values = f"{where} AND key = ?", [*values, key]
    return connection.run(f"DELETE FROM cache_entries WHERE {where}", values)


def _entry(row: Row) -> CacheEntry:
    scope, key, run_uid, path, create_time, component, text = row
    body = _codec.decode(text)
    return CacheEntry(scope, key, run_uid, path, body.parts, body.outputs, create_time, component)
