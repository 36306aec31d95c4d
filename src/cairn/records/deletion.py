"""Removing a run, and what nothing refers to any more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from cairn.errors import InputRefused, NotFound
from cairn.records import claims
from cairn.records.connection import Connection
from cairn.records.lineage import BY_URI, is_foreign

# How URIs are indexed: what is compared, and by how many characters.
_URIS = (("artifacts", "substr(uri, 1, 200)", 200), ("spills", "uri", None))


class Freed(msgspec.Struct, frozen=True):
    """What a deletion has left without a reference; the bytes are the caller's to remove, under the home only.

    `uris` are those of artifacts and spilled parameters, `directories` those of attempts.
    """

    uris: tuple[str, ...]
    directories: tuple[str, ...]


def delete(connection: Connection, run_uid: str, run: int) -> Freed:
    claim = claims.read(connection, run)
    if claim is not None and claims.held(connection, claim):
        raise InputRefused(f"run {run_uid} is being run by process {claim.owner.pid}", remedy="cancel it first")
    directories = connection.query("SELECT directory FROM attempts WHERE run = ?", (run,))
    touched = connection.query(
        "SELECT DISTINCT v.artifact FROM events v JOIN executions e ON e.n = v.execution WHERE e.run = ?", (run,)
    )
    spilled = connection.query("SELECT uri FROM spills WHERE run = ?", (run,))
    contexts = connection.query(
        "SELECT DISTINCT s.context FROM associations s JOIN executions e ON e.n = s.execution WHERE e.run = ?", (run,)
    )
    digest = connection.one("SELECT spec_digest FROM runs WHERE n = ?", (run,))
    connection.run("DELETE FROM executions WHERE run = ?", (run,))
    if not connection.run("DELETE FROM runs WHERE n = ?", (run,)):
        raise NotFound(f"no run has the id {run_uid!r}")  # somebody else was quicker
    if digest is not None:
        connection.run(
            "DELETE FROM specs WHERE digest = ? AND NOT EXISTS (SELECT 1 FROM runs WHERE spec_digest = ?)", digest * 2
        )
    uris = _drop_artifacts(connection, [row[0] for row in touched])
    uris += [uri for (uri,) in spilled if not connection.one("SELECT 1 FROM spills WHERE uri = ?", (uri,))]
    _drop_contexts(connection, [row[0] for row in contexts])
    return Freed(tuple(dict.fromkeys(uris)), tuple(path for (path,) in directories if path))


def referenced(connection: Connection, trees: Collection[str] = ()) -> set[str]:
    """Of everything; with `trees`, what is one of these directories, lies below one or holds one."""
    if not trees:
        return {uri for (uri,) in connection.query("SELECT uri FROM artifacts UNION SELECT uri FROM spills") if uri}
    found: set[str] = set()
    for path in trees:
        for scheme in ("", "file://"):
            below = f"{scheme}{path}/"
            names = [scheme + name for name in (path, *_parents(path))]
            for table, column, length in _URIS:
                sql = f"SELECT uri FROM {table} WHERE {column} BETWEEN ? AND ? OR {column} IN ({_marks(names)})"
                values = [value[:length] for value in (below, f"{below}\U0010ffff", *names)]
                rows = connection.query(sql, values)
                found.update(uri for (uri,) in rows if uri.startswith(below) or uri in names)
    return found


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _drop_artifacts(connection: Connection, numbers: list[int]) -> list[str]:
    """Those without an event left that the engine has recorded; URIs that no other artifact has."""
    uris = []
    for number in numbers:
        if connection.one("SELECT 1 FROM events WHERE artifact = ?", (number,)):
            continue
        row = connection.one("SELECT uri, details FROM artifacts WHERE n = ?", (number,))
        if row and is_foreign(row[1]):
            continue
        connection.run("DELETE FROM artifacts WHERE n = ?", (number,))
        if row and row[0]:
            uris.append(row[0])
    return [uri for uri in uris if not connection.one(BY_URI, (uri, uri))]


def _drop_contexts(connection: Connection, numbers: list[int]) -> None:
    """Contexts of pipeline runs that have become empty; a pipeline's and an experiment's own stay."""
    connection.many(
        "DELETE FROM contexts WHERE n = ? AND schema_title = 'system.PipelineRun' "
        "AND NOT EXISTS (SELECT 1 FROM associations WHERE context = contexts.n) "
        "AND NOT EXISTS (SELECT 1 FROM attributions WHERE context = contexts.n)",
        [(number,) for number in numbers],
    )
