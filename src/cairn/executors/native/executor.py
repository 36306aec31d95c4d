"""`engine.ports.Executor` for work that services of Cairn's do: one thread, which advances operations."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable

import msgspec

from cairn.domain.runs import Exit, Failure
from cairn.domain.states import ExitReason
from cairn.engine.ports import NATIVE, AttemptExit, Environment, StartAttempt
from cairn.engine.wakeup import Wakeup
from cairn.errors import CairnError, RecordsBusy, StorageFull
from cairn.executors.native.evidence import Begun, read_begun, write_begun, write_exit
from cairn.executors.native.notes import Notes
from cairn.executors.native.operations import Operation, Operations
from cairn.executors.process.recovery import read_exit

POLL_SECONDS = 0.2  # for what ends elsewhere: runs that another engine has
GRACE_SECONDS = 10.0  # between asking for an end and insisting on it, after a time-out


class NativeExecutor:
    """Threads: the engine's for every method but `wake`, which any may call. Operations run on the executor's own."""

    name = NATIVE

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._readable = Wakeup()
        self._exits: deque[AttemptExit] = deque()
        self._changed = threading.Condition()
        self._asked: deque[Callable[[], object]] = deque()
        self._woken = False
        self._closing = False
        self._works: dict[str, _Work] = {}  # of the executor's thread
        self._thread = threading.Thread(target=self._run, name="cairn-native", daemon=True)
        self._thread.start()

    # --- the engine's side -------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        return self._readable.fileno()

    def can_mount(self, executor: str = NATIVE) -> bool:  # noqa: ARG002 - what it starts is asked for itself
        return True

    def warm(self, environment: Environment, slots: int) -> None:
        pass

    def start(self, request: StartAttempt) -> None:
        try:
            begun = write_begun(request, time.time_ns() // 1000)
        except OSError as error:
            self._report(request.uid, Exit(ExitReason.NOT_STARTED, message=f"its call cannot be kept: {error}"))
            return
        self._begin(request.uid, request.directory, begun, adopted=False)

    def adopt(self, uid: str, directory: str) -> bool:
        if (ended := read_exit(directory)) is not None:
            self._report(uid, ended)
            return True
        begun = read_begun(directory)
        if begun is None:
            return False
        self._begin(uid, directory, begun, adopted=True)
        return True

    def stop(self, uid: str, *, kill: bool = False) -> None:
        self._ask(lambda: self._stop(uid, kill=kill))

    def wake(self) -> None:
        """Something has changed that an operation may wait for."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def collect(self) -> list[AttemptExit]:
        self._readable.clear()
        found: list[AttemptExit] = []
        while self._exits:
            found.append(self._exits.popleft())
        return found

    def close(self) -> None:
        """Operations are let go as they are: who adopts their attempts goes on."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._readable.close()

    def _begin(self, uid: str, directory: str, begun: Begun, *, adopted: bool) -> None:
        self._ask(lambda: self._works.setdefault(uid, _Work(directory, begun, adopted=adopted)))

    def _ask(self, what: Callable[[], object]) -> None:
        with self._changed:
            self._asked.append(what)
            self._changed.notify()

    # --- the executor's thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                if not (self._asked or self._woken or self._closing):
                    self._changed.wait(POLL_SECONDS if self._works else None)
                if self._closing:
                    return
                asked, self._asked = self._asked, deque()
                self._woken = False
            for act in asked:
                act()
            for uid, work in list(self._works.items()):
                ended = work.advance(self._operations)
                if ended is not None:
                    del self._works[uid]
                    self._report(uid, ended)

    def _stop(self, uid: str, *, kill: bool) -> None:
        work = self._works.get(uid)
        if work is not None:
            work.stop(kill=kill)

    def _report(self, uid: str, ended: Exit) -> None:
        self._exits.append(AttemptExit(uid, ended))
        self._readable.set()


class _Work:
    """One attempt under way. `adopted`: an earlier engine may have begun with it."""

    def __init__(self, directory: str, begun: Begun, *, adopted: bool) -> None:
        self.directory = directory
        self.begun = begun
        self.notes = Notes(directory)
        self._adopted = adopted
        self._operation: Operation | None = None
        self._stop = ""  # what it is to be told: stop | kill
        self._stopped = ""  # what it was told
        left = begun.start_time / 1e6 + begun.timeout_seconds - time.time()
        self._deadline = time.monotonic() + left if begun.timeout_seconds else None
        self._expired = 0.0  # when it was over time, on the monotonic clock

    def stop(self, *, kill: bool) -> None:
        self._stop = "kill" if kill else self._stop or "stop"

    def advance(self, operations: Operations) -> Exit | None:
        try:
            ended = self._advance(operations)
        except (RecordsBusy, StorageFull):
            return None  # and again
        except CairnError as error:
            cause = Failure(error.message, kind=type(error).__name__, place=error.place, remedy=error.remedy)
            ended = msgspec.structs.replace(self._failed(worded(error)), cause=cause)
        except Exception as error:  # noqa: BLE001 - the step fails with the defect it met; the others go on
            self.notes.say(*traceback.format_exc().splitlines())
            ended = self._failed(f"a defect in Cairn: {error!r}")
        return None if ended is None else self._closed(ended)

    def _advance(self, operations: Operations) -> Exit | None:
        call = self.begun.call
        if self._operation is None:
            if self._stop and not self._adopted:
                return Exit(ExitReason.CANCELLED)  # nothing was begun, so nothing is to be ended
            for path in self.begun.directories:
                os.makedirs(path, exist_ok=True)
            if call.kind not in operations:
                return self._failed(f"there is nothing here that does {call.kind}")
            self._operation = operations[call.kind](call, self.directory)
        self._keep_time()
        if self._stop != self._stopped:
            self._operation.stop(kill=self._stop == "kill")
            self._stopped = self._stop
        return self._operation.advance()

    def _keep_time(self) -> None:
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._expired = now
            self.notes.say(f"not done after {self.begun.timeout_seconds:g} seconds: it is ended")
            self.stop(kill=False)
        elif self._expired and self._stop != "kill" and now - self._expired >= GRACE_SECONDS:
            self.stop(kill=True)

    def _failed(self, message: str) -> Exit:
        self.notes.say(message)
        return Exit(ExitReason.EXITED, code=1, message=message)

    def _closed(self, ended: Exit) -> Exit:
        """What is reported, once it is written: an engine that comes back finds the attempt ended."""
        if self._expired and ended.reason is not ExitReason.EXITED:
            message = f"not done after {self.begun.timeout_seconds:g} seconds"
            ended = msgspec.structs.replace(ended, reason=ExitReason.DEADLINE_EXCEEDED, message=message)
        times = {"start_time": self.begun.start_time, "end_time": time.time_ns() // 1000}
        ended = msgspec.structs.replace(ended, **times)
        with contextlib.suppress(OSError):  # it is adopted as under way, and finds the same end again
            write_exit(self.directory, ended)
        return ended


def worded(error: CairnError) -> str:
    place = f"{error.place}: " if error.place else ""
    return f"{place}{error.message}" + (f" ({error.remedy})" if error.remedy else "")
