"""Opening the records of a home: which database, and is it fit to be used."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from cairn.domain.resources import Capacity
from cairn.errors import ConfigurationError
from cairn.records import migrating, owners
from cairn.records.connection import Connection
from cairn.records.sqlite import SqliteConnection
from cairn.records.store import Records


def open_records(
    location: str | os.PathLike[str], *, capacity: Capacity, busy_timeout_seconds: float = 60.0
) -> Records:
    """`location`: a SQLite file, made when it is not there, or `postgresql://…`.

    `capacity` counts where `Records.set_capacity` has said nothing. Raises HomeError, naming the file, when the
    database is of a newer version, damaged, or has lost what it had acknowledged; RecordsBusy and StorageFull.
    """
    place = os.fspath(location)
    if _is_url(place):
        return _open_postgres(place, capacity, busy_timeout_seconds)
    connect = partial(SqliteConnection, place, busy_timeout_seconds=busy_timeout_seconds)
    connection = connect()
    try:
        if not connection.schema_version():
            connection.refuse_emptied()
        migrating.migrate(connection, before=partial(_keep_copy, connection))
        connection.watch(check=True)
    except BaseException:
        connection.close()
        raise

    def connect_again() -> SqliteConnection:
        another = connect()
        another.watch(check=False)
        return another

    return Records(connect_again, connection, capacity, machine="")


def restore_records(location: str | os.PathLike[str], backup: str | os.PathLike[str]) -> int:
    """Fill the database at `location` from what `Records.backup` wrote, on whichever database; how many rows.

    Raises InputRefused when the database holds runs, or when the backup is not whole: then nothing is written.
    """
    from cairn.records import dump

    connection = _connect(os.fspath(location))()
    try:
        return dump.read(connection, os.fspath(backup))
    finally:
        connection.close()


def _connect(place: str, busy_timeout_seconds: float = 60.0) -> Callable[[], Connection]:
    if _is_url(place):
        try:
            from cairn.records.postgres import PostgresConnection
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "psycopg":
                raise
            raise ConfigurationError(
                "PostgreSQL needs psycopg, which is not installed",
                place="[records] url",
                remedy="install Cairn with it: pip install 'cairnflow[postgres]'",
            ) from None

        return partial(PostgresConnection, place, busy_timeout_seconds=busy_timeout_seconds)
    return partial(SqliteConnection, place, busy_timeout_seconds=busy_timeout_seconds)


def _is_url(place: str) -> bool:
    return place.startswith(("postgresql://", "postgres://"))


def _open_postgres(url: str, capacity: Capacity, busy_timeout_seconds: float) -> Records:
    connect = _connect(url, busy_timeout_seconds)
    connection = connect()
    try:
        migrating.migrate(connection)
    except BaseException:
        connection.close()
        raise
    return Records(connect, connection, capacity, machine=owners.this_host())


def _keep_copy(connection: SqliteConnection, version: int) -> None:
    """A database is copied before it is migrated."""
    connection.copy_to(f"{connection.place}.version-{version}-{os.urandom(4).hex()}")
