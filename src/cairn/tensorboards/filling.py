"""A log directory's event files into an experiment: runs, time series and points, from where the last pass ended.

Passes may be repeated: a point is known by its series and step, a series by its run and tag, a blob by its content.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator

import msgspec
import xxhash

from cairn.tensorboards import wire
from cairn.tensorboards.event_files import Damaged, EventFile, event_files, records
from cairn.tensorboards.events import Plugin, Value, ValueKind, values_of
from cairn.tensorboards.service import MAX_NAME, MAX_TENSOR, TensorboardService, encoded
from cairn.tensorboards.types import Entry, Level, Point, PointValue, SeriesPoints, Where

DEFAULT_RUN = "default"  # of files that lie in the log directory itself, as the client's uploader names it
MAX_BLOB = 16 * 1024 * 1024  # bytes; larger ones stay in their file
PASS_VALUES = 5000  # read before they are written
PASS_BYTES = 8 * 1024 * 1024
_DAMAGED = -1
_OTHER = re.compile(r"[^A-Za-z0-9-]+")
_log = logging.getLogger("cairn.tensorboards")


class Experiment(msgspec.Struct, frozen=True):
    """Where a log directory goes. `prefix`: put before its runs' names, such as a step's path."""

    where: Where
    tensorboard: str  # its id; "": the default one of the place
    id: str
    display_name: str = ""
    source: str = ""
    prefix: str = ""
    owner: str = ""


class Position(msgspec.Struct):
    """How far the files are read, by their path below the log directory; and what tags of which run are."""

    offsets: dict[str, int] = {}
    plugins: dict[str, dict[str, Plugin]] = {}


class Filled(msgspec.Struct, frozen=True):
    """Of one pass."""

    values: int = 0
    more: bool = False  # it ended before the files did


class LogFiller:
    """One log directory. Threads: one at a time."""

    def __init__(
        self, service: TensorboardService, directory: str, experiment: Experiment, position: Position | None = None
    ) -> None:
        self.position = position or Position()
        self.directory = directory
        self.experiment = experiment
        self._service = service
        self._tensorboard = experiment.tensorboard
        self._runs: dict[str, tuple[str, ...]] = {}
        self._series: dict[tuple[str, str], Entry] = {}
        self._skipped: set[tuple[str, str]] = set()

    def fill(self) -> Filled:
        """One pass. Raises what the service does; then nothing of the pass counts, and the next one reads it again."""
        offsets = dict(self.position.offsets)
        values: list[tuple[str, Value]] = []
        size, more = 0, False
        for file in event_files(self.directory):
            for run, value, weight in self._values(file, offsets):
                values.append((run, value))
                size += weight
            if len(values) >= PASS_VALUES or size >= PASS_BYTES:
                more = True
                break
        if values:
            self._write(values)
        self.position.offsets = offsets
        return Filled(len(values), more)

    def fill_all(self, progress: Callable[[int], None] | None = None) -> int:
        """Everything that is there; how many values that were."""
        total = 0
        while True:
            done = self.fill()
            total += done.values
            if progress is not None:
                progress(total)
            if not done.more:
                return total

    def _values(self, file: EventFile, offsets: dict[str, int]) -> Iterator[tuple[str, Value, int]]:
        """Of one file, as many as a pass takes; `offsets` follows."""
        offset, taken, size = offsets.get(file.name, 0), 0, 0
        if offset == _DAMAGED:
            return
        plugins = self.position.plugins.setdefault(file.run, {})
        try:
            for record in records(file.path, offset):
                for value in values_of(record.content, plugins):
                    yield file.run, value, len(record.content)
                    taken, size = taken + 1, size + len(record.content)
                offsets[file.name] = record.end
                if taken >= PASS_VALUES or size >= PASS_BYTES:
                    return
        except FileNotFoundError:
            return
        except (Damaged, wire.Malformed) as error:
            offsets[file.name] = _DAMAGED
            _log.warning("%s: %s; what follows it is not read", file.path, error)

    def _write(self, values: Iterable[tuple[str, Value]]) -> None:
        found: dict[tuple[str, str], list[Value]] = {}
        for run, value in values:
            if value.tag and (run, value.tag) not in self._skipped and self._takes(run, value):
                found.setdefault((run, value.tag), []).append(value)
        self._make_runs(dict.fromkeys(run for run, _ in found))
        self._make_series(found)
        written = [
            SeriesPoints(entry.path, entry.kind, tuple(self._point(entry, one) for one in held))
            for key, held in found.items()
            if (entry := self._series.get(key)) is not None
        ]
        self._service.write(self.experiment.where, written)

    def _takes(self, run: str, value: Value) -> bool:
        known = self._series.get((run, value.tag))
        too_large = len(value.tensor) > MAX_TENSOR or any(len(blob) > MAX_BLOB for blob in value.blobs)
        if too_large or len(value.tag) > MAX_NAME or (known is not None and known.kind != value.kind):
            why = "is too large" if too_large else "has too long a tag, or another kind of value than the first"
            self._skip(run, value.tag, f"step {value.step} {why}", for_good=not too_large)
            return False
        return True

    def _skip(self, run: str, tag: str, why: str, *, for_good: bool) -> None:
        if for_good:
            self._skipped.add((run, tag))
        _log.warning("%s, run %s, %s: %s; it is not in the Tensorboard", self.directory, run, tag[:100], why)

    def _make_runs(self, runs: Iterable[str]) -> None:
        new = [run for run in runs if run not in self._runs]
        if not new:
            return
        experiment, where = self.experiment, self.experiment.where
        self._tensorboard = self._tensorboard or self._service.default(where, experiment.owner).id
        shared = {"project": where.project, "location": where.location, "owner": experiment.owner}
        path = (self._tensorboard, experiment.id)
        name = experiment.display_name or experiment.id
        [made] = self._service.ensure(
            [Entry(Level.EXPERIMENT, path, display_name=name, source=experiment.source, **shared)]  # type: ignore[arg-type]
        )
        for run in new:
            display_name = "/".join(part for part in (experiment.prefix, "" if run == "." else run) if part)
            display_name = (display_name or DEFAULT_RUN)[:MAX_NAME]
            entry = Entry(Level.RUN, (*made.path, run_id(display_name)), display_name=display_name, **shared)  # type: ignore[arg-type]
            self._runs[run] = self._service.ensure([entry])[0].path

    def _make_series(self, found: dict[tuple[str, str], list[Value]]) -> None:
        new = [key for key in found if key not in self._series]
        where, owner = self.experiment.where, self.experiment.owner
        for start in range(0, len(new), 500):
            keys = new[start : start + 500]
            entries = [
                Entry(
                    Level.SERIES,
                    (*self._runs[run], ""),
                    where.project,
                    where.location,
                    tag,
                    owner=owner,
                    kind=found[run, tag][0].kind,
                    plugin=found[run, tag][0].plugin,
                    plugin_data=encoded(found[run, tag][0].plugin_data),
                )
                for run, tag in keys
            ]
            for key, entry in zip(keys, self._service.ensure(entries), strict=True):
                if entry.kind != found[key][0].kind:
                    self._skip(*key, f"the time series holds {entry.kind} values", for_good=True)
                else:
                    self._series[key] = entry

    def _point(self, entry: Entry, value: Value) -> Point:
        held: PointValue = value.scalar
        if value.kind is ValueKind.TENSOR:
            held = value.tensor
        elif value.kind is ValueKind.BLOB_SEQUENCE:
            held = self._service.keep_blobs(entry.path, self.experiment.where, value.blobs)
        return Point(value.step, round(value.wall_time * 1_000_000), held)

    def forget(self) -> None:
        """What was made may be gone: look again. After NotFound."""
        self._runs.clear()
        self._series.clear()
        self._tensorboard = self.experiment.tensorboard


def run_id(name: str) -> str:
    """The id of a run by its name: as the client's uploader makes it, and where that would lose something, told apart
    by a digest."""
    plain = _OTHER.sub("-", name).strip("-")
    if plain == name and len(name) <= 128:
        return name
    return f"{plain[:119]}-{xxhash.xxh3_64_hexdigest(name.encode())[:8]}".lstrip("-")
