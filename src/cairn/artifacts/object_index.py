"""What a tree cannot say of an object: generations, attributes, checksums. `HOME/buckets/index.db`.

The tree is the truth: a row counts only while size, modification time and inode are what it was written for. Without
the index every object is still there, with the attributes of a file that a step wrote.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from cairn.domain.objects import Attributes
from cairn.errors import HomeError, RecordsBusy, StorageFull

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    bucket          TEXT NOT NULL,
    name            TEXT NOT NULL,
    size            INTEGER NOT NULL,
    mtime           INTEGER NOT NULL,   -- nanoseconds since the epoch
    inode           INTEGER NOT NULL,   -- 0: any (a restored backup has inodes of its own)
    generation      INTEGER NOT NULL,
    metageneration  INTEGER NOT NULL,
    created         INTEGER NOT NULL,   -- microseconds since the epoch
    updated         INTEGER NOT NULL,
    crc32c          TEXT NOT NULL,
    md5             TEXT NOT NULL,
    components      INTEGER NOT NULL,
    attributes      TEXT NOT NULL,
    PRIMARY KEY (bucket, name)
) WITHOUT ROWID
"""
_MARKERS = "CREATE INDEX IF NOT EXISTS markers ON objects (bucket, name) WHERE substr(name, -1) = '/'"
_COLUMNS = "name, size, mtime, inode, generation, metageneration, created, updated, crc32c, md5, components, attributes"
_BUSY_SECONDS = 30.0
_BATCH = 500  # names in one query


class Row(msgspec.Struct, frozen=True):
    """Of the object `name`, as it was when the row was written."""

    name: str
    size: int
    mtime: int
    inode: int
    generation: int
    metageneration: int
    created: int
    updated: int
    crc32c: str = ""
    md5: str = ""
    components: int = 0
    attributes: Attributes = Attributes()

    def fits(self, seen: os.stat_result) -> bool:
        same = self.size == seen.st_size and self.mtime == seen.st_mtime_ns
        return same and self.inode in {0, seen.st_ino}


class ObjectIndex:
    """Threads and processes: any. A thread has its own connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def rows(self, bucket: str, names: Sequence[str]) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for first in range(0, len(names), _BATCH):
            some = names[first : first + _BATCH]
            sql = f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND name IN ({','.join('?' * len(some))})"
            for row in self._connection().execute(sql, (bucket, *some)):
                found[row[0]] = _row(row)
        return found

    def row(self, bucket: str, name: str) -> Row | None:
        return self.rows(bucket, [name]).get(name)

    def markers(self, bucket: str, prefix: str) -> frozenset[str]:
        """Directories under the prefix that were made as objects."""
        sql = "SELECT name FROM objects WHERE bucket = ? AND name >= ? AND name < ? AND substr(name, -1) = '/'"
        rows = self._connection().execute(sql, (bucket, prefix, f"{prefix}\U0010ffff"))
        return frozenset(name for (name,) in rows)

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """One change at a time, in all processes: what is renamed in here and what is written fit together.

        Raises RecordsBusy, StorageFull.
        """
        connection = self._connection()
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Change(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            raise _refused(error, self.path) from None

    def backup(self, target: Path) -> None:
        """A copy as of one moment. Raises HomeError."""
        if not self.path.exists():
            return
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with sqlite3.connect(target) as copy:
                self._connection().backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
                copy.execute("UPDATE objects SET inode = 0")
            copy.close()
        except sqlite3.Error as error:
            raise HomeError(f"cannot be copied: {error}", place=str(self.path)) from None

    def close(self) -> None:
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
        self._local = threading.local()

    def _connection(self) -> sqlite3.Connection:
        made: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if made is None:
            made = self._open()
            self._local.connection = made
        return made

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return self._opened_at()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise _refused(error, self.path) from None
            # Damaged: it holds nothing that a home cannot do without, so it is put aside and begun anew.
            os.replace(self.path, self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}"))
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            return self._opened_at()

    def _opened_at(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_SCHEMA)
        connection.execute(_MARKERS)
        os.chmod(self.path, 0o600)
        with self._lock:
            self._opened.append(connection)
        return connection


class Change:
    """Inside `ObjectIndex.changing`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def row(self, bucket: str, name: str) -> Row | None:
        sql = f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND name = ?"
        found = self._connection.execute(sql, (bucket, name)).fetchone()
        return _row(found) if found else None

    def put(self, bucket: str, row: Row) -> None:
        values = (*(getattr(row, name) for name in _COLUMNS.split(", ")[:-1]), msgspec.json.encode(row.attributes))
        self._connection.execute(
            f"REPLACE INTO objects (bucket, {_COLUMNS}) VALUES ({','.join('?' * (len(values) + 1))})", (bucket, *values)
        )

    def remove(self, bucket: str, name: str) -> None:
        self._connection.execute("DELETE FROM objects WHERE bucket = ? AND name = ?", (bucket, name))

    def remove_all(self, bucket: str) -> None:
        self._connection.execute("DELETE FROM objects WHERE bucket = ?", (bucket,))


def _row(columns: Sequence[Any]) -> Row:
    values: list[Any] = [*columns[:-1], msgspec.json.decode(columns[-1], type=Attributes)]
    return Row(*values)


def _refused(error: sqlite3.OperationalError, path: Path) -> Exception:
    if error.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return RecordsBusy("another process holds the index of objects", place=str(path))
    if error.sqlite_errorcode in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
        return StorageFull(f"the index of objects cannot be written: {error}", place=str(path))
    return HomeError(f"the index of objects cannot be used: {error}", place=str(path))
