"""The host of a home, seen from outside: is one there, start it, stop it.

The host is one process per home: the background host (`cairn.api.background`), or `cairn serve`. It holds `host.lock`
for as long as it lives, so liveness is never a guess; runs reach it through the database alone. `gate.lock` is held by
whoever wants a host to be there, by `cairn serve` while it takes over, and by a background host that is about to leave:
a run that was recorded before `ensure` is never left behind. `users.lock` is held by programs that `cairn exec` has
started: as long as there is one, the background host stays.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cairn.client.environment import before
from cairn.errors import CairnError, Conflict

START_SECONDS = 20.0
BACKGROUND = "background"
SERVER = "serve"  # in the foreground of somebody's terminal or service manager: never ended to make room
_LOG_BYTES = 5 * 1024 * 1024


class HostState(msgspec.Struct, frozen=True):
    """`host.json`, written by the host once it is ready. `started`: microseconds since the Unix epoch."""

    pid: int
    start_ticks: int
    started: int
    url: str = ""  # where it answers the APIs
    kind: str = BACKGROUND
    login: bool = False  # whether it asks for credentials

    @property
    def name(self) -> str:
        """For people."""
        return f"{'server' if self.kind == SERVER else 'background host'} (process {self.pid})"


class BackgroundHost:
    """`directory`: HOME/background."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log"
        self._state = directory / "host.json"
        self._lock = directory / "host.lock"
        self._gate = directory / "gate.lock"
        self._users = directory / "users.lock"
        self._port = directory / "port"

    def state(self) -> HostState | None:
        """The host that lives; None when there is none, or it is not ready yet."""
        return self._read() if self._coming() else None

    def ensure(self, home: Path) -> int:
        """Have a host run; its pid. Call it after the run was recorded. Raises CairnError when none comes up."""
        return self.ensured(home).pid

    def ensured(self, home: Path) -> HostState:
        """Have a host run. Raises CairnError when none comes up."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._passing():
            state = self.state()
            if state is not None:
                return state
            process = self._spawn(home)
            until = time.monotonic() + START_SECONDS
            while time.monotonic() < until:
                state = self.state()
                if state is not None:
                    return state
                if not _is_there(process) and not self._coming():
                    break
                time.sleep(0.02)
        raise CairnError("the background host does not start", place=str(self.log), remedy="its log says why")

    def use(self) -> int:
        """Keep the background host from leaving for as long as the descriptor is open, here or in a program that this
        process becomes."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._users, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        os.set_inheritable(descriptor, True)
        return descriptor

    def stop(self, *, seconds: float = 20.0) -> HostState | None:
        """End the host and wait until it is gone: which it was. Raises CairnError when it does not end."""
        state = self.state()
        if state is None:
            return None
        if start_ticks(state.pid) == state.start_ticks:
            os.kill(state.pid, signal.SIGTERM)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.state() is None:
                return state
            time.sleep(0.02)
        raise CairnError(f"the host of this home (process {state.pid}) does not end", place=str(self.log))

    # --- the host's own side -----------------------------------------------------------------------------------------

    def enter(self) -> int | None:
        """Become the host: the descriptor that holds the lock, None when there is one already."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _ in range(100):  # somebody may be looking with a shared lock just now
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.01)
                continue
            self._state.unlink(missing_ok=True)
            return descriptor
        os.close(descriptor)
        return None

    def take_over(self) -> tuple[int, HostState | None]:
        """Become the host in place of a background host, which is ended first: the descriptor that holds the lock, and
        the host that was ended. Raises Conflict when somebody's server is there."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._passing():
            ended = self._settled()
            if ended is not None:
                if ended.kind == SERVER:
                    raise server_is_there(ended)
                self.stop()
            descriptor = self.enter()
        if descriptor is None:
            raise Conflict("another host of this home is starting", place=str(self.directory), remedy="try again")
        return descriptor, ended

    def announce(self, url: str = "", kind: str = BACKGROUND, *, login: bool = False) -> None:
        pid = os.getpid()
        state = HostState(pid, start_ticks(pid), time.time_ns() // 1000, url, kind, login)
        self._replace(self._state, msgspec.json.encode(state))

    @property
    def port(self) -> int:
        """The port that the background host had last, so that programs which know its URL survive a restart of it;
        0: none yet."""
        try:
            return int(self._port.read_text())
        except (OSError, ValueError):
            return 0

    def keep_port(self, port: int) -> None:
        if port != self.port:
            self._replace(self._port, str(port).encode())

    def in_use(self) -> bool:
        """Whether a program that `cairn exec` started still runs."""
        descriptor = os.open(self._users, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @contextmanager
    def leaving(self) -> Iterator[bool]:
        """For a host that has nothing to do: False when somebody wants it right now; in the block nobody can."""
        descriptor = os.open(self._gate, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(descriptor)

    # --- parts -------------------------------------------------------------------------------------------------------

    @contextmanager
    def _passing(self) -> Iterator[None]:
        descriptor = os.open(self._gate, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _coming(self) -> bool:
        """Whether some process holds the host's lock, ready or not."""
        try:
            descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _settled(self) -> HostState | None:
        """The host; one that is starting is waited for."""
        until = time.monotonic() + START_SECONDS
        while (state := self.state()) is None and self._coming() and time.monotonic() < until:
            time.sleep(0.02)
        return state

    def _replace(self, path: Path, content: bytes) -> None:
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_bytes(content)
        temporary.replace(path)

    def _read(self) -> HostState | None:
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=HostState)
        except (OSError, msgspec.DecodeError):
            return None

    def _spawn(self, home: Path) -> int:
        """A session of its own, so that closing the terminal does not reach it, and nobody's child: the program that
        `cairn exec` becomes may wait for its children."""
        import subprocess

        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".old"))
        started = subprocess.run(
            [
                "/bin/sh",
                "-c",
                '"$@" >>"$0" 2>&1 & echo $!',
                str(self.log),
                sys.executable,
                "-m",
                "cairn.api.background",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd="/",
            env={**before(os.environ), "CAIRN_HOME": str(home)},  # steps inherit nothing that points clients
            start_new_session=True,
            check=True,
        )
        return int(started.stdout)


def server_is_there(state: HostState) -> Conflict:
    return Conflict(
        f"a server of this home is there already: process {state.pid} at {state.url}",
        remedy="use it, or end it with `cairn stop`",
    )


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def start_ticks(pid: int) -> int:
    """When a process started, in ticks since boot; 0 where the platform does not say or there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return int(fields[19])
