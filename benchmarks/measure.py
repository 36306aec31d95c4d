"""Whole processes, timed from the outside: a command's start to its end, several times, the median and the spread."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class Series:
    """Values of one figure, one for each round. Seconds unless the figure says otherwise."""

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.values), max(self.values)


@dataclass(frozen=True)
class Once:
    seconds: float
    peak_bytes: int  # of the command's own process, or of a child that it has waited for, whichever is larger


class CommandFailed(Exception):
    """A measured command did not succeed; the message holds its last words."""


def run(command: Sequence[str], variables: Mapping[str, str] | None = None, *, limit_seconds: float = 600) -> Once:
    """Run a command to its end. Raises CommandFailed."""
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env={**os.environ, **(variables or {})}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or seconds > limit_seconds:
            output.seek(0)
            words = output.read()[-2000:].decode(errors="replace")
            raise CommandFailed(f"{' '.join(command)[:300]} ended with {process.returncode}\n{words}")
    return Once(seconds, usage.ru_maxrss * 1024)
