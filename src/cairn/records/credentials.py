"""Credentials: who may ask the API, and as whom; the attempts whose steps may."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cairn.domain.credentials import Credential
from cairn.errors import AlreadyExists, NotFound
from cairn.records.connection import Connection, Row

_READ = "SELECT id, kind, verifier, identity, roles, create_time, expire_time, use_time FROM credentials"
_roles = msgspec.json.Decoder(dict[str, str])


def create(connection: Connection, credential: Credential) -> None:
    """Raises AlreadyExists."""
    if connection.one("SELECT 1 FROM credentials WHERE id = ?", (credential.id,)):
        raise AlreadyExists(f"there is a credential {credential.id!r} already")
    connection.run(
        "INSERT INTO credentials (id, kind, verifier, identity, roles, create_time, expire_time, use_time) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            credential.id,
            credential.kind,
            credential.verifier,
            credential.identity,
            msgspec.json.encode(credential.roles).decode(),
            credential.create_time,
            credential.expire_time,
            credential.use_time,
        ),
    )


def delete(connection: Connection, id_: str) -> None:
    """Raises NotFound."""
    if not connection.run("DELETE FROM credentials WHERE id = ?", (id_,)):
        raise NotFound(f"there is no credential {id_!r}", remedy="`cairn tokens list` shows what there is")


def used(connection: Connection, id_: str, time: int) -> None:
    connection.run("UPDATE credentials SET use_time = ? WHERE id = ? AND use_time < ?", (time, id_, time))


def by_id(connection: Connection, id_: str) -> Credential | None:
    return _one(connection.one(f"{_READ} WHERE id = ?", (id_,)))


def by_verifier(connection: Connection, verifier: str) -> Credential | None:
    return _one(connection.one(f"{_READ} WHERE verifier = ?", (verifier,)))


def listed(connection: Connection) -> list[Credential]:
    """In the order in which they were made."""
    return [_credential(row) for row in connection.query(f"{_READ} ORDER BY create_time, id")]


def any_at(connection: Connection, now: int) -> bool:
    """Whether there is one that has not expired."""
    return connection.one("SELECT 1 FROM credentials WHERE expire_time = 0 OR expire_time > ?", (now,)) is not None


def running_in(connection: Connection, attempt: str) -> str | None:
    """The project of a running attempt; None when it has ended, or is not known."""
    # By its lease: written and removed in the very transactions in which the attempt begins and ends.
    sql = (
        "SELECT s.project FROM leases l JOIN runs r ON r.n = l.run JOIN metadata_stores s ON s.n = r.store "
        "WHERE l.attempt = ?"
    )
    row = connection.one(sql, (attempt,))
    return str(row[0]) if row else None


def _one(row: Row | None) -> Credential | None:
    return _credential(row) if row else None


def _credential(row: Sequence[object]) -> Credential:
    values = list(row)
    values[4] = _roles.decode(str(row[4]))
    return Credential(*values)  # type: ignore[arg-type]
