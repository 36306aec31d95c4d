"""Bytes on their way into a bucket: outside what anybody sees, on the same file system, until they are whole."""

from __future__ import annotations

import base64
import errno
import fcntl
import hashlib
import os
import secrets
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import google_crc32c

from cairn.domain.objects import OBJECT_LIMIT
from cairn.errors import CairnError, InputRefused, PermissionDenied, StorageFull, TooLarge

_BLOCK = 1024 * 1024
EMPTY_CRC32C = "AAAAAA=="
EMPTY_MD5 = "1B2M2Y8AsgTpgAmY7PhCfg=="


class Sums:
    """Checksums of what is written, as it is written."""

    def __init__(self, *, md5: bool = True) -> None:
        self.size = 0
        self._crc = 0
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None

    def add(self, content: bytes) -> None:
        self.size += len(content)
        self._crc = google_crc32c.extend(self._crc, content)
        if self._md5 is not None:
            self._md5.update(content)

    def check(self, crc32c: str, md5: str) -> None:
        """Against what the client says it has sent. Raises InputRefused."""
        for told, found, kind in ((crc32c, self.crc32c, "crc32c"), (md5, self.md5, "md5")):
            if told and found and told != found:
                raise InputRefused(f"the {kind} that was sent is {told}, and that of what arrived is {found}")

    @property
    def crc32c(self) -> str:
        return base64.b64encode(self._crc.to_bytes(4, "big")).decode()

    @property
    def md5(self) -> str:
        return base64.b64encode(self._md5.digest()).decode() if self._md5 is not None else ""


class Partial:
    """A file that becomes an object by being renamed. Threads: one at a time.

    It is locked as long as it is open, so that sweeping tells what a dead process has left from what is under way.
    Raises StorageFull, TooLarge.
    """

    def __init__(self, path: Path, *, md5: bool = True, resumed: bool = False) -> None:
        """`resumed`: go on behind what is there; its checksums are taken by `summed`.

        Raises BlockingIOError when another has it open, FileNotFoundError when there is none to resume.
        """
        self.path = path
        flags = os.O_RDWR | os.O_CLOEXEC | (0 if resumed else os.O_CREAT | os.O_EXCL)
        self.descriptor = os.open(path, flags, 0o644)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(self.descriptor)
            raise
        self._lock = threading.Lock()  # a writer whose client is gone must not write to what is opened next
        self.sums = Sums(md5=md5)
        self.size = os.lseek(self.descriptor, 0, os.SEEK_END)
        self._summing = self.size == 0

    @classmethod
    def anew(cls, directory: Path, *, md5: bool = True) -> Partial:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(directory / secrets.token_hex(16), md5=md5)

    def write(self, content: bytes) -> None:
        self.sum([content])
        self.keep([content])

    def keep(self, contents: Sequence[bytes]) -> None:
        """A write without its checksum: `sum` takes that, of the same contents, before it or beside it."""
        size = sum(map(len, contents))
        if self.size + size > OBJECT_LIMIT:
            raise TooLarge(f"an object holds at most {OBJECT_LIMIT} bytes")
        try:
            with self._lock:
                for content in contents:
                    rest = memoryview(content)
                    while rest:
                        rest = rest[os.write(self.descriptor, rest) :]
        except OSError as error:
            raise refused(error, str(self.path)) from None
        self.size += size

    def sum(self, contents: Sequence[bytes]) -> None:
        if self._summing:
            for content in contents:
                self.sums.add(content)

    def go_on(self, sums: Sums) -> None:
        """With the checksums of what is there already."""
        if sums.size == self.size:
            self.sums, self._summing = sums, True

    def summed(self) -> Sums:
        """Of all its bytes; read again where they were not seen as they came."""
        if self.sums.size != self.size:
            self.sums = sums_of(self.descriptor, md5=bool(self.sums.md5))
        return self.sums

    def close(self) -> None:
        with self._lock:
            if self.descriptor >= 0:
                os.close(self.descriptor)
                self.descriptor = -1

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.close()

    def __enter__(self) -> Partial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()  # after the rename there is nothing left under this name


def sums_of(descriptor: int, *, md5: bool = False) -> Sums:
    sums = Sums(md5=md5)
    while block := os.pread(descriptor, _BLOCK, sums.size):
        sums.add(block)
    return sums


def copy_into(partial: Partial, descriptor: int, start: int, end: int) -> None:
    """Bytes `start` to `end` of an open file. Raises InputRefused when it has become shorter."""
    while start < end:
        block = os.pread(descriptor, min(_BLOCK, end - start), start)
        if not block:
            raise InputRefused("the source was changed meanwhile", remedy="try again")
        partial.write(block)
        start += len(block)


def sweep(directory: Path, older_than: float) -> None:
    """Remove what dead processes have left, if it was last changed before `older_than` (seconds since the epoch)."""
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return
    for entry in entries:
        try:
            if entry.stat(follow_symlinks=False).st_mtime > older_than:
                continue
            Partial(Path(entry.path), resumed=True).discard()
        except OSError:
            continue


def refused(error: OSError, place: str) -> CairnError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return StorageFull(f"cannot be written: {error.strerror}", place=place)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return PermissionDenied(f"cannot be written: {error.strerror}", place=place)
    return InputRefused(f"cannot be written: {error.strerror}", place=place)
