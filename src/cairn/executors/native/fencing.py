"""An operation goes on only while its run is this process's: another engine that has taken the run has its own.

An attempt's process has a waiter, of which there is one; of an operation there may be one in each process that has, or
had, the run. What an operation does is found again by those that come later, but two at once would decide twice. One
that has been told to end what it has started does so also when nobody has the run any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from cairn.domain.runs import Exit
from cairn.engine.ports import Owner
from cairn.executors.native.operations import Operation

CHECK_SECONDS = 1.0  # between two looks; a run is taken from an engine that has been silent for longer


class Fenced:
    """`make` makes the operation; it is let go of when the run is lost, and made anew should it come back. `owner` says
    who has the run, `ourselves` who we are."""

    def __init__(self, make: Callable[[], Operation], owner: Callable[[], Owner | None], ourselves: Owner) -> None:
        self._make = make
        self._owner = owner
        self._ourselves = ourselves
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
        owner = self._owner()
        if owner == self._ourselves or (owner is None and self._stop):
            self._ours_until = now + CHECK_SECONDS
            return True
        return False
