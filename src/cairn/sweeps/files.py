"""The files that a sweep's jobs are composed from, so that resuming can tell whether one has changed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import xxhash

from cairn.errors import Conflict
from cairn.sweeps.types import Sweep

_SUFFIXES = (".yaml", ".yml")
_SKIPPED = ("multirun", "outputs")  # what Hydra programs write beside their configuration


def file_digests(directory: str, imports: Sequence[str] = ()) -> dict[str, str]:
    """file, relative to the directory (imported ones as they were named) → digest of its bytes."""
    found = {}
    for parent, folders, names in os.walk(directory):
        folders[:] = sorted(one for one in folders if not one.startswith(".") and one not in _SKIPPED)
        for name in sorted(names):
            if name.endswith(_SUFFIXES):
                path = os.path.join(parent, name)
                found[os.path.relpath(path, directory)] = _digest(path)
    for one in imports:
        if one.endswith(".py"):
            found[one] = _digest(one)
    return found


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Changed, new and gone."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def changed_since(sweep: Sweep, *, force: bool = False) -> str:
    """ "" when every file is as it was; else, with `force`, a warning, and without raises Conflict."""
    changed = changed_files(sweep.files, file_digests(sweep.directory, sweep.imports))
    if not changed:
        return ""
    told = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
    told = f"changed since the sweep began: {told}"
    if force:
        return f"{told}; the jobs to come are composed from the files as they are"
    raise Conflict(
        told,
        place=sweep.directory,
        remedy="put them back, or --force: the jobs to come are composed from the files as they are now",
    )


def _digest(path: str) -> str:
    try:
        return xxhash.xxh3_128_hexdigest(Path(path).read_bytes())
    except OSError:
        return ""
