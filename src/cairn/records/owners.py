"""Who an engine process is, and whether it still lives: never judged by the wall clock.

A process is its pid, the tick it started at and the boot it started in; a recycled pid has another start tick. `host`
tells machines and pid namespaces apart: of an owner elsewhere nothing can be said from here, so its lease decides.
"""

from __future__ import annotations

import os
import sys
import time
from functools import lru_cache
from pathlib import Path

from cairn.engine.ports import Owner

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS: its monotonic clock runs on in sleep
_PROC = sys.platform.startswith("linux")


def boot_time() -> int:
    """Microseconds since this machine's boot, time asleep included; the same for every process of the machine."""
    return time.clock_gettime_ns(_BOOT_CLOCK) // 1000


def this_process() -> Owner:
    """The calling process as an owner."""
    pid = os.getpid()
    return Owner(pid, _start_ticks(pid), boot_id(), this_host())


def alive(owner: Owner) -> bool:
    """False when the owner's process is certainly gone; True when it lives, or when that cannot be told from here."""
    if owner.host != this_host():
        return True
    return owner.pid > 0 and owner.boot_id == boot_id() and _start_ticks(owner.pid) == owner.start_ticks


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Different after each boot of this machine."""
    if _PROC:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return _ask("sysctl", "-n", "kern.bootsessionuuid")


@lru_cache(maxsize=1)
def this_host() -> str:
    """Within it, pids mean the same to everybody: the machine's name, and the pid namespace where there are any."""
    name = os.uname().nodename
    try:
        return f"{name}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return name


def _start_ticks(pid: int) -> int:
    """When the process started, in a unit of the platform's own; 0 when there is none or it is a zombie."""
    if pid <= 0:
        return 0
    if not _PROC:
        return _start_second(pid)
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    fields = text[text.rindex(b")") + 2 :].split()  # a command's name may hold spaces and parentheses
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def _start_second(pid: int) -> int:
    started = _ask("ps", "-o", "lstart=", "-p", str(pid))
    return int(time.mktime(time.strptime(started))) if started else 0


def _ask(*command: str) -> str:
    import subprocess

    answer = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    return answer.stdout.strip()
