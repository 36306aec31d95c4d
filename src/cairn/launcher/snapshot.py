"""A copy of a project's directory for one attempt. Blocks are shared where the file system can, never writable files.

Hard links would share the bytes: a step that writes a file in place would write into the template, and so into every
other step's copy.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from typing import Any

_FICLONE = 0x40049409


def copy(template: str, target: str) -> None:
    """Copy a tree: files with their modes and times, symbolic links as they stand. `target` may exist, empty."""
    os.makedirs(target, exist_ok=True)
    with os.scandir(template) as entries:
        for entry in entries:
            destination = os.path.join(target, entry.name)
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), destination)
            elif entry.is_dir():
                copy(entry.path, destination)
            elif entry.is_file():
                _copy_file(entry.path, destination, entry.stat())
    shutil.copystat(template, target)
    os.chmod(target, stat.S_IMODE(os.stat(target).st_mode) | stat.S_IRWXU)


def _copy_file(source: str, target: str, found: os.stat_result) -> None:
    with open(source, "rb", buffering=0) as reader, open(target, "wb", buffering=0) as writer:
        if not _clone(reader, writer):
            _copy_bytes(reader, writer, found.st_size)
    os.chmod(target, stat.S_IMODE(found.st_mode) | stat.S_IWUSR)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _clone(reader: Any, writer: Any) -> bool:
    try:
        fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
    except OSError:
        return False
    return True


def _copy_bytes(reader: Any, writer: Any, size: int) -> None:
    if hasattr(os, "copy_file_range"):
        try:
            while size > 0:
                copied = os.copy_file_range(reader.fileno(), writer.fileno(), size)
                if copied == 0:
                    break
                size -= copied
        except OSError:
            reader.seek(0)
            writer.seek(0)
        else:
            return
    shutil.copyfileobj(reader, writer, 1 << 20)
