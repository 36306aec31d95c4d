"""How much a server takes on at a time, over all that ask."""

from __future__ import annotations

from types import TracebackType

from cairn.errors import Overloaded

REQUESTS = 4096  # waiting for a worker or at work
BODIES = 512 * 1024 * 1024  # bytes of their bodies


class Pressure:
    """Threads: the event loop's alone."""

    def __init__(self, requests: int = REQUESTS, bodies: int = BODIES) -> None:
        self.requests = 0
        self.bytes = 0
        self._most_requests = requests
        self._most_bytes = bodies

    def one_more(self) -> Load:
        """Counted as long as its block runs. Raises Overloaded."""
        if self.requests >= self._most_requests:
            raise Overloaded
        return Load(self)

    def add(self, size: int) -> None:
        if self.bytes + size > self._most_bytes:
            raise Overloaded
        self.bytes += size


class Load:
    """One request's part of it."""

    __slots__ = ("_bytes", "_pressure")

    def __init__(self, pressure: Pressure) -> None:
        self._pressure = pressure
        self._bytes = 0

    def add(self, size: int) -> None:
        """Bytes of its body that are held. Raises Overloaded."""
        self._pressure.add(size)
        self._bytes += size

    def __enter__(self) -> Load:
        self._pressure.requests += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._pressure.requests -= 1
        self._pressure.bytes -= self._bytes
