"""Names of TensorBoard's resources: `projects/P/locations/L/tensorboards/T/experiments/E/runs/R/timeSeries/S`."""

from __future__ import annotations

import re

from cairn.api.vertex.names import Place
from cairn.errors import InputRefused
from cairn.tensorboards.types import LEVELS, Entry, Level, Where

_COLLECTIONS = ("tensorboards", "experiments", "runs", "timeSeries")
_NAME = re.compile(
    "projects/([^/]+)/locations/([^/]+)"
    + "".join(f"(?:/{collection}/([^/]+)" for collection in _COLLECTIONS)
    + ")?" * len(_COLLECTIONS)
)


def parse(name: str, level: Level, field: str = "name") -> tuple[Where, tuple[str, ...]]:
    """Where it is, and its path. Raises InputRefused."""
    found = _NAME.fullmatch(name)
    path = tuple(part for part in found.groups()[2:] if part) if found else ()
    if found is None or len(path) != level.depth:
        wanted = "/".join(f"{collection}/ID" for collection in _COLLECTIONS[: level.depth])
        refused = f"{name[:200]!r} is no name of this kind: projects/PROJECT/locations/LOCATION/{wanted}"
        raise InputRefused(refused, place=field)
    return Where(found[1], found[2]), path


def parent_of(name: str, level: Level, field: str = "parent") -> tuple[Where, tuple[str, ...]]:
    """Of what is to lie in `name`. Raises InputRefused."""
    at = LEVELS.index(level)
    if at:
        return parse(name, LEVELS[at - 1], field)
    found = _NAME.fullmatch(name)
    if found is None or found[3]:
        raise InputRefused(f"{name[:200]!r} names no location: projects/PROJECT/locations/LOCATION", place=field)
    return Where(found[1], found[2]), ()


def name_of(entry: Entry) -> str:
    parts = [f"/{collection}/{id_}" for collection, id_ in zip(_COLLECTIONS, entry.path, strict=False)]
    return str(Place(entry.project, entry.location)) + "".join(parts)
