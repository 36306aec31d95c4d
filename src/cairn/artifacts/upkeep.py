"""Collecting what no record refers to, and copying a store as a whole."""

from __future__ import annotations

import os
import shutil
import stat as kinds
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from cairn.artifacts import buckets, locations
from cairn.artifacts.object_index import ObjectIndex
from cairn.artifacts.store import remove
from cairn.errors import HomeError


class Unreferenced(msgspec.Struct, frozen=True):
    """A file or directory that no record names. Size in bytes; `newest` in seconds since the Unix epoch."""

    path: str
    size: int
    newest: float


class Copied(msgspec.Struct, frozen=True):
    files: int
    bytes: int


def unreferenced(root: Path, referenced: Collection[str], *, older_than: float) -> list[Unreferenced]:
    """The topmost entries under `root` that neither are, hold, nor lie within a path in `referenced`.

    What has changed in the last `older_than` seconds is left out: a run may be about to record it.
    """
    kept = {os.path.abspath(path) for path in referenced}
    above = {parent for path in kept for parent in _parents(path, str(root.absolute()))}
    before = time.time() - older_than
    found = [_look(path) for path in _loose(str(root.absolute()), kept, above)]
    return [entry for entry in found if entry.newest <= before]


def collect(root: Path, referenced: Collection[str], *, older_than: float) -> tuple[list[str], int]:
    """Remove them: (paths, bytes freed)."""
    paths: list[str] = []
    freed = 0
    for entry in unreferenced(root, referenced, older_than=older_than):
        freed += remove(entry.path)
        paths.append(entry.path)
    return paths, freed


def copy_buckets(source: Path, target: Path, *, restoring: bool = False) -> Copied:
    """Copy the buckets of a home: every file of theirs, whatever its name, and the index as of one moment.

    Uploads that are under way are left. `restoring`: the source is such a copy. Raises HomeError.
    """
    copied = Copied(0, 0)
    for name in (*locations.MOUNTS, buckets.OWNERS):
        if (source / name).is_dir():
            (target / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            one = _copied(source / name, target / name, link=False, temporary=())
            copied = Copied(copied.files + one.files, copied.bytes + one.bytes)
    if restoring:
        if (source / buckets.INDEX).exists():
            shutil.copy2(source / buckets.INDEX, target / buckets.INDEX)
        return copied
    index = ObjectIndex(source / buckets.INDEX)
    try:
        index.backup(target / buckets.INDEX)
    finally:
        index.close()
    return copied


def copy_store(source: Path, target: Path, *, link: bool = False) -> Copied:
    """Copy a store with its modes and times; used for backup and, the other way round, for restore.

    For a backup, copy the database first: then the store holds all that it names. `link` hard-links files where it can:
    published files are never written again. Raises HomeError when the target holds something or cannot be written.
    """
    return _copied(source, target, link=link, temporary=(".tmp",))


def _copied(source: Path, target: Path, *, link: bool, temporary: tuple[str, ...]) -> Copied:
    if target.exists() and any(target.iterdir()):
        raise HomeError("is not empty", place=str(target), remedy="name an empty directory")
    files = size = 0
    directories: list[tuple[str, str]] = []
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        for entry, relative in _everything(str(source)):
            copy = os.path.join(target, relative)
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), copy)
            elif entry.is_dir():
                os.mkdir(copy, 0o700)
                directories.append((entry.path, copy))
            elif entry.is_file() and not relative.endswith(temporary):
                _copy_file(entry.path, copy, link=link)
                files += 1
                size += entry.stat().st_size
        for original, copy in reversed(directories):  # last: what is read-only cannot be filled
            shutil.copystat(original, copy)
    except OSError as error:
        raise HomeError(f"cannot be copied: {error.strerror}", place=str(error.filename or target)) from None
    return Copied(files, size)


def _copy_file(source: str, copy: str, *, link: bool) -> None:
    if link:
        try:
            os.link(source, copy, follow_symlinks=False)
            return
        except OSError:
            pass  # another file system
    shutil.copy2(source, copy, follow_symlinks=False)


def _everything(root: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Depth first, a directory before what is in it."""
    if not os.path.isdir(root):
        return
    pending = [""]
    while pending:
        prefix = pending.pop()
        with os.scandir(os.path.join(root, prefix)) as entries:
            for entry in entries:
                relative = os.path.join(prefix, entry.name)
                yield entry, relative
                if entry.is_dir(follow_symlinks=False):
                    pending.append(relative)


def _parents(path: str, root: str) -> Iterator[str]:
    parent = os.path.dirname(path)
    while parent.startswith(root) and parent != "/":
        yield parent
        parent = os.path.dirname(parent)


def _loose(directory: str, kept: Collection[str], above: Collection[str]) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.path in kept:
            continue
        # A directory of ours that will hold other runs' results too is looked into, never taken away as a whole.
        shared = entry.path in above or entry.name == ".parameters"
        if shared and entry.is_dir(follow_symlinks=False):
            yield from _loose(entry.path, kept, above)
        elif not shared:
            yield entry.path


def _look(path: str) -> Unreferenced:
    seen = os.lstat(path)
    size, newest = seen.st_size, seen.st_mtime
    if kinds.S_ISDIR(seen.st_mode):
        size = 0
        with suppress(PermissionError):  # another user's, which is not looked into
            for entry, _ in _everything(path):
                below = entry.stat(follow_symlinks=False)
                newest = max(newest, below.st_mtime)
                size += below.st_size if kinds.S_ISREG(below.st_mode) else 0
    return Unreferenced(path, size, newest)
