"""How often somebody may ask: token buckets, in a table that does not grow without bound."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from cairn.errors import TooManyRequests

_TABLE = 10_000


class RateLimit:
    """`rate` a second for each name, `burst` at once; `rate` 0: no limit. Threads: any.

    Of more than 10,000 names, the one that has not come for longest is forgotten, which gives it a full bucket again.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name → (what is in it, when)
        self._lock = threading.Lock()

    def take(self, name: str) -> None:
        """Raises TooManyRequests, with the time after which there is one again."""
        if self._rate:
            self._change(name, 1.0)

    def check(self, name: str) -> None:
        """Raises as `take` would, and takes nothing."""
        if self._rate:
            self._change(name, 0.0)

    def _change(self, name: str, taken: float) -> None:
        now = time.monotonic()
        with self._lock:
            level, then = self._buckets.get(name, (self._burst, now))
            level = min(self._burst, level + (now - then) * self._rate)
            lacking = 1.0 - level
            if lacking <= 0:
                level -= taken
            self._buckets[name] = (level, now)
            self._buckets.move_to_end(name)
            if len(self._buckets) > _TABLE:
                self._buckets.popitem(last=False)
        if lacking > 0:
            error = TooManyRequests(f"more than {self._rate:g} requests a second")
            error.retry_after_seconds = lacking / self._rate
            raise error
