"""The thin layer between the aggregates' SQL and a database.

SQL is written once: `?` for parameters, `ON CONFLICT` for upserts, standard types. A connection belongs to one
thread at a time and raises classes of `cairn.errors` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeAlias

Row: TypeAlias = tuple[Any, ...]


class Connection(Protocol):
    dialect: str  # sqlite | postgres
    place: str  # the database as a user knows it: its file, or its URL without the password

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows."""

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """The first row, if any."""

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Write; how many rows it changed."""

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Write once for each row."""

    def columns(self, table: str) -> list[str]:
        """Names of a table's columns, in their order."""

    def script(self, sql: str) -> None:
        """Run a migration's statements within the transaction that is open."""

    def references(self, *, checked: bool) -> None:
        """Whether rows must find what they refer to, outside of transactions; where a migration needs it unchecked."""

    def begin(self) -> None:
        """Become the only writer. Waits for the other ones; raises RecordsBusy when that takes too long."""

    def begin_reading(self) -> None:
        """From here to `rollback`, all queries see one state."""

    def commit(self) -> None:
        """Returns when what was written survives a power cut; raises with nothing written."""

    def rollback(self) -> None:
        """Forget what was written since `begin`; no error when nothing was begun."""

    def acknowledged(self, writes: int) -> None:
        """The transaction that counted up to `writes` is about to be reported as done."""

    def clock(self) -> int:
        """Microseconds since the Unix epoch as everybody who shares this database sees them."""

    def schema_version(self) -> int:
        """0 for a database without tables."""

    def set_schema_version(self, version: int) -> None: ...

    def number_after(self, table: str) -> None:
        """New rows of `table` get keys above those that were put in with theirs."""

    def check(self) -> list[str]:
        """What is wrong with the database's structure; empty when nothing is."""

    def close(self) -> None: ...


def padded(values: Sequence[Any]) -> tuple[str, list[Any]]:
    """Placeholders for an IN list and its values, repeated up to a round length so that few statements are prepared."""
    size = next(step for step in (1, 4, 16, 64, 256, 1024, 4096, 16384) if step >= len(values))
    filled = list(values) + [values[-1]] * (size - len(values))
    return ",".join("?" * size), filled


def chunks(values: Sequence[Any], size: int = 1024) -> Iterable[Sequence[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))
