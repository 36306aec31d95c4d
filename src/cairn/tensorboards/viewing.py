"""Real TensorBoards, a process for each set of log directories: started when somebody looks, ended when nobody does."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cairn.errors import CairnError, Overloaded

PROGRAM = Path(__file__).with_name("program.py")
MAX_VIEWERS = 8  # each takes some 150 MB
LOOK_SECONDS = 2.0
ENDING_SECONDS = 5.0
_log = logging.getLogger("cairn.tensorboards")


def program_of(listen: str, prefix: str, logs: str, scratch: str) -> list[str]:
    """The arguments of a Python that has TensorBoard; see `program.py`."""
    return ["-I", "-u", str(PROGRAM), listen, prefix, logs, scratch]


def link(root: str, logs: Mapping[str, str]) -> None:
    """A directory of links, side by side: one below another's would be written into that one's directory."""
    os.makedirs(root, exist_ok=True)
    for name, directory in logs.items():
        flat = name.replace("/", ".").strip(".") or "logs"
        for place in (os.path.join(root, flat if at == 1 else f"{flat}-{at}") for at in range(1, 1000)):
            try:
                os.symlink(directory, place)
            except FileExistsError:
                if os.readlink(place) != directory:
                    continue
            break


class Viewer:
    """One process, on its way or there. Threads: any."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.directory = tempfile.mkdtemp(prefix="cairn-tensorboard-")  # 0700, and short: a socket's path is
        self.logs = os.path.join(self.directory, "logs")
        self.socket = os.path.join(self.directory, "socket")
        self.ready = False
        self.failure = ""
        self.used = time.monotonic()
        self.asking = 0  # requests under way
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._closed = False

    def link(self, logs: Mapping[str, str]) -> None:
        """Show these directories, by the name that each has there."""
        link(self.logs, logs)

    def run(self, python: Callable[[], str]) -> None:
        """Start it, and return when it answers or has failed. `python` may take minutes: it builds an environment."""
        try:
            interpreter = python()
            with self._lock:
                if self._closed:
                    return
                self._process = subprocess.Popen(
                    [interpreter, *program_of(f"unix://{self.socket}", self.prefix, self.logs, self.directory)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=open(os.path.join(self.directory, "log"), "wb"),  # noqa: SIM115 - the child's
                    cwd=self.directory,
                    env=environment_of(self.directory),
                    start_new_session=True,
                )
            assert self._process.stdout is not None
            self.ready = self._process.stdout.readline().startswith(b"ready")
            if not self.ready and not self._closed:
                self.failure = self._last_words()
        except (CairnError, OSError) as error:
            self.failure = str(error)
        if self.failure:
            _log.warning("a TensorBoard does not start: %s", self.failure)

    @property
    def alive(self) -> bool:
        """On its way, or there."""
        return not self.failure and (self._process is None or self._process.poll() is None)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()  # it ends with that
            try:
                process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _last_words(self) -> str:
        try:
            with open(os.path.join(self.directory, "log"), "rb") as file:
                said = file.read().decode("utf-8", "replace").strip()
        except OSError:
            said = ""
        errors = [line for line in said.splitlines() if "Error" in line.partition(":")[0]]
        return (errors or said.splitlines() or ["TensorBoard ended at once"])[-1][:500]


class Viewers:
    """Threads: any. `python`: the interpreter of an environment with TensorBoard, built when it is not there yet."""

    def __init__(self, python: Callable[[], str], idle_seconds: float) -> None:
        self._python = python
        self._idle = idle_seconds
        self._viewers: dict[str, Viewer] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, key: str, prefix: str, logs: Mapping[str, str]) -> Viewer:
        """The one that shows this, started if there is none; returns at once. `logs`: by name, added to what it shows.
        Raises Overloaded when so many are looked at already."""
        ended = []
        with self._lock:
            viewer = self._viewers.get(key)
            if viewer is not None and viewer.ready and not viewer.alive:
                ended.append(self._viewers.pop(key))
                viewer = None
            if viewer is None:
                ended += self._make_room()
                viewer = self._viewers[key] = Viewer(prefix)
                threading.Thread(target=viewer.run, args=(self._python,), name="tensorboard", daemon=True).start()
                self._watch()
            viewer.used = time.monotonic()
        for one in ended:
            one.close()
        viewer.link(logs)
        return viewer

    def forget(self, key: str) -> None:
        """One that has failed: the next request tries again."""
        with self._lock:
            viewer = self._viewers.pop(key, None)
        if viewer is not None:
            viewer.close()

    def close(self) -> None:
        self._stop.set()
        with self._lock:
            viewers, self._viewers = list(self._viewers.values()), {}
        for viewer in viewers:
            viewer.close()

    def __contains__(self, key: str) -> bool:
        return key in self._viewers

    def __len__(self) -> int:
        return len(self._viewers)

    def _make_room(self) -> list[Viewer]:
        if len(self._viewers) < MAX_VIEWERS:
            return []
        unused = [key for key, viewer in self._viewers.items() if not viewer.asking]
        if not unused:
            raise Overloaded(f"{MAX_VIEWERS} TensorBoards are looked at already", remedy="close one")
        return [self._viewers.pop(min(unused, key=lambda key: self._viewers[key].used))]

    def _watch(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._end_unused, name="tensorboards-idle", daemon=True)
            self._thread.start()

    def _end_unused(self) -> None:
        while not self._stop.wait(min(LOOK_SECONDS, self._idle / 2 + 0.05)):
            now = time.monotonic()
            with self._lock:
                over = [
                    key for key, viewer in self._viewers.items() if not viewer.asking and now - viewer.used > self._idle
                ]
                ended = [self._viewers.pop(key) for key in over]
            for viewer in ended:
                viewer.close()
                _log.info("a TensorBoard nobody looks at was ended: %s", viewer.prefix)


def environment_of(directory: str) -> dict[str, str]:
    """None of what this process has been told in confidence: only where programs and their words are."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
    found = {name: value for name, value in os.environ.items() if name in kept}
    return {**found, "TMPDIR": directory, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1"}
