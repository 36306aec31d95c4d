"""PostgreSQL through psycopg 3: the same SQL, one write transaction at a time by an advisory lock.

The lock makes commits visible in the order of the journal's numbers, which sequences of the server would not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import errors

from cairn.errors import CairnError, HomeError, InputRefused, RecordsBusy, RecordsError, StorageFull
from cairn.records.connection import Row

_LOCK = 0x636169726E  # "cairn": of the write transactions of one database
_NO_SPACE = (errors.DiskFull, errors.OutOfMemory, errors.IoError, errors.ConfigurationLimitExceeded)
_BUSY = (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected, errors.SerializationFailure)
_DENIED = (
    errors.InsufficientPrivilege,
    errors.ReadOnlySqlTransaction,
    errors.DataCorrupted,
    errors.IndexCorrupted,
    errors.UndefinedTable,
    errors.UndefinedColumn,
)


class PostgresConnection:
    """See `Connection`. `place` is the URL without its password."""

    dialect = "postgres"

    def __init__(self, url: str, *, busy_timeout_seconds: float = 60.0) -> None:
        named = re.sub(r"//([^:@/]*):[^@/]*@", r"//\1@", url)
        self.place = re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", named, flags=re.IGNORECASE)
        try:
            self._raw = psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="cairn")
            # A time-out for the lock and none for statements: what was begun is finished.
            self._raw.execute(f"SET lock_timeout = {int(busy_timeout_seconds * 1000)}".encode())
            self._raw.execute(b"SET synchronous_commit = on")
        except psycopg.Error as error:
            raise translated(error, self.place) from error

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        try:
            return self._raw.execute(_dialect(sql), parameters).fetchall()
        except psycopg.Error as error:
            raise translated(error, self.place) from error

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        rows = self.query(sql, parameters)
        return rows[0] if rows else None

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        try:
            return self._raw.execute(_dialect(sql), parameters).rowcount
        except psycopg.Error as error:
            raise translated(error, self.place) from error

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        rows = list(rows)
        if not rows:
            return
        try:
            with self._raw.cursor() as cursor:
                cursor.executemany(_dialect(sql), rows)
        except psycopg.Error as error:
            raise translated(error, self.place) from error

    def columns(self, table: str) -> list[str]:
        sql = (
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped "
            "ORDER BY attnum"
        )
        return [name for (name,) in self.query(sql, (table,))]

    def script(self, sql: str) -> None:
        for statement in sql.split(";"):
            if statement.strip():
                self.run(statement)

    def references(self, *, checked: bool) -> None:
        """The server alters tables in place."""

    def begin(self) -> None:
        self.run("BEGIN")
        try:
            self.query("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
        except CairnError:
            self.rollback()
            raise

    def begin_reading(self) -> None:
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def commit(self) -> None:
        self.run("COMMIT")

    def rollback(self) -> None:
        try:
            self._raw.rollback()
        except psycopg.Error:
            pass  # the connection is gone, and the transaction with it

    def acknowledged(self, writes: int) -> None:
        """The server keeps its own log."""

    def clock(self) -> int:
        [(microseconds,)] = self.query("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return int(microseconds)

    def schema_version(self) -> int:
        if self.query("SELECT to_regclass('cairn_schema')") == [(None,)]:
            return 0
        [(version,)] = self.query("SELECT version FROM cairn_schema")
        return int(version)

    def set_schema_version(self, version: int) -> None:
        self.run("CREATE TABLE IF NOT EXISTS cairn_schema (version BIGINT NOT NULL)")
        self.run("DELETE FROM cairn_schema")
        self.run("INSERT INTO cairn_schema (version) VALUES (?)", (version,))

    def number_after(self, table: str) -> None:
        last = f"(SELECT coalesce(max(n), 0) + 1 FROM {table})"
        self.query(f"SELECT setval(pg_get_serial_sequence('{table}', 'n'), {last})")

    def check(self) -> list[str]:
        """The server watches over its files; `pg_amcheck` is its own tool for more."""
        return []

    def close(self) -> None:
        self._raw.close()


@lru_cache(maxsize=512)
def _dialect(sql: str) -> bytes:
    # Every statement is written in this package; what comes from outside is a parameter.
    return sql.replace("?", "%s").encode()


def translated(error: psycopg.Error, place: str) -> CairnError:
    """psycopg's error as one of ours."""
    said = str(error).strip().partition("\n")[0]
    if isinstance(error, _BUSY):
        return RecordsBusy(f"another process holds the database: {said}", place=place)
    if isinstance(error, _NO_SPACE):
        return StorageFull(f"cannot be written: {said}", place=place)
    if isinstance(error, _DENIED):
        return HomeError(f"cannot be used: {said}", place=place)
    if isinstance(error, errors.DataError | errors.ProgramLimitExceeded):
        return InputRefused(f"PostgreSQL cannot store this: {said}")  # who asks need not know where it is
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return HomeError(f"cannot be reached: {said}", place=place, remedy="check that the server runs")
    return RecordsError(f"the database refused: {said}", place=place)
