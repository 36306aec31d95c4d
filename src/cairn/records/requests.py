"""What other processes ask of the engine that runs a run. A row lives until it is settled.

The journal keeps the trace.
"""

from __future__ import annotations

from collections.abc import Sequence

from cairn.engine.ports import Request
from cairn.records.connection import Connection
from cairn.records.encoding import encode_mapping, mapping


def add(connection: Connection, sequence: int, run: int, kind: str, detail: dict[str, object]) -> None:
    connection.run(
        "INSERT INTO requests (sequence, run, kind, detail) VALUES (?, ?, ?, ?)",
        (sequence, run, kind, encode_mapping(detail)),
    )


def read(connection: Connection, run_uids: Sequence[str], after: int) -> list[Request]:
    # The table holds what nobody has settled yet: next to nothing, so it is filtered here.
    rows = connection.query(
        "SELECT q.sequence, r.uid, q.kind, q.detail FROM requests q JOIN runs r ON r.n = q.run "
        "WHERE q.sequence > ? ORDER BY q.sequence",
        (after,),
    )
    wanted = frozenset(run_uids)
    return [Request(row[0], row[1], row[2], mapping.decode(row[3])) for row in rows if row[1] in wanted]


def settle(connection: Connection, run: int, sequence: int) -> None:
    connection.run("DELETE FROM requests WHERE sequence = ? AND run = ?", (sequence, run))
