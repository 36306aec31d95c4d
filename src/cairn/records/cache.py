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


def nearest(connection: Connection, scope: str, component: str, before: int, path: str) -> CacheEntry | None:
    older, values = (" AND c.create_time < ?", (before,)) if before else ("", ())
    for place in dict.fromkeys((path, "")):
        here, paths = (" AND c.path = ?", (place,)) if place else ("", ())
        sql = f"{_READ} WHERE c.scope = ? AND c.component = ?{older}{here} ORDER BY c.n DESC LIMIT 1"
        row = connection.one(sql, (scope, component, *values, *paths))
        if row:
            return _entry(row)
    return None


def listed(connection: Connection, scope: str, component: str, run: int | None, limit: int) -> list[CacheEntry]:
    chosen = {"scope": scope, "component": component, "run": run}
    where = "".join(f" AND c.{column} = ?" for column, value in chosen.items() if value not in ("", None))
    values = [value for value in chosen.values() if value not in ("", None)]
    rows = connection.query(
        f"{_READ} WHERE NOT EXISTS (SELECT 1 FROM cache_entries o WHERE o.key = c.key AND o.scope = c.scope AND "
        "(o.create_time > c.create_time OR (o.create_time = c.create_time AND o.n > c.n)))"
        f"{where} ORDER BY c.create_time DESC, c.n DESC LIMIT ?",
        [*values, limit],
    )
    return [_entry(row) for row in rows]


def forget(connection: Connection, scope: str, component: str, keys: Sequence[str] | None) -> int:
    chosen = {"scope": scope, "component": component}
    where = " AND ".join(["1 = 1", *(f"{column} = ?" for column, value in chosen.items() if value)])
    values = [value for value in chosen.values() if value]
    if keys is None:
        return connection.run(f"DELETE FROM cache_entries WHERE {where}", values)
    count = 0
    for part in chunks(list(dict.fromkeys(keys))):
        marks, filled = padded(part)
        count += connection.run(f"DELETE FROM cache_entries WHERE {where} AND key IN ({marks})", [*values, *filled])
    return count


def _entry(row: Row) -> CacheEntry:
    scope, key, run_uid, path, create_time, component, text = row
    body = _codec.decode(text)
    return CacheEntry(scope, key, run_uid, path, body.parts, body.outputs, create_time, component)
