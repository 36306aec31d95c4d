"""One write transaction: the journal's entries are numbered in it, so that their order is the order of commits."""

from __future__ import annotations

import time
from types import TracebackType

import msgspec

from cairn.errors import HomeError, RecordsError
from cairn.records.connection import Connection

_detail = msgspec.json.Encoder()


class Writing:
    """`with Writing(connection) as writing:` commits at the end, or rolls everything back when something is raised.

    Being the only writer between `begin` and `commit`, it may count by itself; readers never see a number that is lower
    than one they have seen already.
    """

    __slots__ = ("_entries", "connection", "sequence", "time", "writes")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sequence = 0
        self.writes = 0
        self.time = 0
        self._entries: list[tuple[int, int, int, str, str, str, str]] = []

    def __enter__(self) -> Writing:
        self.connection.begin()
        try:
            head = self.connection.one("SELECT sequence, writes FROM head")
            if head is None:
                raise HomeError("its head record is missing", place=self.connection.place)
        except BaseException:
            self.connection.rollback()
            raise
        self.sequence, self.writes = head
        self.time = time.time_ns() // 1000
        return self

    def entry(self, run: int, kind: str, path: str, state: str, detail: dict[str, object] | None = None) -> int:
        """Append to the journal; the entry's number."""
        self.sequence += 1
        text = _detail.encode(detail).decode() if detail else "{}"
        self._entries.append((self.sequence, run, self.time, kind, path, state, text))
        return self.sequence

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.connection.rollback()
            return
        try:
            self._finish()
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.acknowledged(self.writes)

    def _finish(self) -> None:
        if self._entries:
            self.connection.many(
                "INSERT INTO journal (sequence, run, time, kind, path, state, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
                self._entries,
            )
        self.writes += 1
        if self.connection.run("UPDATE head SET sequence = ?, writes = ?", (self.sequence, self.writes)) != 1:
            raise RecordsError("the head record could not be written", place=self.connection.place)
        self.connection.commit()
