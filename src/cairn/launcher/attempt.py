"""One attempt, from the engine's request to `exit.json`: prepare, start, watch, end what is left, publish."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import time
from typing import Any, Dict, List, Optional, Tuple

from cairn.launcher import processes
from cairn.launcher.children import Children
from cairn.launcher.control import Control
from cairn.launcher.members import Member, Members, Refused
from cairn.launcher.runtime import Call, Preload
from cairn.launcher.spare import Spare
from cairn.launcher.step import Plan, replica_directory
from cairn.launcher.waiting import ABANDONED_NAME, EXIT_NAME, LOCK_NAME
from cairn.launcher.wire import Channel, encode

PUBLISH_PATIENCE = 60.0  # how long a full disk is waited for
DISMISS_SECONDS = 2.0  # how long the others may go on when the chief of a gang has succeeded
LOOK_SECONDS = 1.0  # how often an attempt whose engine is gone makes sure that another one can still find it
_BOOT = processes.boot_id()


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
        self._members = Members()
        self._first_failure: Optional[Member] = None
        self._stopped = ""  # the reason given in the exit: CANCELLED, DEADLINE_EXCEEDED; "" while nobody stopped it
        self._kill_at: Optional[float] = None
        self._deadline: Optional[float] = None
        self._succeeded = False  # the chief of a gang has: what becomes of the others is of no account
        self._dismiss_at: Optional[float] = None
        self._next_look = 0.0
        self._start = time.time_ns() // 1000

    def run(self) -> Optional[Call]:
        try:
            self._take_lock()
        except (Refused, OSError) as error:
            self._send(self._exit("NOT_STARTED", message=str(error)))
            return None
        try:
            self._members = self._chosen_members()
            call = self._members.begin(self._prepare())
            if call is not None:
                return call
        except (Refused, OSError) as error:
            self.failed_to_begin = True
            self._members.signal(signal.SIGKILL)
            self._finish(self._exit("NOT_STARTED", message=_explain(error)))
            return None
        self._watch()
        self._finish(None)
        return None

    @property
    def spare(self) -> Optional[Spare]:
        """The spare, unless it was used."""
        return self._members.spare if isinstance(self._members, Children) else self._spare

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
            directory = replica_directory(self.directory, number, request["replica"])
            os.makedirs(directory, exist_ok=True)
            plan = Plan(self.uid, directory, request)
            plan.prepare()
            plans.append((plan, request))
        if head.get("containers", {}).get("open"):
            _open_to_all([self.directory, *head["create_directories"]], [path for path, _ in head.get("files", ())])
        return plans

    def _chosen_members(self) -> Members:
        fd = -1 if self._channel.closed else self._channel.fd
        if "containers" not in self._head:
            return Children(self._head, fd, self._control, self._preload, self._spare, self._note)
        from cairn.launcher.containers import Containers  # a supervisor of processes does without

        return Containers(self._head, fd, self._control)

    # --- while it runs --------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Pump logs, obey stops, keep time and memory, until every process of the attempt has ended."""
        if self._head.get("timeout"):
            self._deadline = time.monotonic() + self._head["timeout"]
        self._read_requests()  # what came with the request to start is not waited for at the socket
        while self._members.running:
            now = time.monotonic()
            self._obey(now)
            ready = self._members.wait(self._next_timer(now))
            if self._channel.fd in ready:
                self._read_requests()
                if self._channel.closed:
                    self._members.forget(self._channel.fd)
            for member in self._members.ended():
                if member.failed and not self._succeeded:
                    self._fail_together(member)
                elif self._head.get("chief_decides") and member is self._members.all[0] and not member.failed:
                    self._succeeded, self._dismiss_at = True, time.monotonic() + DISMISS_SECONDS

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
        self._members.look(now)
        if self._members.exceeded:
            self._stop("OUT_OF_MEMORY", now, 0.0)
        if self._channel.closed and now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            if not self._can_be_found():
                self._stop("CANCELLED", now, 0.0)
        if self._dismiss_at is not None and now >= self._dismiss_at:
            self._dismiss_at, self._kill_at = None, now + self._grace
            self._members.signal(signal.SIGTERM)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = now + 1.0  # what forks faster than it is found is found again
            self._members.signal(signal.SIGKILL)

    def _stop(self, reason: str, now: float, grace: float) -> None:
        """The first reason stands; a later and harder stop shortens the grace."""
        if not self._stopped and grace > 0:
            self._members.signal(signal.SIGTERM)
        self._stopped = self._stopped or reason
        kill_at = now + grace
        if self._kill_at is None or kill_at < self._kill_at:
            self._kill_at = kill_at

    def _next_timer(self, now: float) -> float:
        timers = [self._members.look(now)]
        timers += [timer for timer in (self._deadline, self._kill_at, self._dismiss_at) if timer is not None]
        if self._channel.closed:
            timers.append(self._next_look)
        return min(timers)

    def _can_be_found(self) -> bool:
        """Whether an engine that comes back finds our lock; not when the directory was removed or moved away."""
        try:
            return os.path.samestat(os.stat(os.path.join(self.directory, LOCK_NAME)), os.fstat(self._lock))
        except OSError:
            return False

    # --- its end --------------------------------------------------------------------------------------------------

    def _fail_together(self, member: Member) -> None:
        if self._first_failure is None:
            self._first_failure = member
        if self._members.running and not self._stopped:
            self._members.signal(signal.SIGTERM)
            self._kill_at = time.monotonic() + self._grace

    def _finish(self, result: Optional[Dict[str, Any]]) -> None:
        self._members.finish()
        result = result or self._result()
        self._publish(result)
        self._unlock()
        self._send(result)

    def _result(self) -> Dict[str, Any]:
        member = self._first_failure or self._members.all[0]
        name = f"{member.plan.replica}: " if len(self._members.all) > 1 else ""
        code, number = member.code, member.number
        if member.failure:
            return self._exit("NOT_STARTED", message=name + member.failure)
        if member.out_of_memory:
            limit = member.memory_limit or self._head["memory_limit"]
            return self._exit("OUT_OF_MEMORY", code, number, f"{name}more than {limit} bytes of memory were used")
        if self._stopped == "DEADLINE_EXCEEDED":
            return self._exit(self._stopped, code, number, f"{name}not done after {self._head['timeout']:g} seconds")
        if self._stopped:
            return self._exit(self._stopped, code, number, name.rstrip(": "))
        if member.gone:
            return self._exit("SIGNALLED" if number else "LOST", None, number, name + member.gone)
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
            "limits": self._members.enforced,
            "peak_memory_bytes": self._members.peak,
            "cpu_seconds": round(self._members.cpu, 6),
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


_ticks: Dict[int, int] = {}


def _own_ticks() -> int:
    me = os.getpid()
    if me not in _ticks:
        _ticks[me] = processes.start_ticks(me)
    return _ticks[me]


def _open_to_all(directories: List[str], files: List[str]) -> None:
    """What a step that runs as another user writes to, and reads."""
    for directory in directories:
        for below, _, names in os.walk(directory):
            os.chmod(below, 0o777)  # noqa: S103 - the attempt's own, below a home that others need not be able to enter
            files += [os.path.join(below, name) for name in names if name != LOCK_NAME]
    for path in files:
        os.chmod(path, os.stat(path).st_mode | 0o444)


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
