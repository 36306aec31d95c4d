"""Bringing a database to the version that this Cairn knows."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from cairn.errors import HomeError
from cairn.records.connection import Connection
from cairn.records.migrations import migrations, render

VERSION = 3  # the number of the last migration


def migrate(
    connection: Connection,
    *,
    before: Callable[[int], object] | None = None,
    steps: Sequence[str] | None = None,
) -> None:
    """Apply what is missing, in one transaction. `before(version)` is called when there is something to lose.

    Raises HomeError for a database of a newer version.
    """
    target = len(steps) if steps is not None else VERSION
    if _lacks(connection, target) == 0:
        return
    sql = list(steps) if steps is not None else migrations()
    connection.references(checked=False)  # a table may be built anew under its name
    connection.begin()
    try:
        version = target - _lacks(connection, target)  # another process may have been faster
        if 0 < version < target and before is not None:
            before(version)
        if version == 0:
            connection.script(render(sql[0], connection.dialect))
            head = "INSERT INTO head (one, sequence, writes, identity) VALUES (1, 0, 0, ?)"
            connection.run(head, (os.urandom(16).hex(),))
        for step in sql[max(version, 1) : target]:
            connection.script(render(step, connection.dialect))
        if version < target:
            connection.set_schema_version(target)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    finally:
        connection.references(checked=True)


def _lacks(connection: Connection, target: int) -> int:
    version = connection.schema_version()
    if version > target:
        raise HomeError(
            f"was written by a newer Cairn (version {version} of its records; this one knows {target})",
            place=connection.place,
            remedy="upgrade Cairn, or set CAIRN_HOME to another directory",
        )
    return target - version
