"""Listing environments, and removing what nobody uses any more."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection
from pathlib import Path

import msgspec

from cairn.environments.catalogue import READY, BuiltRecord, Catalogue
from cairn.environments.locking import exclusive, open_lock, try_lock
from cairn.errors import NotFound

_DAY = 86_400.0


class EnvironmentInfo(msgspec.Struct, frozen=True):
    """One environment on disk. Sizes in bytes; `last_use` in seconds since the Unix epoch."""

    key: str
    python: str
    asked_for: tuple[str, ...]
    spec_keys: tuple[str, ...]
    size: int  # all its files
    own_size: int  # what its removal frees: the rest is hard-linked from uv's cache or other environments
    last_use: float
    ready: bool  # False: left by a builder that was killed, or being built
    in_use: bool


class Collected(msgspec.Struct, frozen=True):
    environments: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    bytes_freed: int = 0


def list_environments(catalogue: Catalogue) -> list[EnvironmentInfo]:
    """Newest use first."""
    by_key: dict[str, list[BuiltRecord]] = {}
    for record in catalogue.records():
        by_key.setdefault(record.environment_key, []).append(record)
    infos = [_info(catalogue, path, by_key.get(path.name, [])) for path in _directories(catalogue.built)]
    return sorted(infos, key=lambda info: -info.last_use)


def show_environment(catalogue: Catalogue, prefix: str) -> tuple[EnvironmentInfo, list[str]]:
    """An environment by the beginning of its key or spec key, and the lines of its lock without hashes."""
    info = _one(catalogue, prefix)
    lines: list[str] = []
    for spec_key in info.spec_keys[:1]:
        try:
            text = catalogue.lock_file(spec_key).read_text()
        except OSError:
            continue
        lines = [line.rstrip(" \\") for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    return info, lines


def remove_environment(catalogue: Catalogue, prefix: str) -> Collected:
    """Remove one; nothing when a process uses it."""
    info = _one(catalogue, prefix)
    freed = _remove(catalogue, info.key)
    return Collected() if freed is None else Collected((info.key,), (), freed)


def collect(catalogue: Catalogue, *, older_than: float = 30 * _DAY, keep: Collection[str] = ()) -> Collected:
    """Remove environments and snapshots not used for `older_than` seconds.

    Never one that a process holds, nor one in `keep`: keys of environments, and paths of snapshots, of attempts that
    still run without the engine that started them. Locks stay, so a later build gives the same environment again.
    """
    before = time.time() - older_than
    environments: list[str] = []
    freed = 0
    for path in _directories(catalogue.built):
        if path.name in keep or _last_use(path) > before:
            continue
        gained = _remove(catalogue, path.name)
        if gained is not None:
            environments.append(path.name)
            freed += gained
    snapshots: list[str] = []
    for path in _directories(catalogue.snapshots):
        if str(path) not in keep and path.stat().st_mtime <= before:
            freed += _size(path)[1]
            _remove_tree(path)
            snapshots.append(path.name)
    return Collected(tuple(environments), tuple(snapshots), freed)


def refresh_environments(catalogue: Catalogue, prefix: str = "") -> list[str]:
    """Have specs (all, or those of one environment) resolved anew by the next run that needs them; what they gave
    stays for steps that run in it. Gives what was asked for, a line for each."""
    wanted = set(_one(catalogue, prefix).spec_keys) if prefix else None
    lines: list[str] = []
    for record in catalogue.records():
        if wanted is not None and record.spec_key not in wanted:
            continue
        with exclusive(catalogue.spec_lock(record.spec_key)):
            lock = catalogue.lock_file(record.spec_key)
            if lock.exists():
                lock.replace(catalogue.stale_lock_file(record.spec_key))
            (catalogue.specs / f"{record.spec_key}.json").unlink(missing_ok=True)
        lines.append(record.description)
    return sorted(lines)


def _info(catalogue: Catalogue, path: Path, records: list[BuiltRecord]) -> EnvironmentInfo:
    size, own = _size(path)
    return EnvironmentInfo(
        key=path.name,
        python=records[0].python_version if records else "",
        asked_for=tuple(sorted(record.description for record in records)),
        spec_keys=tuple(record.spec_key for record in records),
        size=size,
        own_size=own,
        last_use=_last_use(path),
        ready=(path / READY).exists(),
        in_use=_in_use(catalogue, path.name),
    )


def _one(catalogue: Catalogue, prefix: str) -> EnvironmentInfo:
    found = [
        info
        for info in list_environments(catalogue)
        if prefix and (info.key.startswith(prefix) or any(key.startswith(prefix) for key in info.spec_keys))
    ]
    if len(found) != 1:
        said = f"{len(found)} environments begin with {prefix!r}" if found else f"there is no environment {prefix!r}"
        raise NotFound(said, remedy="`cairn environments list` names them")
    return found[0]


def _in_use(catalogue: Catalogue, key: str) -> bool:
    descriptor = open_lock(catalogue.held_lock(key))
    try:
        return not try_lock(descriptor, shared=False)
    finally:
        os.close(descriptor)


def _remove(catalogue: Catalogue, key: str) -> int | None:
    """Bytes freed; None when a process uses or builds it. The marker goes first: half an environment is none."""
    building, using = open_lock(catalogue.build_lock(key)), open_lock(catalogue.held_lock(key))
    try:
        if not (try_lock(building, shared=False) and try_lock(using, shared=False)):
            return None
        path = catalogue.directory(key)
        own = _size(path)[1]
        (path / READY).unlink(missing_ok=True)
        for record in catalogue.records():
            if record.environment_key == key:
                (catalogue.specs / f"{record.spec_key}.json").unlink(missing_ok=True)
        _remove_tree(path)
        return own
    finally:
        os.close(using)
        os.close(building)


def _remove_tree(path: Path) -> None:
    def make_writable(_function: object, name: str, _error: object) -> None:
        above = os.path.dirname(name)
        os.chmod(above, 0o700)
        os.unlink(name)

    shutil.rmtree(path, onerror=make_writable)


def _directories(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir())
    except OSError:
        return []


def _last_use(path: Path) -> float:
    for marker in (path / READY, path):
        try:
            return marker.stat().st_mtime
        except OSError:
            continue
    return 0.0


def _size(path: Path) -> tuple[int, int]:
    """(all, own) bytes of a tree."""
    total = own = 0
    for parent, _, files in os.walk(path):
        for name in files:
            try:
                seen = os.lstat(os.path.join(parent, name))
            except OSError:
                continue
            total += seen.st_size
            own += seen.st_blocks * 512 if seen.st_nlink == 1 else 0
    return total, own
