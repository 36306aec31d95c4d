"""The processes of an attempt as children of its supervisor: forked, pumped, reaped; their orphans are ended."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from cairn.launcher import processes
from cairn.launcher import spare as spares
from cairn.launcher.control import Control
from cairn.launcher.limits import Limits, Placement
from cairn.launcher.logs import FLOOD, Pump
from cairn.launcher.members import NEVER, Member, Members, Refused
from cairn.launcher.runtime import Call, Preload
from cairn.launcher.spare import Spare
from cairn.launcher.step import Plan

QUIET_SECONDS = 0.008  # how long stdout is left alone after a look, so that a chatty step does not wake the waiter
FLOOD_SECONDS = 0.001  # the same for one that fills its pipe
ERRORS_AT_ONCE = 8  # writes to stderr that wake the waiter within one such pause; then it pauses for stderr as well
END_PATIENCE = 30.0


class Child(Member):
    def __init__(self, plan: Plan, child: Spare, log_limit: int) -> None:
        super().__init__(plan, Pump(child.stdout, child.stderr, plan.directory, log_limit))
        self.pid = child.pid
        self._report = child.report

    def reaped(self, status: int) -> None:
        if os.WIFEXITED(status):
            self.code = os.WEXITSTATUS(status)
        else:
            self.number = os.WTERMSIG(status)
        try:
            text = os.read(self._report, 1 << 16)
        except BlockingIOError:
            text = b""  # a child of the step that was forked before its report was closed still holds it
        os.close(self._report)
        if text:
            self.failure = json.loads(text.decode())["message"]


class Children(Members):
    def __init__(
        self,
        head: Dict[str, Any],
        fd: int,
        control: Control,
        preload: Optional[Preload],
        spare: Optional[Spare],
        note: Callable[[Spare], None],
    ) -> None:
        """`fd` is the socket to the engine, -1 when it is closed; `spare` is used for the first process; `note` is told
        which child is that one, when it is another."""
        super().__init__()
        self.spare = spare
        self._head = head
        self._control = control
        self._preload = preload
        self._note = note
        self._limits: Optional[Limits] = None
        self._running: Dict[int, Child] = {}
        self._ended: List[Member] = []
        # One that wakes for everything, one that leaves stdout alone, one that leaves both streams alone.
        self._eager, self._calm, self._deaf = select.poll(), select.poll(), select.poll()
        for poller in (self._eager, self._calm, self._deaf):
            poller.register(control, select.POLLIN)
        if fd >= 0:
            for poller in (self._eager, self._calm):
                poller.register(fd, select.POLLIN)
        self._quiet_until = time.monotonic() + QUIET_SECONDS
        self._window = 0.0  # begin of the pause that `_errors` belongs to
        self._errors = 0

    def begin(self, plans: Sequence[Tuple[Plan, Dict[str, Any]]]) -> Optional[Call]:
        memory, cpu = self._head.get("memory_limit", 0), self._head.get("cpu_limit", 0)
        if memory or cpu:
            self._limits = Limits(self._head["uid"], memory, cpu)
            self.enforced = self._limits.enforced
        for plan, request in plans:
            call = self._begin(plan, request)
            if call is not None:
                return call
        return None

    def _begin(self, plan: Plan, request: Dict[str, Any]) -> Optional[Call]:
        """Start one process. Returns only in that process with what to call; in the supervisor None."""
        child, self.spare = self.spare, None
        if child is None:
            child, call = spares.fork(self._preload)
            if child is None:
                return call
            if not self.all:
                self._note(child)
        member = Child(plan, child, self._head["log_limit"])
        self.all.append(member)
        self._running[child.pid] = member
        for poller in (self._eager, self._calm):
            poller.register(member.pump.stderr.reader, select.POLLIN)
        self._eager.register(member.pump.stdout.reader, select.POLLIN)
        placement = self._limits.placement() if self._limits is not None else Placement()
        told = {"uid": plan.uid, "directory": plan.directory, "process": request, "placement": vars(placement)}
        if not child.begin(told):
            raise Refused("the process ended before it began")
        return None

    @property
    def running(self) -> bool:
        return bool(self._running)

    def wait(self, until: float) -> Set[int]:
        now = time.monotonic()
        if now - self._window > QUIET_SECONDS:
            self._window, self._errors = now, 0
        if self._errors >= ERRORS_AT_ONCE:
            ready = self._deaf.poll(QUIET_SECONDS * 1000)
        elif now < self._quiet_until:
            ready = self._calm.poll(max(0.0, min(until, self._quiet_until) - now) * 1000 + 0.5)
        else:
            ready = self._eager.poll(None if until == NEVER else max(0.0, until - now) * 1000 + 0.5)
        found = {fd for fd, _ in ready}
        flooding, heard = self._pump(found)
        self._errors += heard
        if flooding is not None:
            self._quiet_until = time.monotonic() + (FLOOD_SECONDS if flooding else QUIET_SECONDS)
        return found

    def _pump(self, found: Set[int]) -> Tuple[Optional[bool], int]:
        """Serve what is ready: (whether stdout floods, None when it was not looked at; how often stderr was)."""
        flooding: Optional[bool] = None
        heard = 0
        if self._control.reader in found:
            self._control.drain()
            self._reap()
        for member in self.all:
            pump = member.pump
            if pump.stderr.reader in found:
                pump.drain_stderr()
                heard += 1
                if pump.stderr.at_end:
                    self._eager.unregister(pump.stderr.reader)
                    self._calm.unregister(pump.stderr.reader)
            if pump.stdout.reader in found:
                flooding = bool(flooding) or pump.drain_stdout() >= FLOOD
                if pump.stdout.at_end:
                    self._eager.unregister(pump.stdout.reader)
        return flooding, heard

    def ended(self) -> List[Member]:
        ended, self._ended = self._ended, []
        return ended

    def forget(self, fd: int) -> None:
        self._eager.unregister(fd)
        self._calm.unregister(fd)

    def look(self, now: float) -> float:
        if self._limits is None or not self._limits.watches:
            return NEVER
        next_look = self._limits.sample(now)
        self.exceeded = self._limits.exceeded
        return next_look

    def signal(self, number: int) -> None:
        below = processes.descendants(os.getpid())
        for pid in below or self._running:
            processes.send(pid, number)
        if not below:  # no /proc: at least the groups
            for pid in self._running:
                processes.send_group(pid, number)

    def finish(self) -> None:
        self._end_leftovers()
        for member in self.all:
            member.pump.finish()
        if self._limits is not None:
            killed = self._limits.killed()
            for member in self.all:
                member.out_of_memory = killed and member.failed
            self._limits.close()

    def _end_leftovers(self) -> None:
        """Nothing of the attempt outlives it: whatever became an orphan is a child of ours by now."""
        deadline = time.monotonic() + END_PATIENCE
        pause = 0.0005
        left = processes.own_children()
        while (left or self._running) and time.monotonic() < deadline:
            for child in left:
                processes.kill_tree(child)
            time.sleep(pause)
            pause = min(pause * 2, 0.02)
            self._reap()
            left = processes.own_children()

    def _reap(self) -> None:
        """Collect every child that has ended: processes of the attempt, and orphans that came to us."""
        while True:
            pid = _ended_child()
            if pid in self._running:
                processes.send_group(pid, signal.SIGKILL)  # while its number is still its own
            try:
                pid, status, usage = os.wait4(pid, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._count(usage)
            member = self._running.pop(pid, None)
            if member is not None:
                member.reaped(status)
                self._ended.append(member)

    def _count(self, usage: "resource.struct_rusage") -> None:
        self.peak = max(self.peak, usage.ru_maxrss * 1024)
        self.cpu += usage.ru_utime + usage.ru_stime


def _ended_child() -> int:
    """A child that has ended and still is a zombie; 0 for none, -1 for whichever, where the platform does not tell."""
    if not hasattr(os, "waitid"):
        return -1
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return -1
    return found.si_pid if found is not None else -1
