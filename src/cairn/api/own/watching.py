"""Who waits for a run's journal to move: one look for all of them, and only those are woken whose run it was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cairn.api.context import Context

LOOK_SECONDS = 0.05
_PAGE = 500


class JournalWatch:
    """On the event loop alone. Looks at the journal's head only while somebody waits."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}  # by run
        self._seen = 0  # the journal's number up to which it was looked at
        self._looking: asyncio.Task[None] | None = None

    async def moved(self, run_uid: str, after: int, seconds: float) -> None:
        """Until the run's journal has more than `after`, or `seconds` are over, or the server drains."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(run_uid, set()).add(woken)
        if self._looking is None or self._looking.done():
            self._seen = after
            self._looking = asyncio.ensure_future(self._look())
        try:
            # Asked for once it is known that somebody waits: what comes later wakes.
            journal = self._context.cairn.records.journal
            if not await asyncio.to_thread(journal, after, run_uid=run_uid, limit=1):
                await asyncio.wait((woken,), timeout=seconds)
        finally:
            self._waiting.get(run_uid, set()).discard(woken)
            if not self._waiting.get(run_uid):
                self._waiting.pop(run_uid, None)

    async def _look(self) -> None:
        records = self._context.cairn.records
        while self._waiting:
            await asyncio.sleep(LOOK_SECONDS)
            if self._context.draining:
                self._wake(list(self._waiting))
            elif (head := await asyncio.to_thread(records.head)) != self._seen:
                page = await asyncio.to_thread(records.journal, self._seen, limit=_PAGE)
                self._wake({one.run_uid for one in page} if len(page) < _PAGE else list(self._waiting))
                self._seen = head

    def _wake(self, run_uids: Iterable[str]) -> None:
        for run_uid in run_uids:
            for one in self._waiting.get(run_uid, ()):
                if not one.done():
                    one.set_result(None)
