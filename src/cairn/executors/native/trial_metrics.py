"""What a trial's job says of itself while it trains: cloudml-hypertune's file, and scalars written for TensorBoard.

Source of the file: hypertune/hypertune.py of cloudml-hypertune 0.1.0.dev6. Each report is a line of JSON with the
metric under its own name, as text; the file is written anew each time and holds the last hundred.
"""

from __future__ import annotations

import json
import math
import os
import stat as kinds
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from cairn.engine.layout import HYPERTUNE_FILE
from cairn.tuning.types import Measurement

DEFAULT_TAG = "training/hptuning/metric"  # of a report that names no metric
_MOST_BYTES = 4 << 20  # of a file, that are looked at
_LATEST = 1e11  # seconds since the epoch: the APIs tell of ten thousand years at most
_LAST_STEP = float(1 << 53)
_OWN_FIELDS = ("timestamp", "trial", "global_step", "checkpoint_path")


class Point(Protocol):
    """One scalar. `wall_time`: seconds since the epoch."""

    @property
    def tag(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def value(self) -> float: ...
    @property
    def wall_time(self) -> float: ...


ScalarReader = Callable[[str, Mapping[str, int]], tuple[Iterable[Point], dict[str, int]]]
"""(log directory, position) → what has come since, and the position of the next look."""


class Report(msgspec.Struct, frozen=True):
    """`time`: seconds since the epoch."""

    time: float
    step: int
    metric: str
    value: float


class TrialMetrics:
    """Tails the metrics of one trial. `began`: microseconds since the epoch, when its job was started."""

    def __init__(self, metrics: Iterable[str], read_scalars: ScalarReader) -> None:
        self._metrics = frozenset(metrics)
        self._read_scalars = read_scalars
        self._stamps: dict[str, tuple[int, int]] = {}  # by file: its time and size when it was read
        self._reports: dict[Report, None] = {}  # in the order in which they were seen
        self._positions: dict[str, dict[str, int]] = {}
        self._told: dict[tuple[int, int], dict[str, float]] = {}
        self.unusable = ""  # what was reported last and is no number

    def look(self, attempt_directories: Iterable[str], log_directory: str | None, began: int) -> list[Measurement]:
        """What is new since the last look."""
        found = False
        for directory in attempt_directories:
            found = self._read_reports(os.path.join(directory, HYPERTUNE_FILE)) or found
        if log_directory is not None:
            found = self._read_events(log_directory) or found
        return self._news(began) if found else []

    def _read_reports(self, path: str) -> bool:
        try:
            status = os.stat(path)
            stamp = (status.st_mtime_ns, status.st_size)
            if self._stamps.get(path) == stamp:
                return False
            lines = _lines(path)
        except OSError:
            return False
        self._stamps[path] = stamp
        for line in lines:
            for report in self._of_line(line):
                self._keep(report)
        return True

    def _of_line(self, line: str) -> Iterable[Report]:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return  # half written: it is read again
        if not isinstance(said, dict):
            return
        time, step = _within(said.get("timestamp"), _LATEST), _within(said.get("global_step"), _LAST_STEP)
        for name, value in said.items():
            metric = self._metric(name)
            number = _number(value)
            if metric and name not in _OWN_FIELDS and number is not None:
                yield Report(time, int(step), metric, number)

    def _metric(self, name: str) -> str:
        if name in self._metrics:
            return name
        return next(iter(self._metrics)) if name == DEFAULT_TAG and len(self._metrics) == 1 else ""

    def _read_events(self, directory: str) -> bool:
        try:
            points, position = self._read_scalars(directory, self._positions.get(directory, {}))
        except OSError:
            return False
        self._positions[directory] = position
        before = len(self._reports)
        for point in points:
            if point.tag in self._metrics:
                time, step = _within(point.wall_time, _LATEST), _within(point.step, _LAST_STEP)
                self._keep(Report(time, int(step), point.tag, point.value))
        return len(self._reports) > before

    def _keep(self, report: Report) -> None:
        if math.isfinite(report.value):
            self._reports[report] = None
        else:
            self.unusable = f"metric {report.metric!r} is {report.value}"

    def _news(self, began: int) -> list[Measurement]:
        """Reports of one step are one measurement, until a metric comes a second time."""
        groups: list[tuple[int, int, dict[str, float]]] = []
        at: dict[int, int] = {}  # by step: its latest group
        for report in self._reports:
            elapsed = max(0, round(report.time * 1e6) - began)
            known = at.get(report.step)
            if known is None or report.metric in groups[known][2]:
                at[report.step] = len(groups)
                groups.append((report.step, elapsed, {}))
            groups[at[report.step]][2][report.metric] = report.value
        found = []
        for step, elapsed, metrics in groups:
            if self._told.get((step, elapsed)) != metrics:
                self._told[step, elapsed] = dict(metrics)
                found.append(Measurement(metrics, step, elapsed))
        return found


def _lines(path: str) -> list[str]:
    """Of the end of the file, from its first whole line on. Raises OSError for what is no file: one would wait for
    whoever writes to a pipe."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        if not kinds.S_ISREG(status.st_mode):
            raise OSError(f"{path} is no file")
        file.seek(max(0, status.st_size - _MOST_BYTES))
        lines = file.read(_MOST_BYTES).decode(errors="replace").splitlines()
    return lines[1:] if status.st_size > _MOST_BYTES else lines


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except ValueError:
        return None
    except OverflowError:  # a whole number of more than three hundred digits
        return math.inf


def _within(value: Any, most: float) -> float:
    """From 0 to `most`; 0 for what is no number."""
    number = _number(value)
    return min(max(number, 0.0), most) if number is not None and math.isfinite(number) else 0.0
