"""What an attempt's directory tells of it: its published exit, its waiter, what a killed waiter left behind."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path
from typing import Any

import msgspec

from cairn.domain.runs import Exit
from cairn.domain.states import ExitReason
from cairn.launcher import processes
from cairn.launcher.control import KILL_SIGNAL, STOP_SIGNAL
from cairn.launcher.waiting import ABANDONED_NAME, CONTAINER_NAME, EXIT_NAME, LOCK_NAME

WATCH_SECONDS = 0.01


def decode_exit(fields: dict[str, Any]) -> Exit:
    return msgspec.convert(fields, Exit)


def read_exit(directory: str) -> Exit | None:
    """The exit that a waiter published in this boot of the machine; None when there is none.

    One from before a power cut proves nothing: the outputs it vouches for may not have reached the disk.
    """
    try:
        fields = json.loads(Path(directory, EXIT_NAME).read_bytes())
        if fields.get("boot") != processes.boot_id():
            return None
        return decode_exit(fields)
    except (OSError, ValueError, AttributeError, msgspec.ValidationError):
        return None


class Waiter(msgspec.Struct, frozen=True):
    """What `waiter.lock` says: the supervisor and the step's process, each with its start time in clock ticks."""

    pid: int = 0
    ticks: int = 0
    boot: str = ""
    step: int = 0
    step_ticks: int = 0


def read_waiter(directory: str) -> Waiter:
    """Empty where nothing (or nothing of this boot) is written."""
    try:
        waiter = msgspec.json.decode(Path(directory, LOCK_NAME).read_bytes(), type=Waiter)
    except (OSError, msgspec.DecodeError):
        return Waiter()
    return waiter if waiter.boot == processes.boot_id() else Waiter()


def give_up(directory: str) -> bool:
    """Make sure that no waiter has the attempt, and never will. False while one has it. Raises OSError."""
    lock = os.open(Path(directory, LOCK_NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        Path(directory, ABANDONED_NAME).touch()
        Path(directory, EXIT_NAME + ".tmp").unlink(missing_ok=True)  # a waiter was killed between writing and renaming
        return True
    finally:
        os.close(lock)


def end_leftovers(uid: str, directory: str) -> None:
    """Kill what a killed waiter left running, remove its containers; returns when they are gone."""
    waiter = read_waiter(directory)
    processes.sweep(uid, waiter.step, waiter.step_ticks)
    if os.path.exists(os.path.join(directory, CONTAINER_NAME)):
        from cairn.launcher import container_sweep  # none in an installation that has no container engine

        container_sweep.sweep(directory)


def lost(message: str) -> Exit:
    return Exit(reason=ExitReason.LOST, message=message)


def signal_waiter(directory: str, *, kill: bool) -> None:
    """Ask a waiter that is no child of ours to stop its attempt."""
    waiter = read_waiter(directory)
    if processes.is_alive(waiter.pid, waiter.ticks):
        processes.send(waiter.pid, KILL_SIGNAL if kill else STOP_SIGNAL)


class Watch:
    """Notices when the waiters of adopted attempts let go of their locks. One thread, only while there are any.

    `fileno` becomes readable then; `ended` gives the (uid, directory) of those.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._guard = threading.Condition()
        self._watched: dict[str, str] = {}
        self._ended: list[tuple[str, str]] = []
        self._thread: threading.Thread | None = None

    def fileno(self) -> int:
        return self._reader

    def add(self, uid: str, directory: str) -> None:
        with self._guard:
            self._watched[uid] = directory
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cairn-adopted", daemon=True)
                self._thread.start()

    def directory(self, uid: str) -> str | None:
        with self._guard:
            return self._watched.get(uid)

    def ended(self) -> list[tuple[str, str]]:
        try:
            os.read(self._reader, 512)
        except BlockingIOError:
            return []
        with self._guard:
            ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        with self._guard:
            self._watched.clear()
            self._guard.notify_all()
        if self._thread is not None:
            self._thread.join()
        os.close(self._reader)
        os.close(self._writer)

    def _run(self) -> None:
        with self._guard:
            while self._watched:
                gone = [(uid, directory) for uid, directory in self._watched.items() if not is_held(directory)]
                for uid, _ in gone:
                    del self._watched[uid]
                if gone:
                    self._ended += gone
                    os.write(self._writer, b"e")
                self._guard.wait(WATCH_SECONDS)
            self._thread = None


def is_held(directory: str) -> bool:
    """Whether an attempt has a waiter."""
    try:
        lock = os.open(Path(directory, LOCK_NAME), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def can_mount() -> bool:
    """Whether a child of this process may make mounts of its own; asked by trying, in a child."""
    from cairn.launcher import mounts

    pid = os.fork()
    if pid == 0:
        possible = False
        try:
            possible = mounts.possible()
        finally:
            os._exit(0 if possible else 1)
    _, status = os.waitpid(pid, 0)
    return status == 0
