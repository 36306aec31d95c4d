"""A few values that all processes of a home share."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from cairn.records.connection import Connection

T = TypeVar("T")


def put(connection: Connection, name: str, value: Any) -> None:
    connection.run(
        "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, msgspec.json.encode(value).decode()),
    )


def get(connection: Connection, name: str, type_: type[T]) -> T | None:
    row = connection.one("SELECT value FROM settings WHERE name = ?", (name,))
    return msgspec.json.decode(row[0], type=type_) if row else None
