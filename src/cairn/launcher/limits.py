"""Ceilings on CPU and memory, with what the machine grants: a cgroup, or CPU affinity, thread counts and a watchdog."""

from __future__ import annotations

import os
import time
from typing import Dict, List, Optional, Sequence, Set

from cairn.launcher import processes

CGROUPS = "/sys/fs/cgroup"
PERIOD = 100_000  # microseconds: the kernel's own default
SAMPLE_SECONDS = 0.05
THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Placement:
    """A process's own part in keeping limits: its cgroups and CPUs, and how many threads libraries may use."""

    def __init__(self, groups: Sequence[str] = (), cpus: Sequence[int] = (), threads: int = 0) -> None:
        self.groups = list(groups)
        self.cpus = list(cpus)
        self.threads = threads  # 0: as many as they like

    def enter(self) -> None:
        """Put the calling process under the limits; its descendants inherit them."""
        for group in self.groups:
            _write(os.path.join(group, "cgroup.procs"), str(os.getpid()))
        if self.cpus:
            os.sched_setaffinity(0, self.cpus)

    def variables(self) -> Dict[str, str]:
        """Thread counts for libraries that otherwise count the machine's cores; the step's own values win."""
        if not self.threads:
            return {}
        return {name: str(self.threads) for name in THREAD_COUNTS if name not in os.environ}


class Limits:
    """The limits of one attempt, kept by its supervisor.

    `enforced` says what was: "memory:cgroup", "memory:watchdog", "cpu:cgroup", "cpu:affinity", "cpu:threads".
    """

    def __init__(self, uid: str, memory_bytes: int, cpu_millis: int) -> None:
        self.enforced: List[str] = []
        self.exceeded = False
        self._memory = memory_bytes
        self._cpu = cpu_millis
        self._groups: List[str] = []
        self._memory_group = ""
        self._cpus: Optional[Set[int]] = None
        self._next_sample = 0.0
        name = f"cairn-{uid}"
        if memory_bytes:
            self._limit_memory(name)
        if cpu_millis:
            self._limit_cpu(name)

    @property
    def watches(self) -> bool:
        return "memory:watchdog" in self.enforced

    def placement(self) -> Placement:
        """What each process of the attempt does about the limits."""
        return Placement(self._groups, sorted(self._cpus or ()), -(-self._cpu // 1000))

    def sample(self, now: float) -> float:
        """Look at the memory in use if it is time to, set `exceeded`, and return the time of the next look."""
        if now >= self._next_sample:
            self._next_sample = now + SAMPLE_SECONDS
            self.exceeded = self.exceeded or resident(processes.descendants(os.getpid())) > self._memory
        return self._next_sample

    def killed(self) -> bool:
        """Whether memory was exceeded: seen by the watchdog, or counted by the kernel."""
        return self.exceeded or (bool(self._memory_group) and _kills(self._memory_group) > 0)

    def close(self) -> None:
        """Remove the cgroups; nothing may run in them any more."""
        for group in self._groups:
            for _ in range(50):
                try:
                    os.rmdir(group)
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.002)  # the kernel is still taking the last process out of it
                    continue
                break

    def _limit_memory(self, name: str) -> None:
        limit = str(self._memory)
        group = _make_group("memory", name, [("memory.limit_in_bytes", limit)], [("memory.max", limit)])
        if group:
            self._groups.append(group)
            self._memory_group = group
            for swap in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
                value = limit if "memsw" in swap else "0"
                _try_write(os.path.join(group, swap), value)
            self.enforced.append("memory:cgroup")
        else:
            self.enforced.append("memory:watchdog")

    def _limit_cpu(self, name: str) -> None:
        quota = max(1000, self._cpu * PERIOD // 1000)
        group = _make_group(
            "cpu",
            name,
            [("cpu.cfs_period_us", str(PERIOD)), ("cpu.cfs_quota_us", str(quota))],
            [("cpu.max", f"{quota} {PERIOD}")],
        )
        if group:
            if group not in self._groups:
                self._groups.append(group)
            self.enforced.append("cpu:cgroup")
        elif hasattr(os, "sched_setaffinity"):
            self._cpus = _choose(os.sched_getaffinity(0), -(-self._cpu // 1000))
            self.enforced.append("cpu:affinity")
        self.enforced.append("cpu:threads")


def resident(pids: List[int]) -> int:
    """Bytes of memory that processes hold, what they share counted once where the kernel says (PSS), else RSS."""
    total = 0
    for pid in pids:
        total += _proportional(pid)
    return total


def _proportional(pid: int) -> int:
    for name, field in (("smaps_rollup", b"Pss:"), ("status", b"VmRSS:")):
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                for line in file:
                    if line.startswith(field):
                        return int(line.split()[1]) * 1024
        except OSError:
            continue
    return 0


def _choose(allowed: Set[int], count: int) -> Set[int]:
    """`count` of the CPUs allowed, beginning at a place of this supervisor's own, so that neighbours get others."""
    ordered = sorted(allowed)
    first = os.getpid() % len(ordered)
    return set((ordered[first:] + ordered[:first])[: max(1, min(count, len(ordered)))])


def _own_groups() -> Dict[str, str]:
    """This process's cgroup for each v1 controller, and for "" in the unified hierarchy."""
    own: Dict[str, str] = {}
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            for line in file:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                for controller in controllers.split(","):
                    own[controller] = path
    except OSError:
        pass
    return own


def _make_group(controller: str, name: str, first: "list[tuple[str, str]]", second: "list[tuple[str, str]]") -> str:
    """A new cgroup with settings written to it (`first` for version 1, `second` for 2); "" when that is not granted."""
    own = _own_groups()
    candidates = []
    if controller in own:
        candidates.append((os.path.join(CGROUPS, controller) + own[controller], first))
    if "" in own:
        here = CGROUPS + own[""]
        candidates += [(here, second), (os.path.dirname(here), second)]
    for parent, settings in candidates:
        group = os.path.join(parent, name)
        try:
            os.makedirs(group, exist_ok=True)
            for file, value in settings:
                _write(os.path.join(group, file), value)
            if settings is second and not _can_move(group):
                raise PermissionError(group)
        except OSError:
            try:
                os.rmdir(group)
            except OSError:
                pass
            continue
        return group
    return ""


def _can_move(group: str) -> bool:
    return os.access(os.path.join(group, "cgroup.procs"), os.W_OK) and os.access(
        os.path.join(os.path.dirname(group), "cgroup.procs"), os.W_OK
    )


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)  # no O_CREAT: outside of cgroupfs there is nothing to write to
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _try_write(path: str, value: str) -> None:
    try:
        _write(path, value)
    except OSError:
        pass


def _kills(group: str) -> int:
    for name in ("memory.oom_control", "memory.events"):
        try:
            with open(os.path.join(group, name), encoding="utf-8") as file:
                for line in file:
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        except OSError:
            continue
    return 0
