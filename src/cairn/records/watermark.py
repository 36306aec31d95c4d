"""A small file beside the database that remembers how far it had come.

SQLite drops a damaged tail of its write-ahead log without a word: after a truncation, acknowledged
transactions would be gone and nobody told. So the number of the last acknowledged transaction is written here, without
a sync (about two microseconds): it survives the death of every process, and is not trusted after a reboot, when
SQLite's own sync holds. The database file's size and time of change stand beside it: when they differ at the next
opening, something else has written to the file (or an engine was killed within a checkpoint), and the file's structure
is checked in full.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from cairn.errors import StorageFull

_FORMAT = struct.Struct("<8s36s32sqqq")
_MAGIC = b"cairnseq"


class Mark(NamedTuple):
    boot_id: str
    identity: str
    writes: int
    changed: int  # st_mtime_ns of the database file
    size: int


class Watermark:
    def __init__(self, database: str, boot_id: str, identity: str) -> None:
        self._database = database
        self._prefix = (_MAGIC, boot_id.encode(), identity.encode())
        try:
            self._file = os.open(path_of(database), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageFull(f"cannot be written: {error.strerror}", place=path_of(database)) from error

    def record(self, writes: int) -> None:
        """The database has acknowledged its transaction number `writes`."""
        status = os.stat(self._database)
        try:
            os.pwrite(self._file, _FORMAT.pack(*self._prefix, writes, status.st_mtime_ns, status.st_size), 0)
        except OSError:
            # Only the detection suffers: the transaction itself is on disk and must be reported as done.
            pass

    def record_close(self, writes: int) -> None:
        """As `record`, for a process that may have acknowledged less than others since."""
        mark = read(self._database)
        self.record(max(writes, mark.writes if mark is not None and mark.boot_id == self._prefix[1].decode() else 0))

    def close(self) -> None:
        os.close(self._file)


def path_of(database: str) -> str:
    return database + "-seq"


def read(database: str) -> Mark | None:
    """What the last process on this database left; None when there is nothing to go by."""
    try:
        with open(path_of(database), "rb") as file:
            content = file.read(_FORMAT.size)
    except OSError:
        return None
    if len(content) != _FORMAT.size or not content.startswith(_MAGIC):
        return None
    _, boot_id, identity, writes, changed, size = _FORMAT.unpack(content)
    return Mark(boot_id.rstrip(b"\0").decode(), identity.rstrip(b"\0").decode(), writes, changed, size)
