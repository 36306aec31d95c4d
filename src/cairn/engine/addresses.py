"""Ports of this machine that replicas of one attempt find one another at.

They lie below the range that the kernel takes for outgoing connections, are free when they are taken, and belong to
one attempt at a time: whoever takes one holds a lock on a file that all of a user's engines share, until the attempt
has ended. An engine that comes back needs none: by then its replicas hold the ports themselves.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterable

from cairn.errors import StepError

_FIRST, _LAST = 15_000, 32_000
_TRIES = 2_000


class Addresses:
    """One engine's; one thread owns it."""

    def __init__(self, directory: str = "") -> None:
        """`directory`: where the locks are; by default one for each user of this machine."""
        self._directory = directory or os.path.join(tempfile.gettempdir(), f"cairn-ports-{os.getuid()}")
        self._held: dict[str, list[tuple[str, int]]] = {}

    def take(self, holder: str, count: int) -> list[int]:
        """`count` ports for `holder`, free on all of the machine's addresses. Raises StepError when there are none."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        if os.lstat(self._directory).st_uid != os.getuid():
            raise StepError("the locks of its ports would be another user's", place=self._directory)
        ports: list[int] = []
        for port in _candidates():
            if len(ports) == count:
                return ports
            if self._lock(holder, port):
                ports.append(port)
        self.release(holder)
        raise StepError(f"there are no {count} ports free between {_FIRST} and {_LAST} on this machine")

    def release(self, holder: str) -> None:
        """Unknown holders are no error."""
        for path, descriptor in self._held.pop(holder, ()):
            with contextlib.suppress(FileNotFoundError):  # whoever tidies up the temporary directory was quicker
                os.unlink(path)
            os.close(descriptor)

    def close(self) -> None:
        """Let go of the locks; replicas that run hold their ports."""
        for holder in list(self._held):
            self.release(holder)

    def _lock(self, holder: str, port: int) -> bool:
        path = os.path.join(self._directory, str(port))
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link is nobody's lock
                return False
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another one may have given it back, and removed the file, between the two calls.
            if os.path.samestat(os.fstat(descriptor), os.stat(path)) and _is_free(port):
                self._held.setdefault(holder, []).append((path, descriptor))
                return True
        except OSError:
            pass
        os.close(descriptor)
        return False


def _candidates() -> Iterable[int]:
    return random.sample(range(_FIRST, _LAST), _TRIES)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("0.0.0.0", port))  # nothing listens
        except OSError:
            return False
    return True
