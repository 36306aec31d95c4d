"""One process, one port: the engine in its thread, HTTP/1.1 and gRPC (HTTP/2) on the event loop.

hypercorn tells the two apart by the first bytes of a connection, or by ALPN below TLS.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cairn.api.accounts.gate import Gate
from cairn.api.application import Application
from cairn.api.context import Context
from cairn.api.host import EngineHost

if TYPE_CHECKING:
    from cairn.api.front import Front
    from cairn.wiring import Cairn

_log = logging.getLogger("cairn.server")


class Server:
    """A home, served. `run` blocks until `stop`, which any thread or signal handler may call."""

    def __init__(self, cairn: Cairn, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Binds at once, so that the port is known. Raises OSError."""
        self.cairn = cairn
        self._socket = socket.create_server((host, port), family=_family(host), backlog=1024)
        address = self._socket.getsockname()
        name = f"[{address[0]}]" if ":" in address[0] else address[0]
        self.engine_host = EngineHost(cairn)
        self.context = Context(cairn, self.engine_host, url=f"http://{name}:{address[1]}", started=time.time())
        self.application = Application(self.context, fronts(self.context), Gate(self.context))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def url(self) -> str:
        return self.context.url

    def run(self, ready: Callable[[], None] | None = None) -> None:
        """Serve until `stop`. `ready` is called once requests are answered."""
        self.engine_host.start()
        try:
            asyncio.run(self._serve(ready))
        finally:
            self.application.close()
            self.engine_host.close()

    def stop(self) -> None:
        self.context.draining = True
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    async def _serve(self, ready: Callable[[], None] | None) -> None:
        from hypercorn.asyncio import serve
        from hypercorn.config import Config

        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        if self.context.draining:
            return
        config = Config()
        config.bind = [f"fd://{self._socket.detach()}"]
        config.loglevel = "WARNING"
        config.keep_alive_max_requests = 1_000_000_000
        config.graceful_timeout = 5.0
        config.include_server_header = False
        serving = asyncio.ensure_future(serve(self.application, config, shutdown_trigger=self._stop.wait))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        if ready is not None:
            self._loop.call_soon(ready)
        await serving


def fronts(context: Context) -> list[Front]:
    """Every API of this version."""
    from cairn.api.accounts import routes as accounts
    from cairn.api.kfp import routes as kfp
    from cairn.api.own import routes as own
    from cairn.api.storage import routes as storage
    from cairn.api.vertex import routes as vertex

    return [one.front(context) for one in (own, accounts, storage, kfp, vertex)]


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
