"""An experiment's points as event files again: for the real TensorBoard, and for whoever wants to take them away."""

from __future__ import annotations

import base64
import os
import shutil
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from cairn.errors import NotFound
from cairn.tensorboards import wire
from cairn.tensorboards.event_files import framed
from cairn.tensorboards.events import ValueKind, strings_tensor
from cairn.tensorboards.service import TensorboardService
from cairn.tensorboards.types import Entry, Level, Point, Where

_FILE = "events.out.tfevents.cairn"
_VERSION = b"brain.Event:2"
_PAGE = 1000


def export(service: TensorboardService, path: tuple[str, ...], where: Where, directory: Path) -> list[str]:
    """Write an experiment's runs below `directory`, in place of what is there; their names. Raises NotFound."""
    service.get(Level.EXPERIMENT, path, where)
    fresh = directory.with_name(f"{directory.name}.{os.getpid()}.{time.monotonic_ns()}")
    names = []
    try:
        for run in _all(service, Level.RUN, path, where):
            folder = fresh / _folder(run.display_name or run.id)
            folder.mkdir(parents=True, exist_ok=True)
            names.append(str(folder.relative_to(fresh)))
            with open(folder / _FILE, "ab") as file:
                file.write(framed(_event(0, time.time(), 3, _VERSION)))
                for series in _all(service, Level.SERIES, run.path, where):
                    for event in _events(service, series, where):
                        file.write(framed(event))
        fresh.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(directory, ignore_errors=True)
        fresh.rename(directory)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return names


def _all(service: TensorboardService, level: Level, parent: tuple[str, ...], where: Where) -> Iterator[Entry]:
    token = ""
    while True:
        page, token = service.page(level, parent, where, token=token, limit=_PAGE)
        yield from page
        if not token:
            return


def _folder(name: str) -> str:
    """A run's name as a path that stays below its root."""
    parts = [part for part in name.replace("\x00", "").split("/") if part not in ("", ".", "..")]
    return "/".join(part[:200] for part in parts) or "run"


def _events(service: TensorboardService, series: Entry, where: Where) -> Iterator[bytes]:
    _, points = service.read(series.path, where, most=-1)
    metadata = _metadata(series)
    for point in points:
        value = wire.tagged(1, series.display_name.encode()) + wire.tagged(9, metadata)
        try:
            value += _held(service, series, where, point)
        except NotFound:  # a blob that somebody has deleted
            continue
        yield _event(point.step, point.wall_time / 1_000_000, 5, wire.tagged(1, value))


def _held(service: TensorboardService, series: Entry, where: Where, point: Point) -> bytes:
    if isinstance(point.value, bytes):
        return wire.tagged(8, point.value)
    if isinstance(point.value, tuple):
        contents = [content for _, content in service.blobs(series.path, where, point.value)] if point.value else []
        return wire.tagged(8, strings_tensor(contents, [len(contents)]))
    return b"\x15" + struct.pack("<f", max(-3.4028235e38, min(3.4028235e38, point.value)))  # field 2, four bytes


def _metadata(series: Entry) -> bytes:
    plugin = wire.tagged(1, (series.plugin or "scalars").encode())
    plugin += wire.tagged(2, base64.b64decode(series.plugin_data)) if series.plugin_data else b""
    classes = {ValueKind.SCALAR: 1, ValueKind.TENSOR: 2, ValueKind.BLOB_SEQUENCE: 3}
    return wire.tagged(1, plugin) + wire.tagged(2, series.display_name.encode()) + wire.tagged(4, classes[series.kind])


def _event(step: int, wall_time: float, number: int, content: bytes) -> bytes:
    return b"\x09" + struct.pack("<d", wall_time) + wire.tagged(2, step & (1 << 64) - 1) + wire.tagged(number, content)
