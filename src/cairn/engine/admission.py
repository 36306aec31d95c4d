"""When attempts that the machine had no room for are put up for admission again."""

from __future__ import annotations

from cairn.engine.services import Services

PAUSE = 0.01
PAUSE_MAX = 0.25
RECLAIM_INTERVAL = 1.0


class Admission:
    """One engine's. `until` is when the next offers may be made, on the monotonic clock."""

    def __init__(self, services: Services) -> None:
        self.until = 0.0
        self._services = services
        self._pause = PAUSE
        self._next_reclaim = 0.0
        self._strangers: set[str] = set()  # attempts of dead engines that still run
        self._gone: set[str] = set()  # and those whose end was seen

    def answered(self, *, denied: bool) -> None:
        """What came of the last offers: after a refusal the next ones wait, longer each time."""
        if not denied:
            self._pause = PAUSE
            return
        now = self._services.clock.monotonic()
        self.until = now + self._pause
        self._pause = min(self._pause * 2, PAUSE_MAX)
        if self._pause == PAUSE_MAX and now >= self._next_reclaim:
            self._next_reclaim = now + RECLAIM_INTERVAL
            self._reclaim()

    def freed(self) -> None:
        """An attempt of this engine's has ended: there may be room."""
        self.until = 0.0

    def heard(self, uid: str) -> None:
        """An attempt has ended, whoever's."""
        if uid in self._strangers:
            self._strangers.discard(uid)
            self._gone.add(uid)

    def _reclaim(self) -> None:
        """Free what attempts of dead engines hold in the ledger, once their processes are gone too."""
        alive = set()
        for uid, directory in self._services.journal.holders():
            adopts = self._services.executor.adopt
            if uid in self._strangers or (uid not in self._gone and adopts(uid, directory)):
                self._strangers.add(uid)
                alive.add(uid)
        self._services.journal.free_dead(frozenset(alive))
