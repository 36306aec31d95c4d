"""What an artifact's bytes are: read once, by as many threads as there are cores where there is much to read."""

from __future__ import annotations

import os
import stat as kinds
from collections.abc import Iterator

import xxhash

from cairn.domain.artifacts import Fingerprint
from cairn.errors import InputRefused

# Fits the second-level cache: what was just read is digested before it leaves it.
_BUFFER_BYTES = 512 * 1024
_LARGE_BYTES = 8 * 1024 * 1024
# A digest over one stream cannot be shared out. Larger files are digested block by block, and so by several threads:
# half the time on two cores. The block is part of the definition and never changes.
BLOCK_BYTES = 64 * 1024 * 1024
_THREADS = 4


def fingerprint(path: str) -> Fingerprint | None:
    """Of a file or tree; None when there is none.

    Of a file of at most 64 MiB it is `xxh3:` and XXH3-128 of its bytes; of a larger one `xxh3-64m:` and XXH3-128 of the
    XXH3-128 digests (16 bytes each, big-endian) of its blocks of 64 MiB. A tree's is over its sorted relative names,
    kinds, sizes and digests; empty directories count. A link inside a tree counts by what it says and is never
    followed. Raises InputRefused for sockets, devices and pipes.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from None
    if kinds.S_ISDIR(found.st_mode):
        return _tree(path, found)
    if not kinds.S_ISREG(found.st_mode):
        raise InputRefused("is neither a file nor a directory", place=path)
    digest = _file(path, found.st_size)
    return Fingerprint(digest, found.st_size, (found.st_mtime_ns, found.st_ino))


def quick_look(path: str) -> tuple[int, tuple[int, int], bool] | None:
    """(size, stat, is_directory) without reading contents; None when there is nothing, or nothing to be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if not kinds.S_ISDIR(found.st_mode):
        return found.st_size, (found.st_mtime_ns, found.st_ino), False
    size, newest = 0, (found.st_mtime_ns, found.st_ino)
    try:
        for _, entry in _walk(path):
            seen = entry.stat(follow_symlinks=False)
            newest = max(newest, (seen.st_mtime_ns, seen.st_ino))
            size += seen.st_size if kinds.S_ISREG(seen.st_mode) else 0
    except InputRefused:
        return None
    return size, newest, True


def _tree(root: str, found: os.stat_result) -> Fingerprint:
    total, newest = 0, (found.st_mtime_ns, found.st_ino)
    lines: list[tuple[str, str]] = []
    for name, entry in _walk(root):
        seen = entry.stat(follow_symlinks=False)
        newest = max(newest, (seen.st_mtime_ns, seen.st_ino))
        if kinds.S_ISREG(seen.st_mode):
            total += seen.st_size
            lines.append((name, f"f{seen.st_size}:{_file(entry.path, seen.st_size)}"))
        elif kinds.S_ISLNK(seen.st_mode):
            lines.append((name, f"l{os.readlink(entry.path)}"))
        elif kinds.S_ISDIR(seen.st_mode):
            lines.append((name, "d"))
        else:
            raise InputRefused("is neither a file, a directory nor a link", place=entry.path)
    digest = xxhash.xxh3_128()
    for name, what in sorted(lines):
        digest.update(f"{name}\0{what}\0".encode(errors="surrogateescape"))
    return Fingerprint(f"xxh3:{digest.hexdigest()}", total, newest, is_directory=True)


def _walk(root: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Everything below `root` with its relative name; links are not followed."""
    pending = [("", root)]
    while pending:
        prefix, directory = pending.pop()
        try:
            entries = os.scandir(directory)
        except PermissionError as error:
            raise _unreadable(directory, error) from None
        with entries:
            for entry in entries:
                yield prefix + entry.name, entry
                if entry.is_dir(follow_symlinks=False):
                    pending.append((f"{prefix}{entry.name}/", entry.path))


def _unreadable(path: str, error: OSError) -> InputRefused:
    try:
        owner = os.lstat(path).st_uid
    except OSError:
        owner = os.geteuid()
    if owner == os.geteuid() or not isinstance(error, PermissionError):
        return InputRefused(f"cannot be read: {error.strerror}", place=path)
    return InputRefused(
        f"cannot be read: it belongs to user {owner}, whom the step ran as",
        place=path,
        remedy='run steps as you, [docker] user = "auto", or let this one make its outputs readable for others',
    )


def _file(path: str, size: int) -> str:
    """The digest with the name of its kind."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        if size <= _BUFFER_BYTES:
            return f"xxh3:{_small(descriptor)}"
        if size > BLOCK_BYTES:
            return f"xxh3-64m:{_blocks(descriptor, size)}"
        if size >= _LARGE_BYTES and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        digest = xxhash.xxh3_128()
        buffer = memoryview(bytearray(_BUFFER_BYTES))
        while count := os.readv(descriptor, (buffer,)):
            digest.update(buffer[:count])
        return f"xxh3:{digest.hexdigest()}"
    finally:
        os.close(descriptor)


def _blocks(descriptor: int, size: int) -> str:
    from concurrent.futures import ThreadPoolExecutor  # only where it is worth its import

    def block(start: int) -> bytes:
        digest, offset = xxhash.xxh3_128(), start
        buffer = memoryview(bytearray(_BUFFER_BYTES))
        while offset < start + BLOCK_BYTES:
            count = os.preadv(descriptor, (buffer[: min(_BUFFER_BYTES, start + BLOCK_BYTES - offset)],), offset)
            if not count:
                break
            digest.update(buffer[:count])
            offset += count
        return digest.digest()

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as threads:
        return xxhash.xxh3_128_hexdigest(b"".join(threads.map(block, range(0, size, BLOCK_BYTES))))


def _small(descriptor: int) -> str:
    parts = []
    while part := os.read(descriptor, _BUFFER_BYTES):
        parts.append(part)
    return xxhash.xxh3_128_hexdigest(parts[0] if len(parts) == 1 else b"".join(parts))
