"""What a launch's jobs do and print, as it happens, on the terminal of the application."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from cairn.domain.runs import AttemptRecord, Run, TaskRecord
from cairn.domain.states import TaskState
from cairn.engine.log_tails import LogTail
from cairn.engine.report import seconds_between
from cairn.sdk.hydra.job_pipeline import JOB, LOOP

if TYPE_CHECKING:
    from cairn.engine.ports import Batch

log = logging.getLogger(__name__)


class JobEcho:
    """The engine's observer. `lines`: what jobs print is shown, each line behind its job's number."""

    def __init__(self, number_of: Callable[[int], int], *, lines: bool) -> None:
        self._number_of = number_of
        self._lines = lines
        self._tails: dict[str, _Tail] = {}
        self._told: set[str] = set()

    def committed(self, _run: Run, batch: Batch) -> None:
        for attempt in batch.starts if self._lines else ():
            self.follow(attempt)
        for record in batch.tasks:
            if record.path not in self._told and record.state.terminal and (number := self._number(record.path)):
                self._told.add(record.path)
                self._end(record, number)

    def follow(self, attempt: AttemptRecord) -> None:
        """Also of an attempt that an earlier engine has started."""
        number = self._number(attempt.path)
        if number and attempt.directory not in self._tails:
            self._tails[attempt.directory] = _Tail(LogTail(attempt), attempt.path, number)

    def look(self) -> None:
        for tail in self._tails.values():
            tail.show(ended=False)

    def _end(self, record: TaskRecord, number: str) -> None:
        for directory in [each for each, tail in self._tails.items() if tail.path == record.path]:
            self._tails.pop(directory).show(ended=True)
        if record.state is TaskState.SUCCEEDED and record.cached:
            source = record.comparison.source_run[:8] if record.comparison else ""
            log.info("\t%s : cached, computed by run %s", number, source)
        elif record.state is TaskState.SUCCEEDED:
            log.info("\t%s : done in %.1f s", number, seconds_between(record.start_time, record.end_time))
        elif record.error is not None:
            log.error("\t%s : %s: %s", number, record.state.lower(), record.error.message)
        else:
            log.warning("\t%s : %s", number, record.state.lower())

    def _number(self, path: str) -> str:
        """`#3` of `jobs[3]/job`; "" of another task."""
        index = path.removeprefix(f"{LOOP}[").removesuffix(f"]/{JOB}")
        return f"#{self._number_of(int(index))}" if index.isdigit() else ""


class _Tail:
    def __init__(self, tail: LogTail, path: str, number: str) -> None:
        self.path = path
        self._tail = tail
        self._number = number
        self._rests: dict[str, bytes] = {}

    def show(self, *, ended: bool) -> None:
        for stream, data in self._tail.more(ended=ended):
            *whole, self._rests[stream] = (self._rests.get(stream, b"") + data).split(b"\n")
            for line in whole:
                self._write(stream, line)
        if ended:
            for stream, rest in self._rests.items():
                if rest:
                    self._write(stream, rest)

    def _write(self, stream: str, line: bytes) -> None:
        target: TextIO = sys.stderr if stream == "stderr" else sys.stdout
        target.write(f"[{self._number}] {line.decode(errors='replace')}\n")
        target.flush()
