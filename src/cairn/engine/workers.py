"""Threads for what would keep the engine's loop waiting: building environments, digesting large outputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from cairn.engine.wakeup import Wakeup

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

THREADS = 4


class Workers:
    """A job runs on a thread and gives back what is to be called on the loop's own: only that may touch a run's state.

    A job must not raise.
    """

    def __init__(self, wakeup: Wakeup) -> None:
        self._wakeup = wakeup
        self._done: deque[Callable[[], None]] = deque()  # appending and popping are atomic
        self._threads: ThreadPoolExecutor | None = None

    def run(self, job: Callable[[], Callable[[], None]]) -> None:
        if self._threads is None:
            from concurrent.futures import ThreadPoolExecutor  # brings logging along: most runs never need it

            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="cairn-worker")

        def work() -> None:
            self._done.append(job())
            self._wakeup.set()

        self._threads.submit(work)

    @property
    def waiting(self) -> bool:
        """Whether something has finished and was not taken in yet."""
        return bool(self._done)

    def take_in(self) -> None:
        """Call what finished jobs gave back."""
        while self._done:
            self._done.popleft()()

    def close(self) -> None:
        """Wait for nothing: a build that goes on holds its own lock, and is taken up by whoever comes next."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
