"""SQLite: one file, write-ahead log, synchronous=FULL, one write transaction at a time."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from cairn.errors import CairnError, HomeError, RecordsBusy, RecordsError, StorageFull
from cairn.records import owners, watermark
from cairn.records.connection import Row

APPLICATION_ID = 0x43524E31  # "CRN1"; in the file's header, so that `file` and we know whose it is
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")
_FULL = ("SQLITE_FULL", "SQLITE_IOERR")
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_CORRUPTFS", "SQLITE_IOERR_SHORT_READ", "SQLITE_IOERR_DATA")
_RESTORE = "restore a backup into an empty home: `cairn restore`"


class _WriteTurn:
    """Whose turn it is to write among the threads of this process: they wait for each other here, woken when it is
    theirs, and only the first of them polls for what other processes hold."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()


_turns: weakref.WeakValueDictionary[str, _WriteTurn] = weakref.WeakValueDictionary()  # by the file's path
_turns_lock = threading.Lock()


def _forget_turns() -> None:
    """In a forked child: the threads that had them are not there."""
    global _turns, _turns_lock
    _turns, _turns_lock = weakref.WeakValueDictionary(), threading.Lock()


os.register_at_fork(after_in_child=_forget_turns)


class SqliteConnection:
    """See `Connection`. `place` is the file's path."""

    dialect = "sqlite"

    def __init__(self, path: str, *, busy_timeout_seconds: float = 60.0) -> None:
        self.place = path
        with _turns_lock:
            self._turn = _turns.setdefault(path, _WriteTurn())
        self._has_turn = False
        self._patience = busy_timeout_seconds
        self._mark: watermark.Watermark | None = None
        self._writes = 0
        self._refuse_fragment()
        try:
            # Waiting is done here, with jitter, and not by SQLite's handler, which sleeps up to 0.1 s at a time.
            self._raw = sqlite3.connect(
                path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256
            )
        except sqlite3.Error as error:
            raise translated(error, path) from error
        try:
            self._configure()
        except BaseException:
            self._raw.close()
            raise

    def _refuse_fragment(self) -> None:
        """SQLite takes a file that is shorter than its header for an empty one."""
        try:
            size = os.stat(self.place).st_size
        except OSError:
            return
        if 0 < size < 512:
            raise HomeError("is damaged: it ends within its header", place=self.place, remedy=_RESTORE)

    def _configure(self) -> None:
        if self.query("PRAGMA journal_mode = WAL") != [("wal",)]:
            raise HomeError("its file system lacks the shared memory that SQLite needs", place=self.place)
        for setting in ("synchronous = FULL", "foreign_keys = ON", "cache_size = -16000", "temp_store = MEMORY"):
            self._raw.execute(f"PRAGMA {setting}")
        self._raw.execute("PRAGMA journal_size_limit = 67108864")

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        try:
            return self._raw.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            return self._again(error, sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        rows = self.query(sql, parameters)
        return rows[0] if rows else None

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        try:
            return self._raw.execute(sql, parameters).rowcount
        except sqlite3.Error as error:
            return self._again(error, sql, parameters).rowcount

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        try:
            self._raw.executemany(sql, rows)
        except sqlite3.Error as error:
            raise translated(error, self.place) from error

    def columns(self, table: str) -> list[str]:
        return [row[1] for row in self.query(f"PRAGMA table_info({table})")]

    def script(self, sql: str) -> None:
        for statement in sql.split(";"):
            if statement.strip():
                self.run(statement)

    def references(self, *, checked: bool) -> None:
        self.run(f"PRAGMA foreign_keys = {'ON' if checked else 'OFF'}")

    def begin(self) -> None:
        if not self._has_turn:
            self._has_turn = self._turn.lock.acquire(timeout=self._patience)
            if not self._has_turn:
                raise self._too_busy()
        try:
            self.run("BEGIN IMMEDIATE")
        except BaseException:
            if not self._raw.in_transaction:
                self._end_turn()
            raise

    def begin_reading(self) -> None:
        self.run("BEGIN")
        self.query("SELECT 1 FROM sqlite_master LIMIT 1")  # the snapshot is taken by the first read

    def commit(self) -> None:
        self.run("COMMIT")
        self._end_turn()

    def rollback(self) -> None:
        try:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # some errors roll back by themselves; the first error is the one to report
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turn.lock.release()

    def acknowledged(self, writes: int) -> None:
        self._writes = writes
        if self._mark is not None:
            self._mark.record(writes)

    def clock(self) -> int:
        return time.time_ns() // 1000

    def schema_version(self) -> int:
        # In one statement, and so of one state: another process may be making the database just now.
        [(version, application, tables)] = self.query(
            "SELECT user_version, application_id, EXISTS (SELECT 1 FROM sqlite_master) "
            "FROM pragma_user_version, pragma_application_id"
        )
        if application != APPLICATION_ID and (version or tables):
            raise HomeError("is a database of another program", place=self.place, remedy="set CAIRN_HOME elsewhere")
        return int(version)

    def set_schema_version(self, version: int) -> None:
        self.run(f"PRAGMA application_id = {APPLICATION_ID}")
        self.run(f"PRAGMA user_version = {version}")

    def number_after(self, table: str) -> None:
        """SQLite sees to it by itself."""

    def check(self) -> list[str]:
        try:
            found = self.query("PRAGMA integrity_check") + self.query("PRAGMA foreign_key_check")
        except HomeError as error:
            return [error.message]
        return [" ".join(map(str, row)) for row in found if row != ("ok",)]

    def watch(self, *, check: bool) -> None:
        """Keep the watermark from now on. With `check`, compare with it first: raises HomeError when acknowledged
        transactions are missing or the file is damaged."""
        mark = watermark.read(self.place) if check else None  # before the head, which others move on meanwhile
        head = self.one("SELECT identity, writes FROM head")
        if head is None:
            raise HomeError("is damaged: its head record is missing", place=self.place, remedy=_RESTORE)
        identity, self._writes = head
        if check:
            self._compare(mark, identity)
        self._mark = watermark.Watermark(self.place, owners.boot_id(), identity)

    def refuse_emptied(self) -> None:
        """Before a database without tables is made a new one: raises HomeError when it had something in it."""
        mark = watermark.read(self.place)
        if mark is not None and mark.boot_id == owners.boot_id() and mark.writes and not self.schema_version():
            self._missing(mark.writes)

    def _missing(self, transactions: int) -> NoReturn:
        raise HomeError(
            f"{transactions} acknowledged transactions are missing: it was truncated, removed or replaced",
            place=self.place + "-wal",
            remedy=f"{_RESTORE}; or, to go on without them, remove {watermark.path_of(self.place)}",
        )

    def _compare(self, mark: watermark.Mark | None, identity: str) -> None:
        known = mark is not None and mark.identity == identity and mark.boot_id == owners.boot_id()
        if mark is not None and known and self._writes < mark.writes:
            self._missing(mark.writes - self._writes)
        status = os.stat(self.place)
        if mark is None or (mark.changed, mark.size) != (status.st_mtime_ns, status.st_size):
            problem = self.one("PRAGMA quick_check(1)")
            if problem != ("ok",):
                raise HomeError(f"is damaged: {problem and problem[0]}", place=self.place, remedy=_RESTORE)

    def copy_to(self, path: str) -> None:
        """A consistent copy of the whole file while others write; without what this connection has not committed."""
        source, target = sqlite3.connect(self.place), sqlite3.connect(path)
        try:
            source.backup(target)
        except sqlite3.Error as error:
            raise translated(error, path) from error
        finally:
            target.close()
            source.close()

    def close(self) -> None:
        self._raw.close()
        self._end_turn()
        if self._mark is not None:
            self._mark.record_close(self._writes)  # the last connection's close has moved the log into the file
            self._mark.close()
            self._mark = None

    def _again(self, error: sqlite3.Error, sql: str, parameters: Sequence[Any]) -> sqlite3.Cursor:
        """A statement that met another process's lock is repeated until it succeeds or patience ends."""
        give_up = time.monotonic() + self._patience
        pause = 0.0005
        while _name(error).startswith(_BUSY) and not self._raw.in_transaction:
            if time.monotonic() >= give_up:
                raise self._too_busy() from error
            time.sleep(pause * (0.5 + time.perf_counter_ns() % 997 / 1994))  # each process another share of it
            pause = min(pause * 1.5, 0.02)
            try:
                return self._raw.execute(sql, parameters)
            except sqlite3.Error as next_error:
                error = next_error
        raise translated(error, self.place) from error

    def _too_busy(self) -> RecordsBusy:
        return RecordsBusy(f"others have held the database for more than {self._patience:g} s", place=self.place)


def _name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", "")


def translated(error: sqlite3.Error, place: str) -> CairnError:
    """SQLite's error as one of ours."""
    name = _name(error)
    if name.startswith(_DAMAGED):
        return HomeError(f"is damaged: {error}", place=place, remedy=_RESTORE)
    if name.startswith(_BUSY):
        return RecordsBusy(f"another process holds the database: {error}", place=place)
    if name.startswith(_FULL) or (name.startswith("SQLITE_CANTOPEN") and _no_space(place)):
        return StorageFull(f"cannot be written: {error}", place=place)
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return HomeError(
            f"cannot be used: {error}", place=place, remedy="give yourself permission to read and write it"
        )
    return RecordsError(f"the database refused: {error} ({name or type(error).__name__})", place=place)


def _no_space(place: str) -> bool:
    try:
        return os.statvfs(os.path.dirname(place) or ".").f_bavail == 0
    except OSError:
        return False
