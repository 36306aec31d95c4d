"""An operation goes on only while its run is this process's: another engine that has taken the run has its own.

An attempt's process has a waiter, of which there is one; of an operation there may be one in each process that has, or
had, the run. What an operation does is found again by those that come later, but two at once would decide twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from cairn.domain.runs import Exit
from cairn.executors.native.operations import Operation

CHECK_SECONDS = 1.0  # between two looks; a run is taken from an engine that has been silent for longer


class Fenced:
    """`make` makes the operation; it is let go of when the run is lost, and made anew should it come back."""

    def __init__(self, make: Callable[[], Operation], is_ours: Callable[[], bool]) -> None:
        self._make = make
        self._is_ours = is_ours
        self._ours_until = 0.0  # on the monotonic clock
        self._operation: Operation | None = None
        self._stop = ""  # what it is to be told: stop | kill
        self._told = ""

    def advance(self) -> Exit | None:
        if not self._ours():
            self._operation, self._told = None, ""
            return None
        if self._operation is None:
            self._operation = self._make()
        if self._stop != self._told:
            self._operation.stop(kill=self._stop == "kill")
            self._told = self._stop
        return self._operation.advance()

    def stop(self, *, kill: bool) -> None:
        self._stop = "kill" if kill else self._stop or "stop"  # `advance`, which follows, tells it

    def _ours(self) -> bool:
        now = time.monotonic()
        if now < self._ours_until:
            return True
        if self._is_ours():
            self._ours_until = now + CHECK_SECONDS
            return True
        return False
