"""The home's background host: `python -m cairn.api.background`, started by `cairn run --detach` and `cairn exec`.

It is `cairn serve` on a port of its own: it runs what was left to it, takes up runs whose engine has died, and answers
the APIs on loopback. It ends on SIGTERM, letting its runs go (their steps go on; the next engine adopts them), and by
itself after ten idle minutes (`CAIRN_BACKGROUND_IDLE`, seconds) without a run, a request, an active schedule or a
program of `cairn exec`. It takes the port that it had last, so that what knows its URL finds the next one.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from urllib.parse import urlsplit

from cairn.api.server import Server
from cairn.engine.background import BackgroundHost
from cairn.errors import InputRefused
from cairn.schedules.types import KIND
from cairn.wiring import Cairn, open_cairn

IDLE_SECONDS = 600.0
DRAIN_SECONDS = 10.0  # at most: who ends a host waits for it
_log = logging.getLogger("cairn.background")


class Idleness(threading.Thread):
    """Ends a host that has had nothing to do for long enough."""

    def __init__(self, server: Server, place: BackgroundHost, idle_seconds: float) -> None:
        super().__init__(name="idleness", daemon=True)
        self.server = server
        self.place = place
        self.idle_seconds = idle_seconds
        self.asked = time.monotonic()
        server.application.observers.append(self._answered)

    def _answered(self, _name: str, _method: str, _status: int, _seconds: float) -> None:
        self.asked = time.monotonic()

    def run(self) -> None:
        while True:
            time.sleep(min(1.0, self.idle_seconds / 10 + 0.01))
            if self._idle() and self._may_leave():
                return

    def _idle(self) -> bool:
        since = max(self.asked, self.server.engine_host.active)
        return not self.server.engine_host.running and time.monotonic() - since > self.idle_seconds

    def _wanted(self) -> bool:
        records = self.server.cairn.records
        waiting = any(run.settings.detached for run in records.open_runs())
        return waiting or self.place.in_use() or records.next_due(KIND) > 0

    def _may_leave(self) -> bool:
        with self.place.leaving() as alone:
            if not alone:
                return False
            if self._wanted() or not self._idle():
                return False
            _log.info("nothing to do: leaving")
            self.server.stop()
            self.server.engine_host.close()
            os._exit(0)  # the gate and the host's lock are let go together, by the kernel


def main() -> int:
    """Serve the home that CAIRN_HOME names; 0 also when another host is there already."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S%z", stream=sys.stderr
    )
    logging.getLogger("cairn.access").setLevel(logging.WARNING)  # nobody reads along, and programs poll for days
    faulthandler.enable()
    cairn = open_cairn()
    place = BackgroundHost(cairn.home.background)
    if place.enter() is None:
        _log.info("another host is there")
        return 0
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        return _serve(cairn, place)
    finally:
        cairn.close()


def _server(cairn: Cairn, place: BackgroundHost) -> Server:
    drain = min(cairn.settings.server.drain_seconds, DRAIN_SECONDS)
    try:
        server = Server(cairn, port=place.port, drain_seconds=drain)
    except InputRefused as error:  # somebody else has that port by now
        _log.info("%s", error)
        server = Server(cairn, drain_seconds=drain)
    place.keep_port(urlsplit(server.url).port or 0)
    return server


def _serve(cairn: Cairn, place: BackgroundHost) -> int:
    server = _server(cairn, place)
    server.stop_on_signals()
    idle = Idleness(server, place, float(os.environ.get("CAIRN_BACKGROUND_IDLE") or IDLE_SECONDS))

    def ready() -> None:
        place.announce(server.url, login=server.application.gate.policy.login)
        _log.info("host of %s (process %d) at %s", cairn.home.root, os.getpid(), server.url)
        idle.start()

    server.run(ready)
    _log.info("stopping")
    return 0


if __name__ == "__main__":
    sys.exit(main())
