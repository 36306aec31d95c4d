"""The home's background host: `python -m cairn.api.background`, started by `cairn run --detach`.

It runs what was left to it, and takes up runs whose engine has died. It ends on SIGTERM, letting its runs go (their
steps go on; the next engine adopts them), and by itself after ten idle minutes (`CAIRN_BACKGROUND_IDLE`, seconds).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING

from cairn.engine.background import BackgroundHost
from cairn.errors import CairnError, InputRefused, RecordsBusy
from cairn.wiring import Cairn, open_cairn

if TYPE_CHECKING:
    from cairn.domain.runs import Run
    from cairn.engine.loop import Engine
    from cairn.engine.ports import Batch

IDLE_SECONDS = 600.0
LOOK_SECONDS = 0.25  # for detached runs, when the journal has moved
ADOPT_SECONDS = 2.0  # for runs whose engine has died
GRACE_SECONDS = 5.0  # a run is recorded a moment before its own engine claims it
REFUSED_SECONDS = 60.0  # before a run that could not be taken is tried again


class Host:
    def __init__(self, cairn: Cairn, place: BackgroundHost, *, idle_seconds: float) -> None:
        self.cairn = cairn
        self.place = place
        self.idle_seconds = idle_seconds
        self.engine: Engine = cairn.engine(self._committed)
        self.stopping = False
        self._head = -1
        self._next_adoption = 0.0
        self._unclaimed: dict[str, float] = {}  # run uid → since when it is seen without an engine
        self._refused: dict[str, float] = {}

    def serve(self) -> None:
        """Until it is told to stop, or has had nothing to do for long enough."""
        busy = time.monotonic()
        while not self.stopping:
            self._look()
            self.engine.turn(LOOK_SECONDS)
            self.engine.finished.clear()
            for uid, error in self.engine.lost.items():
                say(f"run {uid} was let go: {error}")
                self._refused[uid] = time.monotonic() + ADOPT_SECONDS
            self.engine.lost.clear()
            now = time.monotonic()
            if self.engine.machines:
                busy = now
            elif now - busy > self.idle_seconds and self._may_leave():
                return

    def _may_leave(self) -> bool:
        with self.place.leaving() as alone:
            if not alone:
                return False
            self._adopt()
            if not self.engine.machines:
                say("nothing to do: leaving")
                self.close()
                os._exit(0)  # the gate and the host's lock are let go together, by the kernel
        return False

    def _look(self) -> None:
        now = time.monotonic()
        head = self.cairn.records.head()
        if head != self._head or now >= self._next_adoption:
            self._head = head
            self._next_adoption = now + ADOPT_SECONDS
            self._adopt()

    def _adopt(self) -> None:
        now = time.monotonic()
        still: dict[str, float] = {}
        for run in self.cairn.records.open_runs():
            if run.uid in self.engine.machines or self.cairn.records.claimed(run.uid) is not None:
                continue
            since = still[run.uid] = self._unclaimed.get(run.uid, now)
            ours = run.settings.detached or run.fence > 0 or now - since >= GRACE_SECONDS
            if ours and now >= self._refused.get(run.uid, 0.0):
                self._take(run)
        self._unclaimed = still

    def _take(self, run: Run) -> None:
        try:
            self.cairn.runs.take(self.engine, run)
        except InputRefused as error:
            self._refused[run.uid] = time.monotonic() + REFUSED_SECONDS
            say(f"run {run.job_id} cannot be taken: {error}")
        except CairnError as error:
            pause = ADOPT_SECONDS if isinstance(error, RecordsBusy) else REFUSED_SECONDS
            self._refused[run.uid] = time.monotonic() + pause
            say(f"run {run.job_id} cannot be taken: {error}")
        else:
            say(f"run {run.job_id} ({run.uid}) taken")

    def _committed(self, run: Run, batch: Batch) -> None:
        if batch.runs and run.state.terminal:
            say(f"run {run.job_id} ({run.uid}) {run.state}")

    def close(self) -> None:
        self.engine.close()
        self.cairn.close()

    def stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        self.stopping = True
        self.engine.wake()


def say(text: str) -> None:
    """One line in the host's log."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}\n")
    sys.stderr.flush()


def main() -> int:
    """Serve the home that CAIRN_HOME names; 0 also when another host is there already."""
    cairn = open_cairn()
    place = BackgroundHost(cairn.home.background)
    if place.enter() is None:
        say("another host is there")
        return 0
    idle = float(os.environ.get("CAIRN_BACKGROUND_IDLE") or IDLE_SECONDS)
    host = Host(cairn, place, idle_seconds=idle)
    signal.signal(signal.SIGTERM, host.stop)
    signal.signal(signal.SIGINT, host.stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    place.announce()
    say(f"host of {cairn.home.root} (process {os.getpid()})")
    try:
        host.serve()
        say("stopping")
    finally:
        host.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
