"""One process, one port: the engine in its thread, HTTP/1.1 and HTTP/2 with gRPC on the event loop, TLS or not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cairn.api.accounts.gate import Gate
from cairn.api.accounts.policy import check_bind
from cairn.api.application import WORKERS, Application
from cairn.api.binding import address_of, bind
from cairn.api.context import Context
from cairn.api.host import EngineHost
from cairn.api.pressure import Pressure
from cairn.api.steps import ServedSteps
from cairn.errors import InputRefused
from cairn.schedules.ticking import Ticker

if TYPE_CHECKING:
    from cairn.api.connections import Limits, Listener
    from cairn.api.front import Front
    from cairn.api.tls import Tls
    from cairn.domain.runs import Run
    from cairn.engine.ports import Batch
    from cairn.wiring import Cairn

TWICE_SECONDS = 0.3  # timeout(1) and others signal a process, and then its group
SWITCH_SECONDS = (
    0.001  # eight threads that compute would keep the event loop waiting for eight times 5 ms, at each turn
)
_log = logging.getLogger("cairn.server")


class Server:
    """A home, served. `run` blocks until `stop`, which any thread or signal handler may call."""

    def __init__(
        self,
        cairn: Cairn,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: Limits | None = None,
        drain_seconds: float | None = None,
        check_answers: bool = False,
    ) -> None:
        """Binds at once, so that the port is known. Raises InputRefused when it cannot, ConfigurationError for a
        certificate that is none. `drain_seconds`: instead of the settings'. `check_answers`: every Vertex answer is
        held to its type, for tests."""
        self.cairn = cairn
        policy = check_bind(cairn.settings, host or "0.0.0.0", cairn.records)
        self._sockets = [bind(host, port)]
        self._limits = limits
        self._drain_seconds = cairn.settings.server.drain_seconds if drain_seconds is None else drain_seconds
        self.tls = _tls(cairn, host)
        address = address_of(self._sockets[0])
        self.engine_host = EngineHost(cairn)
        self.context = Context(cairn, self.engine_host, url=f"http://{address}", started=time.time())
        if check_answers:
            self.context.shared["check_answers"] = True
        gate = Gate(self.context, policy)
        cairn.store.projects_apart = policy.login
        if cairn.settings.server.step_clients == "here":
            cairn.services.surroundings = ServedSteps(self.context.url, gate.authentication.steps, login=policy.login)
        workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="api")
        pressure = Pressure()
        self.application = Application(
            self.context,
            fronts(self.context),
            gate,
            grpc=_grpc(self.context, gate, workers, pressure),
            workers=workers,
            pressure=pressure,
        )
        self.ticker = Ticker(cairn.schedules, self.engine_host.offer)
        self.log_watch = cairn.log_watch()
        self.engine_host.observers.append(self._ended)
        self.engine_host.failed = self._engine_failed
        self._why = ""  # the server ends
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def url(self) -> str:
        return self.context.url

    @property
    def tls_url(self) -> str:
        """The same port over TLS; "" where that is off."""
        return self.url.replace("http://", "https://", 1) if self.tls is not None else ""

    def listen_too(self, port: int) -> bool:
        """On another port of the loopback, before `run`; False where somebody else has it."""
        try:
            self._sockets.append(bind("127.0.0.1", port))
        except InputRefused as error:
            _log.info("%s", error)
            return False
        return True

    def run(self, ready: Callable[[], None] | None = None) -> None:
        """Serve until `stop`. `ready` is called once requests are answered. Raises what the engine has failed with."""
        switching = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        self.engine_host.start()
        self.ticker.start()
        self.log_watch.start()
        try:
            asyncio.run(self._serve(ready))
        finally:
            sys.setswitchinterval(switching)
            for one in self._sockets:
                one.close()
            self.application.close()
            self.ticker.close()
            self.log_watch.close()
            self.engine_host.close()
        if self.engine_host.failure is not None:
            raise self.engine_host.failure

    def _engine_failed(self) -> None:
        self.stop("its engine has failed")  # a server that answers and runs nothing helps nobody

    def _ended(self, run: Run, batch: Batch) -> None:
        if run.schedule and batch.runs and run.state.terminal:  # the next one may wait for it
            self.ticker.wake()

    def stop(self, why: str = "it was asked to") -> None:
        """Begin to end: not ready any more, nothing new is taken, what runs has `drain_seconds`. `why`: for the log."""
        self._why = self._why or why
        self.context.draining = True
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._stop.set)

    def stop_on_signals(self) -> None:
        """SIGTERM, SIGINT and SIGHUP (unless nohup or the like has it ignored) stop; a second one ends the process
        where it stands, which costs nothing recorded."""

        first = float("-inf")

        def heard(number: int, _frame: Any) -> None:
            nonlocal first
            name = signal.Signals(number).name
            if self.context.draining:
                if time.monotonic() - first < TWICE_SECONDS:
                    return
                # not through logging: the frame that this interrupts may be in the middle of a line
                os.write(2, f"{name} while it drained ({self._why}): ended at once\n".encode())
                os._exit(128 + number)
            first = time.monotonic()
            self.stop(f"{name} was received")

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, heard)

    async def _serve(self, ready: Callable[[], None] | None) -> None:
        from cairn.api.connections import Limits, Listener

        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        if self.context.draining:
            self._say_why()
            return
        plain = self.tls is None or self.cairn.settings.server.behind_proxy
        listener = Listener(
            self._sockets,
            self.application,
            self._limits or Limits(),
            self.tls,
            plain_from_anywhere=plain,
        )
        if threading.current_thread() is threading.main_thread():
            gc.freeze()  # the process is the server's: what is loaded stays, and to look through it takes 50 ms
        listener.open()
        if ready is not None:
            self._loop.call_soon(ready)
        await self._stop.wait()
        await self._drain(listener)

    async def _drain(self, listener: Listener) -> None:
        self._say_why()
        began = time.monotonic()
        self.application.drain()
        await listener.drain(self._drain_seconds)
        _log.info("drained in %.1f s", time.monotonic() - began)

    def _say_why(self) -> None:
        """As a warning: a log that is to be short says it too."""
        _log.warning("process %d ends: %s", os.getpid(), self._why)


def fronts(context: Context) -> list[Front]:
    """Every API of this version."""
    from cairn.api.accounts import routes as accounts
    from cairn.api.kfp import routes as kfp
    from cairn.api.own import routes as own
    from cairn.api.storage import routes as storage
    from cairn.api.tensorboard import routes as tensorboard
    from cairn.api.vertex import routes as vertex

    return [one.front(context) for one in (own, accounts, storage, kfp, tensorboard, vertex)]


def _grpc(context: Context, gate: Gate, workers: ThreadPoolExecutor, pressure: Pressure) -> Any:
    from cairn.api.grpc.front import GrpcFront

    return GrpcFront(context, gate, workers, pressure)


def _tls(cairn: Cairn, host: str) -> Tls | None:
    settings = cairn.settings.server
    if settings.tls == "off":
        return None
    from cairn.api.tls import Tls, names_of_this_machine

    if settings.tls == "files":
        return Tls.files(Path(settings.certificate).expanduser(), Path(settings.key).expanduser())
    return Tls.local(cairn.home.tls, [*names_of_this_machine(host), *settings.allowed_hosts])
