"""What a container uses, read from its cgroup while it runs: afterwards there is none. Elsewhere than on Linux nothing
is known."""

from __future__ import annotations

import os
from typing import Dict

from cairn.launcher.limits import CGROUPS


class Usage:
    """`peak` is the most memory so far in bytes, `cpu` seconds of CPU so far; 0 while nothing is known."""

    def __init__(self, pid: int) -> None:
        """`pid`: any process of the container, as this machine numbers it."""
        self.peak = 0
        self.cpu = 0.0
        self._groups = _groups_of(pid)

    def sample(self) -> None:
        groups = self._groups
        if "" in groups:
            self.peak = max(self.peak, _number(groups[""], "memory.peak") or _number(groups[""], "memory.current"))
            self.cpu = max(self.cpu, _number(groups[""], "cpu.stat", "usage_usec") / 1e6)
        if "memory" in groups:
            self.peak = max(self.peak, _number(groups["memory"], "memory.max_usage_in_bytes"))
        if "cpuacct" in groups:
            self.cpu = max(self.cpu, _number(groups["cpuacct"], "cpuacct.usage") / 1e9)


def _groups_of(pid: int) -> Dict[str, str]:
    """The directories of a process's cgroups by controller, "" for the unified hierarchy; never one of ours too."""
    found: Dict[str, str] = {}
    try:
        with (
            open(f"/proc/{pid}/cgroup", encoding="utf-8") as theirs,
            open("/proc/self/cgroup", encoding="utf-8") as own,
        ):
            lines = set(theirs) - set(own)
    except OSError:
        return found
    for line in lines:
        _, controllers, path = line.rstrip("\n").split(":", 2)
        for controller in controllers.split(","):
            directory = os.path.join(CGROUPS, controller) + path
            if os.path.isdir(directory):
                found[controller] = directory
    return found


def _number(group: str, name: str, field: str = "") -> int:
    try:
        with open(os.path.join(group, name), encoding="utf-8") as file:
            for line in file:
                words = line.split()
                if not field or words[0] == field:
                    return int(words[-1])
    except (OSError, ValueError, IndexError):
        pass
    return 0
