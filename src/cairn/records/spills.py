"""Which run refers to which spilled parameter: what a deletion may free."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cairn.records.connection import Connection
from cairn.records.encoding import spilled


def keep(connection: Connection, run: int, values: Iterable[Any]) -> None:
    rows = [(run, uri) for value in values for uri in spilled(value)]
    if rows:
        connection.many("INSERT INTO spills (run, uri) VALUES (?, ?) ON CONFLICT (run, uri) DO NOTHING", rows)
