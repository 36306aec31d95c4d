"""Who waits for the journal to move: one look for all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cairn.api.context import Context

LOOK_SECONDS = 0.05


class JournalWatch:
    """On the event loop alone. Looks at the journal's head only while somebody waits."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._moved = asyncio.Event()
        self._waiting = 0
        self._looking: asyncio.Task[None] | None = None

    async def moved(self, after: int, seconds: float) -> int:
        """The journal's head once it is above `after`, or what it is after `seconds`, or when the server drains."""
        head = await asyncio.to_thread(self._context.cairn.records.head)
        if head > after or self._context.draining:
            return head
        self._waiting += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look(head))
        moved = self._moved
        try:
            await asyncio.wait_for(moved.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1
        return await asyncio.to_thread(self._context.cairn.records.head)

    async def _look(self, head: int) -> None:
        while self._waiting:
            await asyncio.sleep(LOOK_SECONDS)
            now = await asyncio.to_thread(self._context.cairn.records.head)
            if now != head or self._context.draining:
                head = now
                self._moved.set()
                self._moved = asyncio.Event()
