"""An operation that needs what takes a while to load: other steps need the executor's thread meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cairn.domain.runs import Exit
from cairn.executors.native.operations import Operation


class Awaiting:
    """An operation that is made once a thread has ended."""

    def __init__(self, thread: threading.Thread, make: Callable[[], Operation]) -> None:
        self._thread = thread
        self._make = make
        self._operation: Operation | None = None
        self._stop: bool | None = None  # to be told, with or without `kill`

    def advance(self) -> Exit | None:
        if self._operation is None:
            if self._thread.is_alive():
                return None
            self._operation = self._make()
            if self._stop is not None:
                self._operation.stop(kill=self._stop)
        return self._operation.advance()

    def stop(self, *, kill: bool) -> None:
        if self._operation is None:
            self._stop = kill
        else:
            self._operation.stop(kill=kill)
