"""Files that an attempt leaves beside its output: what it has put where CAIRN_LOG_DIRECTORY says, and the folders that
Hydra writes for each run of a program (`.hydra`, `main.log`), also of one that knows nothing of Cairn."""

from __future__ import annotations

import os
from collections.abc import Iterator

LOGS = "logs"
_HYDRA = ".hydra"
_HYDRA_ROOTS = ("outputs", "multirun")  # in the working directory, by Hydra's own defaults


def log_files(directory: str) -> list[str]:
    """Absolute paths, sorted. `directory` is an attempt's; its replicas have directories in it."""
    found = list(_below(os.path.join(directory, LOGS)))
    for root in _HYDRA_ROOTS:
        for folder in _hydra_folders(os.path.join(directory, "work", root)):
            found += _below(folder)
    try:
        replicas = [entry.path for entry in os.scandir(directory) if entry.name.startswith("replica-")]
    except OSError:
        replicas = []
    for replica in replicas:
        found += log_files(replica)
    return sorted(set(found))


def _hydra_folders(root: str) -> Iterator[str]:
    """Those that hold `.hydra`, each whole."""
    for folder, below, _ in os.walk(root):
        if _HYDRA in below:
            below.clear()
            yield folder


def _below(root: str) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        yield from (os.path.join(folder, name) for name in names)
