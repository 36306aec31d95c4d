"""The scalars of a log directory, from where the last look ended: what a training says of itself while it goes on."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from cairn.tensorboards import wire
from cairn.tensorboards.event_files import Damaged, event_files, records
from cairn.tensorboards.events import Plugin, ValueKind, values_of

_DAMAGED = -1  # in place of an offset: nothing more is read of that file


class ScalarPoint(msgspec.Struct, frozen=True):
    """`wall_time`: seconds since the epoch. `run`: the directory below the log directory, "." for that itself."""

    tag: str
    step: int
    value: float
    wall_time: float
    run: str = "."


class Scalars(msgspec.Struct, frozen=True):
    """In the order in which they were written. `position` is given back to the next look; it is plain JSON."""

    points: tuple[ScalarPoint, ...]
    position: dict[str, int]

    def latest(self) -> dict[str, ScalarPoint]:
        """By tag, the point of the highest step, and of those the one written last."""
        found: dict[str, ScalarPoint] = {}
        for point in self.points:
            if point.tag not in found or point.step >= found[point.tag].step:
                found[point.tag] = point
        return found


def read_scalars(directory: str, position: Mapping[str, int] | None = None) -> Scalars:
    """What has come since `position`; everything without one. A directory that is not there has no scalars (yet), a
    damaged file those before the damage. Raises OSError where a file may not be read."""
    where = dict(position or {})
    points: list[ScalarPoint] = []
    for file in event_files(directory):
        offset = where.get(file.name, 0)
        if offset == _DAMAGED:
            continue
        plugins: dict[str, Plugin] = {}
        try:
            for record in records(file.path, offset):
                points.extend(
                    ScalarPoint(value.tag, value.step, value.scalar, value.wall_time, file.run)
                    for value in values_of(record.content, plugins)
                    if value.kind is ValueKind.SCALAR
                )
                where[file.name] = record.end
        except FileNotFoundError:
            continue
        except (Damaged, wire.Malformed):
            where[file.name] = _DAMAGED
    return Scalars(tuple(points), where)
