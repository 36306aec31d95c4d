"""What a program's results depend on beside its configuration: the files it is made of, the packages it finds."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import xxhash

from cairn.environments.snapshots import files_of
from cairn.errors import InputRefused

_LARGE = 16 << 20  # bytes: a larger file is data, and known by its size and time


def code_digest(
    directory: Path, patterns: Sequence[str], others: Iterable[Path] = (), *, outputs: Iterable[Path] = ()
) -> str:
    """Over names and contents of `directory`'s files, without `outputs` and what Hydra wrote, and of `others`.

    `patterns` (paths and globs relative to `directory`, `!pattern` leaves out) say which files are meant instead; then
    `others` are not. Raises InputRefused for a pattern that fits nothing, for what cannot be read, for too many files.
    """
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    excluded = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    names = _matching(directory, wanted) if wanted else files_of(directory)
    root = os.path.realpath(directory)
    written = tuple(f"{os.path.relpath(os.path.realpath(output), root)}/" for output in outputs)
    kept = [name for name in names if not (name.startswith(written) or any(_fits(name, each) for each in excluded))]
    whole = xxhash.xxh3_128()
    for name in kept:
        whole.update(f"{name}\0{_file_digest(os.path.join(root, name))}\0".encode(errors="surrogateescape"))
    if not wanted:
        for path in sorted({os.path.realpath(other) for other in others}):
            if not Path(path).is_relative_to(root):
                whole.update(f"{path}\0{_file_digest(path)}\0".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _fits(name: str, pattern: str) -> bool:
    """Whether a pattern means the file, or a directory that it is in."""
    path = PurePosixPath(name)
    pattern = pattern.rstrip("/")
    return any(one.match(pattern) for one in (path, *path.parents) if one.name)


def _matching(directory: Path, patterns: Sequence[str]) -> list[str]:
    found: set[str] = set()
    for pattern in patterns:
        there = [directory / pattern] if (directory / pattern).exists() else sorted(directory.glob(pattern))
        if not there:
            raise InputRefused(f"{pattern!r} fits no file there", place=str(directory))
        for path in there:
            below = [path / name for name in files_of(path)] if path.is_dir() else [path]
            found.update(os.path.relpath(one, directory) for one in below)
    return sorted(found)


def _file_digest(path: str) -> str:
    """Of a link, what it leads to as well: an edit there changes the program."""
    try:
        status = os.lstat(path)
        link = ""
        if stat.S_ISLNK(status.st_mode):
            link = f"l{os.readlink(path)}\0"
            try:
                status = os.stat(path)
            except OSError:
                return link
        if not stat.S_ISREG(status.st_mode):
            return link
        if status.st_size > _LARGE:
            return f"{link}s{status.st_size}.{status.st_mtime_ns}"
        with open(path, "rb") as file:
            return f"{link}f{xxhash.xxh3_128_hexdigest(file.read())}"
    except OSError as error:
        raise InputRefused(f"cannot be read: {error.strerror}", place=path) from None


def packages_digest(path: Sequence[str] | None = None) -> str:
    """Over names and versions of the distributions on a module search path (default: this interpreter's) and the
    interpreter. Read from the names of their metadata directories: opening them all takes a hundred times as long."""
    whole = xxhash.xxh3_128(sys.version.encode())
    for entry in dict.fromkeys(path if path is not None else sys.path):
        try:
            names = sorted(name for name in os.listdir(entry or ".") if name.endswith((".dist-info", ".egg-info")))
        except OSError:
            continue
        whole.update("\0".join(names).encode(errors="surrogateescape"))
    return whole.hexdigest()
