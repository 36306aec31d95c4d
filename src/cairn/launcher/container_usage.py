"""What a container uses, read from its cgroup while it runs: afterwards there is none. Elsewhere than on Linux nothing
is known."""

from __future__ import annotations

import os
from typing import Dict

from cairn.launcher.limits import CGROUPS


class Usage:
    """`peak` is the most memory so far in bytes, `cpu` seconds of CPU so far; 0 while nothing is known."""

    def __init__(self, container: str, pid: int) -> None:
        """`container`: its id; `pid`: any process of it, as its engine numbers it."""
        self.peak = 0
        self.cpu = 0.0
        self._groups = _groups_of(container, pid)

    def sample(self) -> None:
        groups = self._groups
        if "" in groups:
            self.peak = max(self.peak, _number(groups[""], "memory.peak") or _number(groups[""], "memory.current"))
            self.cpu = max(self.cpu, _number(groups[""], "cpu.stat", "usage_usec") / 1e6)
        if "memory" in groups:
            self.peak = max(self.peak, _number(groups["memory"], "memory.max_usage_in_bytes"))
        if "cpuacct" in groups:
            self.cpu = max(self.cpu, _number(groups["cpuacct"], "cpuacct.usage") / 1e9)


def _groups_of(container: str, pid: int) -> Dict[str, str]:
    """The directories of the container's cgroups by controller, "" for the unified hierarchy. None where the engine
    runs in a virtual machine: that number is another process's here."""
    found: Dict[str, str] = {}
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            lines = [line for line in file if container in line]
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
