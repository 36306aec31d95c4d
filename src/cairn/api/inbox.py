"""What comes of one request's body, between its connection and the application."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from hypercorn.asyncio.task_group import TaskGroup

HIGH_WATER = 256 * 1024  # bytes held before the connection is no longer read

_log = logging.getLogger("cairn.server")

AsgiScope: TypeAlias = Mapping[str, Any]
Message: TypeAlias = Mapping[str, Any]


class Inbox:
    """Bounded by bytes while the application reads, bottomless once it has answered.

    hypercorn's own queue is bounded by number, and an application that answers without reading a long body (a refused
    upload) then waits for itself: the end of its answer is put behind the body.
    """

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._held = 0
        self._closed = False
        self._coming = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, message: Message) -> None:
        if self._closed:
            return
        self._messages.append(message)
        self._coming.set()
        if message["type"] != "http.request":
            return
        self._held += len(message.get("body", b""))
        if self._held >= HIGH_WATER:
            self._room.clear()
            await self._room.wait()

    async def get(self) -> Message:
        while not self._messages:
            self._coming.clear()
            await self._coming.wait()
        message = self._messages.popleft()
        self._held -= len(message.get("body", b""))
        if self._held < HIGH_WATER:
            self._room.set()
        return message

    def close(self) -> None:
        """The application has answered: what still comes is dropped."""
        self._closed = True
        self._messages.clear()
        self._room.set()


class Requests(TaskGroup):
    """The tasks of one connection, a request's among them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send_seconds: float) -> None:
        super().__init__(loop)
        self._send_seconds = send_seconds

    async def spawn_app(self, app: Any, config: Any, scope: Any, send: Any) -> Any:  # noqa: ARG002
        inbox = Inbox()
        self.spawn(self._handle, app, scope, inbox, send)
        return inbox.put

    async def _handle(
        self,
        app: Callable[[AsgiScope, Any, Any], Awaitable[None]],
        scope: AsgiScope,
        inbox: Inbox,
        send: Callable[[Message | None], Awaitable[None]],
    ) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._send_seconds):
                await send(message)

        try:
            await app(scope, inbox.get, send_in_time)
        except (ConnectionError, TimeoutError):  # the client has gone, or takes nothing any more
            pass
        except asyncio.CancelledError:  # the server has ended its wait: no answer is better than a wrong one
            inbox.close()
            raise
        except Exception as error:  # noqa: BLE001 - other requests of the connection go on
            _log.error("a request met a defect", exc_info=error)
        inbox.close()
        await send(None)
