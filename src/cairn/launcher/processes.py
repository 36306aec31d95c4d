"""Finding and ending processes, guarded against process numbers that were given out anew.

Linux reads /proc; elsewhere only process groups can be ended.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Iterator, List, Optional, Set

ATTEMPT_VARIABLE = "CAIRN_ATTEMPT"


def start_ticks(pid: int, *, zombie: bool = False) -> int:
    """When a process started, in clock ticks since boot (/proc/PID/stat field 22).

    0 when it is gone, cannot be read, or is a zombie (unless `zombie`).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    if fields[0] in (b"Z", b"X") and not zombie:
        return 0
    return int(fields[19])


def is_alive(pid: int, ticks: int) -> bool:
    """Whether `pid` still is the process that started at `ticks`. A zombie is not alive."""
    return pid > 0 and ticks > 0 and start_ticks(pid) == ticks


def boot_id() -> str:
    """Differs after each boot of the machine; "" where the platform does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def children(pid: int) -> List[int]:
    """The children of a process, zombies included."""
    found: List[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found.extend(int(number) for number in file.read().split())
        except FileNotFoundError:
            continue
        except OSError:
            continue
    return found


def descendants(pid: int) -> List[int]:
    """Children, their children, and so on, nearest first; `pid` itself is left out."""
    found: List[int] = []
    seen: Set[int] = {pid}
    queue = [pid]
    while queue:
        for child in children(queue.pop(0)):
            if child not in seen:
                seen.add(child)
                found.append(child)
                queue.append(child)
    return found


def send(pid: int, signal_number: int) -> bool:
    """Signal one process; False when it is gone or not ours."""
    try:
        os.kill(pid, signal_number)
    except OSError:
        return False
    return True


def send_group(group: int, signal_number: int) -> bool:
    """Signal a process group; False when it is empty or not ours."""
    try:
        os.killpg(group, signal_number)
    except OSError:
        return False
    return True


def kill_tree(pid: int) -> None:
    """SIGKILL a process and everything below it."""
    below = descendants(pid)
    send(pid, signal.SIGKILL)
    for child in below:
        send(child, signal.SIGKILL)


def marked(uid: str) -> Iterator[int]:
    """Processes whose initial environment names this attempt. Reads every process's environment: for recovery only."""
    wanted = f"{ATTEMPT_VARIABLE}={uid}".encode()
    try:
        entries = os.listdir("/proc")
    except OSError:
        return
    for entry in entries:
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    yield int(entry)
        except OSError:
            continue


def sweep(uid: str, pid: int = 0, ticks: int = 0, patience: float = 5.0) -> None:
    """End whatever is left of an attempt whose waiter is gone: the step's process (when `pid` still is the one that
    started at `ticks`), its group, what is below it, and everything marked with the attempt's uid.

    Returns when none is left, or after `patience` seconds (a process that the kernel cannot end).
    """
    deadline = time.monotonic() + patience
    while True:
        left = set(marked(uid))
        if pid and is_alive(pid, ticks):
            left.add(pid)
        for one in left:
            kill_tree(one)
        if pid in left or (pid and _is_group_of(pid, ticks)):
            send_group(pid, signal.SIGKILL)
        if not left or time.monotonic() > deadline:
            return
        time.sleep(0.005)


def _is_group_of(group: int, ticks: int) -> bool:
    """Whether a process group still is the one that the step led: its leader is the step, or nobody.

    The kernel gives a group's number to no new process while the group has members.
    """
    return ticks > 0 and start_ticks(group, zombie=True) in (0, ticks)


def signal_name(number: Optional[int]) -> str:
    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return f"signal {number}"


def own_children() -> List[int]:
    """The children of this single-threaded process."""
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children", "rb") as file:
            return [int(number) for number in file.read().split()]
    except OSError:
        return []
