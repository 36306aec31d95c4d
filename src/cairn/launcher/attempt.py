"""One attempt, from the engine's request to `exit.json`: prepare, fork, watch, end what is left, publish."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import select
import signal
import time
from typing import Any, Dict, List, Optional, Tuple

from cairn.launcher import processes
from cairn.launcher import spare as spares
from cairn.launcher.control import Control
from cairn.launcher.limits import Limits, Placement
from cairn.launcher.logs import FLOOD, Pump
from cairn.launcher.runtime import Call, Preload
from cairn.launcher.spare import Spare
from cairn.launcher.step import Plan
from cairn.launcher.waiting import ABANDONED_NAME, EXIT_NAME, LOCK_NAME
from cairn.launcher.wire import Channel, encode

QUIET_SECONDS = 0.008  # how long stdout is left alone after a look, so that a chatty step does not wake the waiter
FLOOD_SECONDS = 0.001  # the same for one that fills its pipe
ERRORS_AT_ONCE = 8  # writes to stderr that wake the waiter within one such pause; then it pauses for stderr as well
PUBLISH_PATIENCE = 60.0  # how long a full disk is waited for
END_PATIENCE = 30.0
LOOK_SECONDS = 1.0  # how often an attempt whose engine is gone makes sure that another one can still find it
_BOOT = processes.boot_id()


class Refused(Exception):
    """The attempt cannot begin; the message is for the user."""


class Member:
    """One process of the attempt while it runs, and what is known of its end."""

    def __init__(self, plan: Plan, child: Spare, log_limit: int) -> None:
        self.plan = plan
        self.pid = child.pid
        self.report = child.report
        self.pump = Pump(child.stdout, child.stderr, plan.directory, log_limit)
        self.status: Optional[int] = None
        self.failure = ""  # why its command was never executed

    def ended(self, status: int) -> None:
        self.status = status
        try:
            text = os.read(self.report, 1 << 16)
        except BlockingIOError:
            text = b""  # a child of the step that was forked before its report was closed still holds it
        os.close(self.report)
        if text:
            self.failure = json.loads(text.decode())["message"]

    @property
    def failed(self) -> bool:
        return self.status != 0


class Attempt:
    """`run` is called once. In the forked step it returns what to call; in the supervisor None, when all is over."""

    def __init__(
        self,
        head: Dict[str, Any],
        body: bytes,
        channel: Channel,
        control: Control,
        preload: Optional[Preload],
        spare: Optional[Spare],
    ) -> None:
        """`spare` is used for the first process when it still is alive."""
        self._head = head
        self._body = body
        self._channel = channel
        self._control = control
        self._preload = preload
        self._spare = spare
        self.failed_to_begin = False  # descriptors may be left open: the supervisor had better be replaced
        self.uid: str = head["uid"]
        self.directory: str = head["directory"]
        self._grace: float = head.get("grace", 10.0)
        self._lock = -1
        self._limits: Optional[Limits] = None
        self._members: List[Member] = []
        self._running: Dict[int, Member] = {}
        self._first_failure: Optional[Member] = None
        self._stopped = ""  # the reason given in the exit: CANCELLED, DEADLINE_EXCEEDED; "" while nobody stopped it
        self._kill_at: Optional[float] = None
        self._deadline: Optional[float] = None
        self._next_look = 0.0
        self._peak = 0
        self._cpu = 0.0
        self._start = time.time_ns() // 1000

    def run(self) -> Optional[Call]:
        try:
            self._take_lock()
        except (Refused, OSError) as error:
            self._send(self._exit("NOT_STARTED", message=str(error)))
            return None
        try:
            for plan, request in self._prepare():
                call = self._begin(plan, request)
                if call is not None:
                    return call
        except (Refused, OSError) as error:
            self.failed_to_begin = True
            self._signal_all(signal.SIGKILL)
            self._finish(self._exit("NOT_STARTED", message=_explain(error)))
            return None
        self._watch()
        self._finish(None)
        return None

    @property
    def spare(self) -> Optional[Spare]:
        """The spare, unless it was used."""
        return self._spare

    # --- before ---------------------------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        """Become this attempt's one waiter. The lock is held until the exit is published, and by nobody after us."""
        self._lock = os.open(os.path.join(self.directory, LOCK_NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._unlock()
            raise Refused("another waiter has this attempt") from None
        if os.path.exists(os.path.join(self.directory, ABANDONED_NAME)):
            self._unlock()
            raise Refused("the attempt was given up before it began")
        if self._spare is not None and not self._spare.is_alive():
            self._spare = None
        self._note(self._spare)

    def _note(self, child: Optional[Spare]) -> None:
        """Who waits, and for which process: for an engine that has to end what a killed waiter leaves behind."""
        waiter: Dict[str, Any] = {"pid": os.getpid(), "ticks": _own_ticks(), "boot": _BOOT}
        if child is not None:
            waiter.update(step=child.pid, step_ticks=child.ticks)
        os.pwrite(self._lock, json.dumps(waiter).encode().ljust(256), 0)

    def _prepare(self) -> List[Tuple[Plan, Dict[str, Any]]]:
        head = self._head
        for path in head.get("create_directories", ()):
            os.makedirs(path, exist_ok=True)
        offset = 0
        for path, size in head.get("files", ()):
            _write_file(path, self._body[offset : offset + size])
            offset += size
        self._body = b""
        plans = []
        for number, request in enumerate(head["processes"]):
            plan = Plan(self.uid, self._directory_of(number, request), request)
            plan.prepare()
            plans.append((plan, request))
        if head.get("memory_limit") or head.get("cpu_limit"):
            self._limits = Limits(self.uid, head.get("memory_limit", 0), head.get("cpu_limit", 0))
        if head.get("timeout"):
            self._deadline = time.monotonic() + head["timeout"]
        return plans

    def _directory_of(self, number: int, request: Dict[str, Any]) -> str:
        """The first process has the attempt's directory itself, each other one a directory in it."""
        if number == 0:
            return self.directory
        name = f"replica-{number}-" + "".join(c if c.isalnum() or c in "-_" else "-" for c in request["replica"])
        directory = os.path.join(self.directory, name)
        os.makedirs(directory, exist_ok=True)
        return directory

    def _begin(self, plan: Plan, request: Dict[str, Any]) -> Optional[Call]:
        """Start one process. Returns only in that process with what to call; in the supervisor None."""
        child, self._spare = self._spare, None
        if child is None:
            child, call = spares.fork(self._preload)
            if child is None:
                return call
            if not self._members:
                self._note(child)
        member = Member(plan, child, self._head["log_limit"])
        self._members.append(member)
        self._running[child.pid] = member
        placement = self._limits.placement() if self._limits is not None else Placement()
        told = {"uid": self.uid, "directory": plan.directory, "process": request, "placement": vars(placement)}
        if not child.begin(told):
            raise Refused("the process ended before it began")
        return None

    # --- while it runs --------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Pump logs, obey stops, keep time and memory, until every process of the attempt has ended."""
        eager, calm, deaf = self._pollers()
        quiet_until = time.monotonic() + QUIET_SECONDS
        window = 0.0  # begin of the pause that `errors` belongs to
        errors = 0
        while self._running:
            now = time.monotonic()
            self._obey(now)
            timer = self._next_timer(now)
            if now - window > QUIET_SECONDS:
                window, errors = now, 0
            if errors >= ERRORS_AT_ONCE:
                ready = deaf.poll(QUIET_SECONDS * 1000)
            elif now < quiet_until:
                ready = calm.poll(max(0.0, min(timer, quiet_until) - now) * 1000 + 0.5)
            else:
                ready = eager.poll(None if timer == _NEVER else max(0.0, timer - now) * 1000 + 0.5)
            flooding, heard = self._handle(ready, eager, calm)
            errors += heard
            if flooding is not None:
                quiet_until = time.monotonic() + (FLOOD_SECONDS if flooding else QUIET_SECONDS)

    def _pollers(self) -> "tuple[select.poll, select.poll, select.poll]":
        """One that wakes for everything, one that leaves stdout alone, one that leaves both alone."""
        eager, calm, deaf = select.poll(), select.poll(), select.poll()
        for poller in (eager, calm, deaf):
            poller.register(self._control, select.POLLIN)
        if not self._channel.closed:
            for poller in (eager, calm):
                poller.register(self._channel.fd, select.POLLIN)
        for member in self._members:
            for poller in (eager, calm):
                poller.register(member.pump.stderr.reader, select.POLLIN)
            eager.register(member.pump.stdout.reader, select.POLLIN)
        return eager, calm, deaf

    def _handle(
        self, ready: List[Tuple[int, int]], eager: select.poll, calm: select.poll
    ) -> Tuple[Optional[bool], int]:
        """Serve what is ready: (whether stdout floods, None when it was not looked at; how often stderr was)."""
        flooding: Optional[bool] = None
        heard = 0
        found = {fd for fd, _ in ready}
        if self._control.reader in found:
            self._control.drain()
            self._reap()
        if self._channel.fd in found:
            self._read_requests()
            if self._channel.closed:
                eager.unregister(self._channel.fd)
                calm.unregister(self._channel.fd)
        for member in self._members:
            pump = member.pump
            if pump.stderr.reader in found:
                pump.drain_stderr()
                heard += 1
                if pump.stderr.at_end:
                    eager.unregister(pump.stderr.reader)
                    calm.unregister(pump.stderr.reader)
            if pump.stdout.reader in found:
                flooding = bool(flooding) or pump.drain_stdout() >= FLOOD
                if pump.stdout.at_end:
                    eager.unregister(pump.stdout.reader)
        return flooding, heard

    def _read_requests(self) -> None:
        while True:
            message = self._channel.poll()
            if message is None:
                return
            head = message[0]
            if head["op"] == "stop" and head["uid"] == self.uid:
                self._control.stop = True
                self._control.kill = self._control.kill or head["kill"]

    def _obey(self, now: float) -> None:
        if self._control.kill:
            self._control.kill = self._control.stop = False
            self._stop("CANCELLED", now, 0.0)
        elif self._control.stop:
            self._control.stop = False
            self._stop("CANCELLED", now, self._grace)
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._stop("DEADLINE_EXCEEDED", now, self._grace)
        if self._limits is not None and self._limits.watches:
            self._limits.sample(now)
            if self._limits.exceeded:
                self._stop("OUT_OF_MEMORY", now, 0.0)
        if self._channel.closed and now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            if not self._can_be_found():
                self._stop("CANCELLED", now, 0.0)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = now + 1.0  # what forks faster than it is found is found again
            self._signal_all(signal.SIGKILL)

    def _stop(self, reason: str, now: float, grace: float) -> None:
        """The first reason stands; a later and harder stop shortens the grace."""
        if not self._stopped and grace > 0:
            self._signal_all(signal.SIGTERM)
        self._stopped = self._stopped or reason
        kill_at = now + grace
        if self._kill_at is None or kill_at < self._kill_at:
            self._kill_at = kill_at

    def _next_timer(self, now: float) -> float:
        timers = [timer for timer in (self._deadline, self._kill_at) if timer is not None]
        if self._channel.closed:
            timers.append(self._next_look)
        if self._limits is not None and self._limits.watches:
            timers.append(self._limits.sample(now))
        return min(timers) if timers else _NEVER

    def _can_be_found(self) -> bool:
        """Whether an engine that comes back finds our lock; not when the directory was removed or moved away."""
        try:
            return os.path.samestat(os.stat(os.path.join(self.directory, LOCK_NAME)), os.fstat(self._lock))
        except OSError:
            return False

    def _signal_all(self, number: int) -> None:
        below = processes.descendants(os.getpid())
        for pid in below or self._running:
            processes.send(pid, number)
        if not below:  # no /proc: at least the groups
            for pid in self._running:
                processes.send_group(pid, number)

    # --- its end --------------------------------------------------------------------------------------------------

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
                member.ended(status)
                if member.failed:
                    self._fail_together(member)

    def _fail_together(self, member: Member) -> None:
        if self._first_failure is None:
            self._first_failure = member
        if self._running and not self._stopped:
            self._signal_all(signal.SIGTERM)
            self._kill_at = time.monotonic() + self._grace

    def _count(self, usage: "resource.struct_rusage") -> None:
        self._peak = max(self._peak, usage.ru_maxrss * 1024)
        self._cpu += usage.ru_utime + usage.ru_stime

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

    def _finish(self, result: Optional[Dict[str, Any]]) -> None:
        self._end_leftovers()
        for member in self._members:
            member.pump.finish()
        result = result or self._result()
        if self._limits is not None:
            self._limits.close()
        self._publish(result)
        self._unlock()
        self._send(result)

    def _result(self) -> Dict[str, Any]:
        member = self._first_failure or self._members[0]
        status = member.status if member.status is not None else 0
        name = f"{member.plan.replica}: " if len(self._members) > 1 else ""
        code: Optional[int] = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        number: Optional[int] = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        if member.failure:
            return self._exit("NOT_STARTED", message=name + member.failure)
        if self._limits is not None and status != 0 and self._limits.killed():
            limit = self._head["memory_limit"]
            return self._exit("OUT_OF_MEMORY", code, number, f"{name}more than {limit} bytes of memory were used")
        if self._stopped == "DEADLINE_EXCEEDED":
            return self._exit(self._stopped, code, number, f"{name}not done after {self._head['timeout']:g} seconds")
        if self._stopped:
            return self._exit(self._stopped, code, number, name.rstrip(": "))
        if number is not None:
            return self._exit("SIGNALLED", None, number, f"{name}ended by {processes.signal_name(number)}")
        return self._exit("EXITED", code, None, f"{name}exit status {code}" if code else "")

    def _exit(
        self, reason: str, code: Optional[int] = None, number: Optional[int] = None, message: str = ""
    ) -> Dict[str, Any]:
        """`cairn.domain.runs.Exit` in JSON, with the boot it belongs to: after another one it proves nothing, because
        the step's outputs were never forced to the disk."""
        return {
            "reason": reason,
            "code": code,
            "signal": number,
            "message": message,
            "limits": self._limits.enforced if self._limits is not None else [],
            "peak_memory_bytes": self._peak,
            "cpu_seconds": round(self._cpu, 6),
            "start_time": self._start,
            "end_time": time.time_ns() // 1000,
            "boot": _BOOT,
        }

    def _publish(self, result: Dict[str, Any]) -> None:
        """Write `exit.json` so that it is there whole or not at all. A full disk is waited for."""
        path = os.path.join(self.directory, EXIT_NAME)
        deadline = time.monotonic() + PUBLISH_PATIENCE
        while True:
            try:
                _write_file(path + ".tmp", json.dumps(result).encode())
                os.rename(path + ".tmp", path)
                return
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO) or time.monotonic() > deadline:
                    return  # the engine has it over the socket, or finds the waiter gone and runs the attempt again
                time.sleep(0.2)

    def _send(self, result: Dict[str, Any]) -> None:
        self._channel.send(encode({"op": "exit", "uid": self.uid, "exit": result}))

    def _unlock(self) -> None:
        os.close(self._lock)
        self._lock = -1


_NEVER = float("inf")
_ticks: Dict[int, int] = {}


def _own_ticks() -> int:
    me = os.getpid()
    if me not in _ticks:
        _ticks[me] = processes.start_ticks(me)
    return _ticks[me]


def _ended_child() -> int:
    """A child that has ended and still is a zombie; 0 for none, -1 for whichever, where the platform does not tell."""
    if not hasattr(os, "waitid"):
        return -1
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return -1
    return found.si_pid if found is not None else -1


def _write_file(path: str, content: bytes) -> None:
    """For the step's own user alone: there may be credentials in it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)


def _explain(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        where = f" {error.filename}" if error.filename else ""
        return f"the attempt could not be set up:{where}: {error.strerror} (errno {errno.errorcode.get(error.errno)})"
    return str(error)
