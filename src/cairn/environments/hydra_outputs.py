"""What Hydra writes beside a program when it is run: a run's directory holds `.hydra`, a sweep's `multirun.yaml`.

None of it is the program. A run that is made by hand changes neither a snapshot nor a cache key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

_RUN, _SWEEP = ".hydra", "multirun.yaml"
_READ = 1 << 16  # bytes: Hydra's own node comes first
_WRITTEN = (b"\n  runtime:\n", b"\n    output_dir:")  # in the record of a sweep, not in what somebody writes
_USUAL = ("outputs", "multirun")  # where Hydra writes unless it is told otherwise


def without_outputs(directory: Path, names: Sequence[str], kept: AbstractSet[str] = frozenset()) -> list[str]:
    """`names`, files below `directory`, without what Hydra wrote.

    `kept` stays: somebody has put it under version control. Where a run's directory holds sources as well (it was
    started with `hydra.run.dir=.`), what is not Hydra's own stays too.
    """
    marks = {name: _mark(directory, name) for name in names if name not in kept}
    marked = {place for place in marks.values() if place is not None}
    if not marked:
        return list(names)
    sources = {above for name in names if name.endswith(".py") for above in _above(name)}
    written = {
        place for place in marked if place and (place not in sources or not set(_USUAL).isdisjoint(place.split("/")))
    }
    return [name for name in names if name in kept or (marks[name] is None and written.isdisjoint(_above(name)))]


def _mark(directory: Path, name: str) -> str | None:
    """The directory that the file marks as one of Hydra's, "" for the uppermost; None: it marks none."""
    above, found, _ = f"/{name}".partition(f"/{_RUN}/")
    if found:
        return above[1:]
    place, _, file = name.rpartition("/")
    return place if file == _SWEEP and _is_written(directory / name) else None


def _is_written(path: Path) -> bool:
    """Whether a file is a sweep's record, not a configuration of that name."""
    try:
        with path.open("rb") as file:
            text = file.read(_READ)
    except OSError:
        return False
    return text.startswith(b"hydra:\n") and all(line in text for line in _WRITTEN)


def _above(name: str) -> Iterator[str]:
    at = name.rfind("/")
    while at > 0:
        yield name[:at]
        at = name.rfind("/", 0, at)
