"""One home to disturb: start `cairn` on it, kill what one likes, and ask afterwards what the five invariants say."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xxhash

from cairn.domain.runs import AttemptRecord, Run, TaskRecord
from cairn.domain.states import AttemptState, RunState, TaskState
from cairn.domain.values import Spilled
from cairn.wiring import Cairn, open_cairn

PIPELINES = Path(__file__).parent / "pipelines"
SOURCE = Path(__file__).parents[2] / "src"
MARK = "FAULT_MARK"  # a variable that everything started for one test inherits
CAIRN = (sys.executable, "-c", "import sys; from cairn.cli.main import main; sys.exit(main())")
PATIENCE = 10.0  # seconds within which what was killed or cancelled must be gone


@dataclass
class Ended:
    """A `cairn` that has ended. `status` is negative for a signal, as subprocess has it."""

    status: int
    output: str
    errors: str

    @property
    def result(self) -> dict[str, Any]:
        return json.loads(self.output.splitlines()[-1])

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL

    def __str__(self) -> str:
        return f"status {self.status}\n{self.output}\n{self.errors}"


class Running:
    """A `cairn` that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def wait(self, seconds: float = 60.0) -> Ended:
        try:
            output, errors = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            output, errors = self.process.communicate()
            raise AssertionError(f"`{self.process.args}` did not end in {seconds} s\n{output}\n{errors}") from None
        return Ended(self.process.returncode, output, errors)

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


@dataclass
class Place:
    """A home of its own, and room beside it for what the steps write."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = self.root / "home"
        self.root.mkdir(parents=True, exist_ok=True)

    def start(self, *words: str, mark: str = "", **variables: str) -> Running:
        """`cairn WORDS…`. Variables: FAULT, FAULT_TRACE, …, each to be set as CAIRN_… ."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")}
        environment |= {
            "PYTHONPATH": str(SOURCE),
            "CAIRN_HOME": str(self.home),
            "CAIRN_MACHINE_CPU": "4",
            "CAIRN_ENVIRONMENTS_PASSED_VARIABLES": MARK,
            MARK: mark or str(self.root),
            **self.variables,
            **{f"CAIRN_{name}": value for name, value in variables.items() if value},
        }
        return Running(
            subprocess.Popen(
                [*CAIRN, *words],
                env=environment,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        )

    def call(self, *words: str, seconds: float = 60.0, mark: str = "", **variables: str) -> Ended:
        return self.start(*words, mark=mark, **variables).wait(seconds)

    def run_words(self, pipeline: str, **parameters: object) -> list[str]:
        given = [f"{name}={value}" for name, value in parameters.items()]
        return ["run", str(PIPELINES / f"{pipeline}.yaml"), "--json", "--image", "*=host", *given]

    def open(self) -> Cairn:
        return open_cairn(str(self.home))


class Case:
    """One run of one pipeline on a place: how it is started, taken up again and looked at.

    `trace` is the file to which each step appends its task's path.
    """

    def __init__(
        self, place: Place, name: str, pipeline: str, *, trace: Path | None = None, **parameters: object
    ) -> None:
        self.place = place
        self.name = name
        self.mark = f"{place.root}/{name}"
        self.pipeline = pipeline
        self.trace = trace or place.root / f"{name}.trace"
        self.parameters = {"trace": self.trace, **parameters}
        self.uid = ""

    def start(self, **variables: str) -> Running:
        words = self.place.run_words(self.pipeline, **self.parameters)
        return self.place.start(*words, "--label", f"case={self.name}", mark=self.mark, **variables)

    def run(self, seconds: float = 60.0, **variables: str) -> Ended:
        return self.start(**variables).wait(seconds)

    def start_resume(self, **variables: str) -> Running:
        return self.place.start("runs", "resume", self.run_record().uid, "--json", mark=self.mark, **variables)

    def resume(self, seconds: float = 60.0, **variables: str) -> Ended:
        return self.start_resume(**variables).wait(seconds)

    def clear_away(self) -> None:
        """End what a failed test has left running, so that the next one has the machine to itself."""
        for pid in processes_of(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def owner(self) -> int:
        """The process that has the run; 0 for none."""
        cairn = self.place.open()
        try:
            owner = cairn.records.claimed(self.run_record().uid)
            return owner.pid if owner else 0
        finally:
            cairn.close()

    def touch(self, suffix: str) -> None:
        Path(f"{self.trace}.{suffix}").touch()

    def executions(self) -> Counter[str]:
        """How often each task's step was executed."""
        try:
            return Counter(self.trace.read_text().split("\n")[:-1])
        except FileNotFoundError:
            return Counter()

    # --- what is recorded --------------------------------------------------------------------------------------------

    def find(self) -> Run | None:
        """The run as it is recorded; None when it was never acknowledged."""
        if not (self.place.home / "cairn.db").exists():
            return None
        cairn = self.place.open()
        try:
            if not self.uid:
                found = cairn.records.list_runs(labels={"case": self.name})
                assert len(found) <= 1, f"submitted once, recorded {len(found)} times"
                if not found:
                    return None
                self.uid = found[0].uid
            return cairn.records.run(self.uid)
        finally:
            cairn.close()

    def run_record(self) -> Run:
        run = self.find()
        assert run is not None, "the run is not recorded"
        return run

    def state(self) -> RunState:
        return self.run_record().state

    def tasks(self) -> list[TaskRecord]:
        cairn = self.place.open()
        try:
            return cairn.records.tasks(self.run_record().uid)
        finally:
            cairn.close()

    def committed(self) -> set[str]:
        """Paths of the leaves that have a committed result."""
        if self.find() is None:
            return set()
        return {task.path for task in self.tasks() if task.kind == "leaf" and task.state is TaskState.SUCCEEDED}

    # --- the invariants ----------------------------------------------------------------------------------------------

    def check(self, *, outputs: dict[str, Any] | None = None) -> None:
        """The five invariants, for a run that has ended. `outputs`: what the run must have given."""
        cairn = self.place.open()
        try:
            run = self.run_record()  # 1: an acknowledged run is not lost
            attempts = cairn.records.attempts(run.uid)
            assert run.state.terminal, f"{run.state} after its end"
            self._check_results(cairn)
            self._check_outputs(cairn)
            self._check_nothing_runs(cairn, attempts)
            if outputs is not None:
                assert run.outputs == outputs
        finally:
            cairn.close()
        self.check_nothing_is_left(attempts)

    def _check_results(self, cairn: Cairn) -> None:
        """2: at most one committed result for each task and iteration, and it was not executed again after it."""
        succeeded = Counter(
            entry.path
            for entry in cairn.records.journal(0, run_uid=self.uid, limit=100_000)
            if entry.kind == "task" and entry.state == TaskState.SUCCEEDED
        )
        assert {path: count for path, count in succeeded.items() if count > 1} == {}
        by_path: dict[str, list[AttemptRecord]] = {}
        for attempt in cairn.records.attempts(self.uid):
            by_path.setdefault(attempt.path, []).append(attempt)
        for path, attempts in by_path.items():
            good = [attempt.number for attempt in attempts if attempt.state is AttemptState.SUCCEEDED]
            assert len(good) <= 1, f"{path} has succeeded attempts {good}"
            assert not good or good[0] == max(attempt.number for attempt in attempts), f"{path}: repeated after success"
            executed = self.executions()[path]
            assert executed <= len(attempts), f"{path} was executed {executed} times in {len(attempts)} attempts"

    def _check_outputs(self, cairn: Cairn) -> None:
        """3: every output of a succeeded task is present with the recorded digest."""
        for task in cairn.records.tasks(self.uid):
            if task.kind != "leaf" or task.state is not TaskState.SUCCEEDED:
                continue
            for value in task.outputs.parameters.values():
                if isinstance(value, Spilled):
                    cairn.store.unspill(value)
            for artifact in (one for found in task.outputs.artifacts.values() for one in found):
                assert artifact.fingerprint is not None, f"{task.path}: {artifact.uri} has no digest"
                path = Path(artifact.custom_path or artifact.uri)
                if path.is_file():
                    assert artifact.fingerprint.digest.endswith(xxhash.xxh3_128_hexdigest(path.read_bytes()))
                else:
                    assert cairn.store.fingerprint(str(path)) == artifact.fingerprint

    def _check_nothing_runs(self, cairn: Cairn, attempts: list[AttemptRecord]) -> None:
        """4: nothing is running without a live lease."""
        assert [one.path for one in attempts if one.state is AttemptState.RUNNING] == []
        open_tasks = [task.path for task in cairn.records.tasks(self.uid) if not task.state.terminal]
        assert open_tasks == []
        held = [uid for uid, _ in cairn.records.holders()]
        assert [uid for uid in held if uid in {one.uid for one in attempts}] == []

    def check_nothing_is_left(self, attempts: list[AttemptRecord]) -> None:
        """5: no surviving process, temporary file or lock."""
        wait_for(
            lambda: not processes_of(self.mark, {one.uid for one in attempts}), PATIENCE, self._survivors(attempts)
        )
        for lock in (self.place.home / "runs" / self.uid).rglob("waiter.lock"):
            assert not is_locked(lock), f"{lock} is held"
        assert database_is_free(self.place.home / "cairn.db")
        run_places = [self.place.home / "runs" / self.uid, *(self.place.home / "store").glob(f"*/{self.uid}")]
        leftovers = [path for place in run_places for path in place.rglob("*") if is_temporary(path)]
        assert leftovers == [], leftovers

    def _survivors(self, attempts: list[AttemptRecord]) -> Callable[[], str]:
        def tell() -> str:
            found = processes_of(self.mark, {one.uid for one in attempts})
            return "survived: " + "; ".join(f"{pid} {command_line(pid)}" for pid in found)

        return tell

    def waiters(self) -> list[tuple[int, int]]:
        """(waiter, step) of each attempt in progress, as the attempts' directories name them."""
        found = []
        for lock in (self.place.home / "runs").rglob("waiter.lock") if not self.uid else self._locks():
            if not is_locked(lock):
                continue
            try:
                told = json.loads(lock.read_bytes())
            except (OSError, ValueError):
                continue
            found.append((told.get("pid", 0), told.get("step", 0)))
        return found

    def _locks(self) -> Iterator[Path]:
        return (self.place.home / "runs" / self.uid).rglob("waiter.lock")


# --- processes, locks, files -----------------------------------------------------------------------------------------


def wait_for(condition: Callable[[], object], seconds: float, message: Callable[[], str] | str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(message if isinstance(message, str) else message())
        time.sleep(0.01)


def processes_of(mark: str, attempts: set[str] = frozenset()) -> list[int]:  # type: ignore[assignment]
    """Live processes whose environment carries the mark, or names one of the attempts."""
    wanted = {f"{MARK}={mark}".encode(), *(f"CAIRN_ATTEMPT={uid}".encode() for uid in attempts)}
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if wanted.isdisjoint((entry / "environ").read_bytes().split(b"\0")):
                continue
            if (entry / "stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X"):
                continue
        except OSError:
            continue
        found.append(int(entry.name))
    return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:
        return "gone"


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def database_is_free(path: Path) -> bool:
    raw = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    try:
        raw.execute("BEGIN IMMEDIATE")
        raw.execute("ROLLBACK")
    finally:
        raw.close()
    return True


def is_temporary(path: Path) -> bool:
    return path.is_file() and (path.suffix in (".part", ".tmp", ".new") or path.name.startswith(".tmp"))
