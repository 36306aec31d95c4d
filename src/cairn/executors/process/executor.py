"""`engine.ports.Executor` for processes of this machine."""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from typing import Any

from cairn.domain.runs import Exit
from cairn.domain.states import ExitReason
from cairn.engine.ports import AttemptExit, Environment, StartAttempt
from cairn.executors.process import recovery
from cairn.executors.process.connections import Supervisor, WarmParent
from cairn.executors.process.request import encode_start, encode_stop

GRACE_SECONDS = 10.0
MAX_PARENTS = 8  # warm parents kept without an attempt; the least recently used go first
MAX_IDLE = 2 * (os.cpu_count() or 1)  # supervisors kept for each environment
CLOSE_PATIENCE = 1.0


class ProcessExecutor:
    """Runs each attempt under a supervisor that a warm parent of its environment forked.

    One thread: the engine's. Nothing waits: a request is written to its supervisor's socket at once, and the supervisor
    reads it when its parent is ready. It is not a security boundary: a step can do what its user can.
    """

    name = "process"

    def __init__(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """`grace_seconds`: how long a stopped step has between SIGTERM and SIGKILL."""
        self._grace = grace_seconds
        self._selector = selectors.DefaultSelector()
        self._parents: dict[str, WarmParent] = {}
        self._idle: dict[str, list[Supervisor]] = {}
        self._busy: dict[str, Supervisor] = {}
        self._exits: list[AttemptExit] = []
        self._watch: recovery.Watch | None = None
        self._can_mount: bool | None = None
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)

    def fileno(self) -> int:
        fd: int = self._selector.fileno()  # epoll and kqueue have one
        return fd

    def can_mount(self, executor: str = "process") -> bool:  # noqa: ARG002 - one of several, `together`, is asked by name
        """Whether `ProcessSpec.links` can be honoured on this machine (private mount namespaces). Asked once, 2 ms."""
        if self._can_mount is None:
            self._can_mount = recovery.can_mount()
        return self._can_mount

    def warm(self, environment: Environment, slots: int) -> None:
        try:
            parent = self._parent(self._waiters_environment(environment))
        except OSError:
            return  # a hint: `start` reports it
        idle = self._idle.setdefault(parent.key, [])
        while len(parent.supervisors) < min(slots, MAX_IDLE):
            idle.append(self._fork(parent))

    def start(self, request: StartAttempt) -> None:
        environment = self._waiters_environment(request.processes[0].environment)
        try:
            supervisor = self._supervisor(environment)
        except OSError as error:
            python = environment.python or "the host's interpreter"
            self._report(request.uid, _not_started(f"{python} could not be executed: {error.strerror}"))
            return
        supervisor.attempt = request.uid
        supervisor.directory = request.directory
        self._busy[request.uid] = supervisor
        self._send(supervisor, self._frame(request))

    def adopt(self, uid: str, directory: str) -> bool:
        if (found := recovery.read_exit(directory)) is not None:
            recovery.end_leftovers(uid, directory)
            self._report(uid, found)
            return True
        try:
            free = recovery.give_up(directory)
        except FileNotFoundError:
            return False  # its directory is gone, and no waiter can begin without one
        if not free:
            self._watched().add(uid, directory)
            return True
        recovery.end_leftovers(uid, directory)
        if (found := recovery.read_exit(directory)) is not None:  # published between the two looks
            self._report(uid, found)
            return True
        return False

    def stop(self, uid: str, *, kill: bool = False) -> None:
        supervisor = self._busy.get(uid)
        if supervisor is not None:
            self._send(supervisor, encode_stop(uid, kill=kill))
        elif self._watch is not None and (directory := self._watch.directory(uid)) is not None:
            recovery.signal_waiter(directory, kill=kill)

    def collect(self) -> list[AttemptExit]:
        for key, events in self._selector.select(0):
            if isinstance(key.data, Supervisor):
                self._serve(key.data, events)
            elif isinstance(key.data, WarmParent):
                self._hear(key.data, events)
            elif isinstance(key.data, recovery.Watch):
                for uid, directory in key.data.ended():
                    self._report(uid, recovery.read_exit(directory) or self._lost(uid, directory))
            else:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_reader, 512)
        exits, self._exits = self._exits, []
        return exits

    def close(self) -> None:
        busy = {supervisor.parent.key for supervisor in self._busy.values()}
        for supervisor in [*self._busy.values(), *(one for idle in self._idle.values() for one in idle)]:
            self._drop(supervisor)
        deadline = time.monotonic() + CLOSE_PATIENCE
        for parent in self._parents.values():
            self._selector.unregister(parent)
            parent.close(0.0 if parent.key in busy else max(0.0, deadline - time.monotonic()))
        self._parents.clear()
        self._idle.clear()
        self._busy.clear()
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        self._selector.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _frame(self, request: StartAttempt) -> bytes:
        """What the waiter is told."""
        return encode_start(request, grace_seconds=self._grace)

    def _waiters_environment(self, environment: Environment) -> Environment:
        """The one in whose interpreter the waiter of such a step runs."""
        return environment

    # --- warm parents and supervisors -----------------------------------------------------------------------------

    def _parent(self, environment: Environment) -> WarmParent:
        parent = self._parents.get(environment.key)
        if parent is None:
            self._retire()
            parent = self._parents[environment.key] = WarmParent(environment)
            self._selector.register(parent, selectors.EVENT_READ, parent)
        parent.last_use = time.monotonic()
        return parent

    def _retire(self) -> None:
        """Let the least recently used environments' parents go when there are too many; none that has an attempt."""
        unused = [one for one in self._parents.values() if not any(s.attempt for s in one.supervisors)]
        unused.sort(key=lambda one: one.last_use)
        for parent in unused[: max(0, len(self._parents) + 1 - MAX_PARENTS)]:
            self._forget(parent)
            parent.close(CLOSE_PATIENCE)

    def _forget(self, parent: WarmParent) -> None:
        for supervisor in self._idle.pop(parent.key, []):
            self._drop(supervisor)
        self._selector.unregister(parent)
        if self._parents.get(parent.key) is parent:
            del self._parents[parent.key]

    def _supervisor(self, environment: Environment) -> Supervisor:
        parent = self._parent(environment)
        idle = self._idle.setdefault(parent.key, [])
        # The one idle for longest: it has had the time to fork its next step's process ahead.
        return idle.pop(0) if idle else self._fork(parent)

    def _fork(self, parent: WarmParent) -> Supervisor:
        supervisor, passed = parent.fork()
        if not passed:
            self._selector.modify(parent, selectors.EVENT_READ | selectors.EVENT_WRITE, parent)
        self._selector.register(supervisor, selectors.EVENT_READ, supervisor)
        return supervisor

    def _drop(self, supervisor: Supervisor) -> None:
        self._selector.unregister(supervisor)
        supervisor.close()

    def _send(self, supervisor: Supervisor, frame: bytes) -> None:
        if not supervisor.send(frame):
            self._selector.modify(supervisor, selectors.EVENT_READ | selectors.EVENT_WRITE, supervisor)

    # --- what they say --------------------------------------------------------------------------------------------

    def _serve(self, supervisor: Supervisor, events: int) -> None:
        if supervisor.closed:
            return  # buried with its parent, after this event was seen
        if events & selectors.EVENT_WRITE and supervisor.flush():
            self._selector.modify(supervisor, selectors.EVENT_READ, supervisor)
        if not events & selectors.EVENT_READ:
            return
        messages, alive = supervisor.receive()
        for head, _ in messages:
            self._ended(supervisor, head)
        if not alive:
            self._gone(supervisor)

    def _ended(self, supervisor: Supervisor, head: dict[str, Any]) -> None:
        self._busy.pop(head["uid"], None)
        supervisor.attempt = ""
        self._report(head["uid"], recovery.decode_exit(head["exit"]))
        idle = self._idle.setdefault(supervisor.parent.key, [])
        if self._parents.get(supervisor.parent.key) is supervisor.parent and len(idle) < MAX_IDLE:
            idle.append(supervisor)
        else:
            self._drop(supervisor)

    def _gone(self, supervisor: Supervisor, message: str = "") -> None:
        """A supervisor died. Its attempt's exit is what it published; else, when it died because its environment cannot
        start (`message`), NOT_STARTED; else LOST, once nothing of the attempt is left."""
        uid, directory = supervisor.attempt, supervisor.directory
        parent = supervisor.parent
        if not message and uid and self._parents.get(parent.key) is parent and parent.has_ended():
            self._bury(parent)
            return
        idle = self._idle.get(parent.key, [])
        if supervisor in idle:
            idle.remove(supervisor)
        self._drop(supervisor)
        if uid:
            self._busy.pop(uid, None)
            refusal = _not_started(message) if message else None
            self._report(uid, recovery.read_exit(directory) or refusal or self._lost(uid, directory))

    def _hear(self, parent: WarmParent, events: int) -> None:
        if events & selectors.EVENT_WRITE and parent.flush():
            self._selector.modify(parent, selectors.EVENT_READ, parent)
        if events & selectors.EVENT_READ and parent.has_ended():
            self._bury(parent)

    def _bury(self, parent: WarmParent) -> None:
        """A warm parent ended. Its supervisors that have an attempt go on; the next start gets a new one."""
        if self._parents.get(parent.key) is parent:
            self._forget(parent)
        message = parent.last_words() if parent.failure.startswith("exit") else ""
        for supervisor in list(parent.supervisors):
            messages, alive = supervisor.receive()
            for head, _ in messages:
                self._ended(supervisor, head)
            if not alive and supervisor.attempt:
                self._gone(supervisor, message)
        parent.close()

    def _lost(self, uid: str, directory: str) -> Exit:
        recovery.end_leftovers(uid, directory)
        with contextlib.suppress(OSError):
            recovery.give_up(directory)
        return recovery.lost("its waiter was ended from outside")

    def _watched(self) -> recovery.Watch:
        if self._watch is None:
            self._watch = recovery.Watch()
            self._selector.register(self._watch, selectors.EVENT_READ, self._watch)
        return self._watch

    def _report(self, uid: str, found: Exit) -> None:
        self._exits.append(AttemptExit(uid, found))
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_writer, b"x")


def _not_started(message: str) -> Exit:
    return Exit(reason=ExitReason.NOT_STARTED, message=message)
