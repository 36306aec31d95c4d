"""Event files read as they grow: records of a file from an offset on, runs of a directory.

A record is its length (uint64), the length's checksum, the content, the content's checksum (masked CRC-32C), all
little endian (tensorflow/core/lib/io/record_writer.h). What is not there in full yet is read the next time. Of a file
whose bytes are damaged what stands before the damage is read, and nothing of it thereafter, as TensorBoard does.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

import google_crc32c

MARK = "tfevents"  # stands in the name of every event file
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
MAX_RECORD = 256 * 1024 * 1024  # bytes; protobuf's own limit is 2 GiB, and nobody logs that
_DELTA = 0xA282EAD8


class Damaged(ValueError):
    """The bytes at an offset are no record; `offset` is where."""

    def __init__(self, offset: int, why: str) -> None:
        super().__init__(f"{why} at byte {offset}")
        self.offset = offset


class Record(NamedTuple):
    content: bytes
    end: int  # offset of what comes after it


class EventFile(NamedTuple):
    path: str
    run: str  # its directory below the log directory, with /; "." for that itself
    name: str  # the path below the log directory


def records(path: str, offset: int = 0) -> Iterator[Record]:
    """Those that are there in full. Raises Damaged, OSError."""
    with open(path, "rb") as file:
        file.seek(offset)
        while True:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return
            length, check = _HEADER.unpack(header)
            if check != masked(header[:8]):
                raise Damaged(offset, "a record's length does not fit its checksum")
            if length > MAX_RECORD:
                raise Damaged(offset, f"a record of {length} bytes")
            content = file.read(length)
            footer = file.read(_FOOTER.size)
            if len(footer) < _FOOTER.size:
                return
            if _FOOTER.unpack(footer)[0] != masked(content):
                raise Damaged(offset, "a record does not fit its checksum")
            offset += _HEADER.size + length + _FOOTER.size
            yield Record(content, offset)


def framed(content: bytes) -> bytes:
    """A record as it is written."""
    length = struct.pack("<Q", len(content))
    return length + _FOOTER.pack(masked(length)) + content + _FOOTER.pack(masked(content))


def masked(content: bytes) -> int:
    check: int = google_crc32c.value(content)
    return ((check >> 15 | check << 17) + _DELTA) & 0xFFFFFFFF


def event_files(directory: str) -> list[EventFile]:
    """All below a directory, run by run, the oldest of a run first; none where there is no directory. Links to
    directories are not followed: a log directory with a link to its parent would never end."""
    found = []
    for folder, folders, names in os.walk(directory):
        folders.sort()
        run = os.path.relpath(folder, directory)
        for name in sorted(name for name in names if MARK in name):
            path = os.path.join(folder, name)
            if not os.path.isfile(path):  # who opens a pipe waits for whoever writes to it
                continue
            found.append(EventFile(path, run.replace(os.sep, "/"), os.path.relpath(path, directory)))
    return found
