"""Connections: accepted up to a number, told apart by their first byte, served by hypercorn, ended when the server
drains.

A first byte of 0x16 is TLS (a ClientHello's record), and ALPN decides; anything else is HTTP/1.1 or, by its preface,
HTTP/2. Where TLS is on, plain text is for loopback peers alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from cairn.api.inbox import Requests
from cairn.api.protocols import Protocols
from cairn.errors import CairnError

if TYPE_CHECKING:
    from cairn.api.tls import Tls

TLS_RECORD = 0x16
READ_BYTES = 2**18  # what asyncio takes from a socket at a time; half of it twice is where a reader pauses
ACCEPTS_AT_ONCE = 8  # each is some milliseconds of the loop's
LINGER_SECONDS = 2.0
_PLAIN_REFUSED = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n"
    b"this port speaks https to other machines\n"
)
_log = logging.getLogger("cairn.server")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and numbers; what a client may hold of the server."""

    connections: int = 4096  # beyond them the idle ones are closed, then new ones wait in the kernel's queue
    handshake: float = 10.0  # from the connection to its first byte, and through TLS
    head: float = 15.0  # from a request's first byte to the end of its headers
    idle: float = 90.0  # HTTP/1.1 between requests; clients that poll every minute keep theirs
    idle_http2: float = 900.0
    send: float = 120.0  # without the client taking anything
    head_bytes: int = 64 * 1024
    streams: int = 256  # at a time, of one HTTP/2 connection


class Listener:
    """All connections of one server, on one event loop."""

    def __init__(
        self,
        sockets: list[socket.socket],
        app: Any,
        limits: Limits,
        tls: Tls | None,
        *,
        plain_from_anywhere: bool = False,
    ) -> None:
        self.limits = limits
        self.app = app
        self.config = _hypercorn(limits)
        self.state = WorkerContext(None)
        self._sockets = sockets
        self._tls = tls
        self._plain_from_anywhere = plain_from_anywhere
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._arriving: set[asyncio.Task[None]] = set()
        self._accepting = False
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        return len(self._connections) + len(self._arriving)

    def open(self) -> None:
        if not self._accepting and not self.state.terminated.is_set():
            self._accepting = True
            for one in self._sockets:
                one.setblocking(False)
                self._loop.add_reader(one, self._accept, one)

    def pause(self) -> None:
        if self._accepting:
            self._accepting = False
            for one in self._sockets:
                self._loop.remove_reader(one)

    async def drain(self, seconds: float) -> None:
        """Take nothing new, let what runs finish within `seconds`, then end it."""
        self.pause()
        for one in self._sockets:
            one.close()
        await self.state.terminated.set()
        for task in self._arriving:
            task.cancel()
        for connection in list(self._connections):
            await connection.farewell()
        tasks = list(self._connections.values())
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=seconds)
            if left:
                _log.warning("%d connections were ended in the middle of a request", len(left))
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            if len(self) >= self.limits.connections and not self._make_room():
                self.pause()
                return
            try:
                sock, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._cannot_accept(error)
                return
            sock.setblocking(False)
            task = self._loop.create_task(self._arrive(sock))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    def _cannot_accept(self, error: OSError) -> None:
        if error.errno not in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
            raise error
        _log.error("a connection cannot be taken: %s; trying again in a second", error.strerror)
        self.pause()
        self._loop.call_later(1.0, self.open)

    def _make_room(self) -> bool:
        """End the connection that has been idle longest. False when every one is at work."""
        idle = next((one for one in self._connections if one.idle), None)
        if idle is not None:
            self._loop.create_task(idle.close())
        return idle is not None

    async def _arrive(self, sock: socket.socket) -> None:
        """From an accepted socket to a connection that is served."""
        try:
            async with asyncio.timeout(self.limits.handshake):
                opened = await self._opened(sock)
        except (OSError, TimeoutError, ssl.SSLError, CairnError) as error:
            if isinstance(error, CairnError):
                _log.error("a TLS connection cannot be served: %s", error)
            opened = None
        except BaseException:
            sock.close()
            raise
        if opened is None:
            sock.close()
            self._left()
            return
        connection = Connection(self, *opened)
        task = self._loop.create_task(connection.serve())
        self._connections[connection] = task
        task.add_done_callback(lambda _: self._ended(connection))

    async def _opened(self, sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        if sock.family in {socket.AF_INET, socket.AF_INET6}:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        first = await _first_byte(sock)
        if first is None:
            return None
        context = None
        if self._tls is not None:
            if first == TLS_RECORD:
                # the first one may have to make keys, and files are read
                context = self._tls.ready or await self._loop.run_in_executor(None, self._tls.context)
            elif not (self._plain_from_anywhere or _from_here(sock)):
                with contextlib.suppress(OSError):
                    sock.send(_PLAIN_REFUSED)
                return None
        reader = asyncio.StreamReader(READ_BYTES // 2, self._loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=self._loop)
        transport, _ = await self._loop.connect_accepted_socket(
            lambda: protocol,
            sock,
            ssl=context,
            ssl_handshake_timeout=self.limits.handshake if context else None,
            ssl_shutdown_timeout=5.0 if context else None,
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, self._loop)

    def _ended(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self._left()

    def _left(self) -> None:
        if len(self) <= self.limits.connections:
            self.open()

    def used(self, connection: Connection) -> None:
        """Behind the others, in the order in which idle ones are ended."""
        task = self._connections.pop(connection, None)
        if task is not None:
            self._connections[connection] = task


class Connection:
    """One connection until its end."""

    def __init__(self, listener: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.idle = True
        self._listener = listener
        self._limits = listener.limits
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._writer = writer
        self._sending = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._timed = ""
        self._lingering = False
        self._protocols: Protocols

    async def serve(self) -> None:
        try:
            group = Requests(self._loop, self._limits.send)
            async with group:
                self._protocols = self._told_apart(group)
                await self._protocols.initiate()
                self._rest()
                await self._read()
        except OSError:
            pass
        except asyncio.CancelledError:
            self._writer.transport.abort()
            raise
        except BaseExceptionGroup as errors:
            if errors.split(OSError)[1] is not None:
                _log.warning("a connection was ended: %r", errors.exceptions[0], exc_info=errors.exceptions[0])
        except Exception as error:  # noqa: BLE001 - what a client sent; other connections go on
            _log.warning("a connection was ended: %r", error)
        finally:
            self._set_timer("", 0.0)
            with contextlib.suppress(OSError, RuntimeError):
                self._writer.close()

    async def farewell(self) -> None:
        """The server drains: an idle connection ends now, one at work after its last answer."""
        protocols = getattr(self, "_protocols", None)
        if self.idle or protocols is None:
            await self.close()
        elif protocols.http2 is not None:
            await protocols.http2.farewell()

    async def close(self) -> None:
        self.idle = False
        protocols = getattr(self, "_protocols", None)
        if protocols is not None:
            if protocols.http2 is not None:
                await protocols.http2.farewell()
            await protocols.handle(Closed())
        self._writer.close()

    def _told_apart(self, group: Requests) -> Protocols:
        sock = self._writer.get_extra_info("socket")
        secured = self._writer.get_extra_info("ssl_object")
        try:
            client = parse_socket_addr(sock.family, sock.getpeername())
        except OSError:  # gone already
            client = None
        return Protocols(
            self._listener.app,
            self._listener.config,
            self._listener.state,
            group,
            ConnectionState({}),
            secured is not None,
            client,
            parse_socket_addr(sock.family, sock.getsockname()),
            self._send,
            (secured.selected_alpn_protocol() if secured is not None else None) or "http/1.1",
        )

    async def _read(self) -> None:
        while not self._reader.at_eof():
            try:
                data = await self._reader.read(READ_BYTES)
            except (OSError, ssl.SSLError):
                break
            if self.idle and data and self._protocols.http2 is None and self._timed != "head":
                self._set_timer("head", self._limits.head)
            if self._lingering:
                continue  # an answer is on its way to a client that is still sending
            await self._protocols.handle(RawData(data))
            if self._protocols.http2 is not None and not self._timed and not self._protocols.http2.streams:
                self.idle = True
                self._rest()
        await self._protocols.handle(Closed())

    async def _send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Closed):
            self._linger()
        elif isinstance(event, Updated):
            self.idle = event.idle
            if event.idle:
                self._rest()
            elif self._timer is not None:
                self._set_timer("", 0.0)

    async def _write(self, data: bytes) -> None:
        async with self._sending:
            try:
                self._writer.write(data)
                async with asyncio.timeout(self._limits.send):
                    await self._writer.drain()
            except TimeoutError:
                self._writer.transport.abort()
            except (ConnectionError, RuntimeError):
                await self._protocols.handle(Closed())

    def _rest(self) -> None:
        if self._listener.state.terminated.is_set():
            self._set_timer("idle", 0.0)
            return
        if self._protocols.http2 is not None:
            self._set_timer("idle", self._limits.idle_http2)
        else:
            self._set_timer("idle", self._limits.idle)
        self._listener.used(self)

    def _set_timer(self, what: str, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timed = what
        if what:
            self._timer = self._loop.call_later(seconds, self._out_of_time)

    def _out_of_time(self) -> None:
        self._timer = None
        if self.idle:
            self._loop.create_task(self.close())

    def _linger(self) -> None:
        """Close; over what a client still sends only after a while, for that would tear its answer away."""
        if self._lingering:
            return
        self._lingering = True
        self._set_timer("", 0.0)
        with contextlib.suppress(OSError, RuntimeError):
            if self._protocols.still_sending and self._writer.can_write_eof() and not self._reader.at_eof():
                self._writer.write_eof()
                self._loop.call_later(LINGER_SECONDS, self._writer.close)
            else:
                self._writer.close()


async def _first_byte(sock: socket.socket) -> int | None:
    """Without taking it. None when the other end has gone."""
    loop = asyncio.get_running_loop()
    while True:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            seen = sock.recv(1, socket.MSG_PEEK)
            return seen[0] if seen else None
        readable = asyncio.Event()
        loop.add_reader(sock, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(sock)


def _from_here(sock: socket.socket) -> bool:
    if sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return True
    address = ipaddress.ip_address(str(sock.getpeername()[0]).partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _hypercorn(limits: Limits) -> Any:
    config = Config()
    config.errorlog = _log
    config.keep_alive_max_requests = 1_000_000_000  # HTTP/2 ends a connection rudely when it has had so many
    config.include_server_header = False
    config.h11_max_incomplete_size = limits.head_bytes
    config.h2_max_header_list_size = limits.head_bytes
    config.h2_max_concurrent_streams = limits.streams
    return config
