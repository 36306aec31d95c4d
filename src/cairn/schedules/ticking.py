"""The thread of a server in which schedules fall due."""

from __future__ import annotations

import logging
import threading

from cairn.errors import CairnError
from cairn.schedules.firing import Firing, Started
from cairn.schedules.service import ScheduleService
from cairn.schedules.types import KIND

LOOK_SECONDS = 1.0  # for schedules that another process has written, and for those that wait for a run to end

_log = logging.getLogger("cairn.schedules")


class Ticker:
    """Threads: any, for every method. `started` is called in the ticker's own."""

    def __init__(self, service: ScheduleService, started: Started) -> None:
        self.service = service
        self._started = started
        self._firing = Firing(service)
        self._stirred = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="schedules", daemon=True)
        service.changed.append(self.wake)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def wake(self) -> None:
        """Look now: a schedule was changed, or a run of one has ended."""
        self._stirred.set()

    def close(self) -> None:
        """Start nothing any more; returns when the turn in progress is over."""
        self._stopping = True
        self._stirred.set()
        if self._thread.is_alive():
            self._thread.join()

    def _serve(self) -> None:
        while not self._stopping:
            self._stirred.clear()
            try:
                pause = self._turn()
            except CairnError as error:
                _log.warning("schedules have to wait: %s", error)
                pause = LOOK_SECONDS
            except Exception:  # noqa: BLE001 - a server without its schedules would be worse
                _log.exception("a turn of the schedules met a defect")
                pause = LOOK_SECONDS
            if pause > 0:
                self._stirred.wait(pause)

    def _turn(self) -> float:
        """Seconds until the next one."""
        clock = self.service.clock
        if self._firing.tick(clock.now(), self._started):
            return 0.0
        due = self.service.records.next_due(KIND)
        now = clock.now()
        if not due or due <= now:  # what is due now waits for a run to end
            return LOOK_SECONDS
        return min(LOOK_SECONDS, (due - now) / 1e6 + 0.0005)
