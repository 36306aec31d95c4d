"""Event files: those that real writers have left in `tests/unit/tensorboards/files`, and what is written by hand."""

from __future__ import annotations

import struct
from pathlib import Path

from cairn.tensorboards import wire
from cairn.tensorboards.event_files import records
from cairn.tensorboards.events import Value, values_of

FILES = Path(__file__).parents[1] / "unit/tensorboards/files"
NAME = "events.out.tfevents.1000.host"


def values(run: str) -> list[Value]:
    plugins: dict = {}
    return [value for record in records(str(FILES / run / NAME)) for value in values_of(record.content, plugins)]


def scalar_event(tag: str, step: int, value: float, wall_time: float = 1.0) -> bytes:
    said = wire.tagged(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
    return b"\x09" + struct.pack("<d", wall_time) + wire.tagged(2, step) + wire.tagged(5, wire.tagged(1, said))
