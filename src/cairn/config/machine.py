"""What this machine offers, when the configuration does not say."""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_GPUS = Path("/proc/driver/nvidia/gpus")
_DEVICES = Path("/dev")


def cpu_millis() -> int:
    """Thousandths of a core that this process may use: its affinity, cut by the cgroup's quota."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0)) * 1000
    else:
        allowed = (os.cpu_count() or 1) * 1000
    for directory in _cgroups():
        quota, _, period = _read(directory / "cpu.max").partition(" ")
        if quota.isdigit() and period.strip().isdigit():
            allowed = min(allowed, int(quota) * 1000 // int(period))
    return max(allowed, 1)


def memory_bytes() -> int:
    """Physical memory, cut by the cgroup's limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for directory in _cgroups():
        limit = _read(directory / "memory.max")
        if limit.isdigit():
            total = min(total, int(limit))
    return total


def accelerators() -> int:
    """NVIDIA devices; `CUDA_VISIBLE_DEVICES` narrows them, up to the first -1, as CUDA itself reads it."""
    try:
        present = len(list(_GPUS.iterdir()))
    except OSError:
        present = sum(1 for device in _DEVICES.glob("nvidia[0-9]*"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return present
    named = takewhile(lambda device: device != "-1", filter(None, map(str.strip, visible.split(","))))
    return min(present, sum(1 for _ in named))


def _cgroups() -> list[Path]:
    """This process's cgroup (version 2) and those above it: the narrowest limit holds."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        if line.startswith("0::"):
            own = _CGROUP / line[3:].lstrip("/")
            return [own, *(parent for parent in own.parents if parent == _CGROUP or _CGROUP in parent.parents)]
    return [_CGROUP]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
