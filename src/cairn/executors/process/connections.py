"""The engine's ends: one warm parent for each environment, and the sockets to its supervisors."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections import deque
from pathlib import Path

import cairn.launcher
from cairn.engine.ports import Environment
from cairn.executors.process.request import HOST_KEY, preloads
from cairn.launcher import wire

_LAUNCHER = Path(cairn.launcher.__file__).with_name("launcher_main.py")
_SOURCE_ROOT = _LAUNCHER.parent.parent.parent
_CHILD_FD = 3
_MAX_WORDS = 1 << 14  # of a warm parent's last words
_REAP_PATIENCE = 0.2
# What the engine's own interpreter was told is not for an environment's.
_ENGINE_ONLY = ("PYTHONDONTWRITEBYTECODE",)
_ISOLATED_PREFIXES = ("PYTHON", "__PYVENV")
_ISOLATED_NAMES = frozenset({"VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "CONDA_PREFIX", "_KFP_RUNTIME"})


_left: list[WarmParent] = []  # closed while an attempt ran: reaped when the next one starts


class WarmParent:
    """A process that forks supervisors. Its socket (`fileno`) becomes readable only when it ends."""

    def __init__(self, environment: Environment) -> None:
        """Start it; returns at once. Raises OSError when the interpreter cannot be executed."""
        _left[:] = [left for left in _left if not left.reap()]
        self.key = environment.key
        self.name = environment.python or "the host"
        self.pid = 0
        self.failure = ""  # how it ended
        self.supervisors: set[Supervisor] = set()
        self.last_use = time.monotonic()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._output, output = os.pipe()
        os.set_blocking(self._output, False)
        self._socket.setblocking(False)
        self._unsent: deque[socket.socket] = deque()
        try:
            self.pid = _spawn(environment, theirs.fileno(), output)
        except OSError:
            self._socket.close()
            os.close(self._output)
            raise
        finally:
            theirs.close()
            os.close(output)

    def fileno(self) -> int:
        return self._socket.fileno()

    def fork(self) -> tuple[Supervisor, bool]:
        """Ask for one more supervisor; it can be written to at once and begins when the parent is ready.

        The second value is False when the request has to wait for room: call `flush` when the parent is writable.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        supervisor = Supervisor(self, ours)
        self.supervisors.add(supervisor)
        self._unsent.append(theirs)
        return supervisor, self.flush()

    def flush(self) -> bool:
        """Pass on what could not be passed yet; whether nothing is left to pass."""
        while self._unsent:
            try:
                socket.send_fds(self._socket, [b"s"], [self._unsent[0].fileno()])
            except BlockingIOError:
                return False
            except OSError:
                pass  # it is gone: closing our copy ends the supervisor's socket, which is how that is noticed
            self._unsent.popleft().close()
        return True

    def has_ended(self) -> bool:
        """Whether it is gone; then `failure` and `last_words` say why."""
        try:
            if self._socket.recv(1):
                return False
        except BlockingIOError:
            return False
        except OSError:
            pass
        deadline = time.monotonic() + _REAP_PATIENCE  # its socket closes a moment before it can be reaped
        while not self.reap() and time.monotonic() < deadline:
            time.sleep(0.0005)
        return True

    def close(self, patience: float = 0.0) -> None:
        """Let go: it exits once its supervisors have. Waits at most `patience` seconds for that."""
        for theirs in self._unsent:
            theirs.close()
        self._unsent.clear()
        self._socket.close()
        if self._output >= 0:
            os.close(self._output)
            self._output = -1
        deadline = time.monotonic() + patience
        while not self.reap() and time.monotonic() < deadline:
            time.sleep(0.001)
        if self.pid:
            _left.append(self)

    def reap(self) -> bool:
        """Whether it has ended; leaves no zombie."""
        if self.pid:
            try:
                done, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                self.pid = 0
                return True
            if done:
                self.pid = 0
                self.failure = _describe(status)
        return self.pid == 0

    def last_words(self) -> str:
        """What it printed before it ended."""
        try:
            words = os.read(self._output, _MAX_WORDS).decode(errors="replace").strip()
        except OSError:
            words = ""
        return f"{self.name} could not be started ({self.failure})" + (f":\n{words}" if words else "")


class Supervisor:
    """The engine's end of one supervisor's socket. `attempt` is the uid it handles, "" while it is idle."""

    def __init__(self, parent: WarmParent, connection: socket.socket) -> None:
        self.parent = parent
        self.socket = connection
        self.attempt = ""
        self.directory = ""
        self._decoder = wire.Decoder()
        self._unsent = memoryview(b"")

    def fileno(self) -> int:
        return self.socket.fileno()

    @property
    def closed(self) -> bool:
        return self.socket.fileno() < 0

    def send(self, frame: bytes) -> bool:
        """Send, or keep what cannot be sent yet for `flush`; whether nothing is kept."""
        self._unsent = memoryview(bytes(self._unsent) + frame if self._unsent else frame)
        return self.flush()

    def flush(self) -> bool:
        try:
            while self._unsent:
                sent = self.socket.send(self._unsent)
                self._unsent = self._unsent[sent:]
        except BlockingIOError:
            return False
        except OSError:
            self._unsent = memoryview(b"")  # gone: `receive` says so
        return True

    def receive(self) -> tuple[list[wire.Message], bool]:
        """(messages that arrived, whether it still is there)."""
        alive = True
        try:
            while True:
                data = self.socket.recv(wire.CHUNK)
                if not data:
                    alive = False
                    break
                self._decoder.feed(data)
                if len(data) < wire.CHUNK:
                    break
        except BlockingIOError:
            pass
        except OSError:
            alive = False
        messages = []
        while (message := self._decoder.next()) is not None:
            messages.append(message)
        return messages, alive

    def close(self) -> None:
        self.parent.supervisors.discard(self)
        with contextlib.suppress(OSError):
            self.socket.close()


def base_variables(environment: Environment) -> dict[str, str]:
    """The variables of every step of an environment: the engine's own, less what concerns only the engine."""
    isolated = environment.key != HOST_KEY
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CAIRN_")
        and name not in _ENGINE_ONLY
        and not (isolated and (name in _ISOLATED_NAMES or name.startswith(_ISOLATED_PREFIXES)))
    }
    variables.update(environment.variables)
    if preloads(environment):
        variables["_KFP_RUNTIME"] = "true"
    return variables


def _spawn(environment: Environment, connection: int, output: int) -> int:
    """Start the warm parent's interpreter with nothing of ours open but its socket and its output."""
    own = environment.key == HOST_KEY or not environment.python
    # In the environment's own interpreter no flag is given: a flag would show in the steps' `sys.flags`.
    command = [sys.executable, "-I", "-S"] if own else [environment.python]
    arguments = [str(_LAUNCHER), str(_CHILD_FD), str(_SOURCE_ROOT), "1" if preloads(environment) else "0"]
    return os.posix_spawn(
        command[0],
        command + arguments,
        base_variables(environment),
        file_actions=[*_moved(connection, output), (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
        setsigmask=(),
        setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP],
    )


def _moved(connection: int, output: int) -> list[tuple[int, int, int]]:
    """Put `output` at 1 and 2 and `connection` at 3, whatever their numbers are (both are above 2)."""
    steps = [(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
    if connection == _CHILD_FD:  # dup2 onto itself would leave it closed on exec
        return [*steps, (os.POSIX_SPAWN_DUP2, connection, 0), (os.POSIX_SPAWN_DUP2, 0, _CHILD_FD)]
    return [*steps, (os.POSIX_SPAWN_DUP2, connection, _CHILD_FD)]


def _describe(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit status {code}" if code >= 0 else f"signal {-code}"
