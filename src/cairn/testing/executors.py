"""What every `engine.ports.Executor` must do. An executor's tests inherit `ExecutorConformance` and give its fixtures.

class TestMyExecutor(ExecutorConformance):
    @pytest.fixture
    def executor_factory(self):
        return MyExecutor                    # called without arguments, several times in a test
    @pytest.fixture
    def environment(self):
        return Environment(key="host")       # one with `sh` and the usual small programs
    @pytest.fixture
    def leftovers(self):                     # only where there can be more than processes of this machine
        return lambda request: [...]         # what is left of an attempt, wherever it was

A step must find its attempt's directory under the same path, writable; that is how these tests talk to it. `walls` says
that a step sees nothing of the machine but what its request names, and cannot write to `ProcessSpec.reads`.
"""

from __future__ import annotations

import os
import select
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cairn.domain.resources import Resources
from cairn.domain.runs import Exit
from cairn.domain.states import ExitReason
from cairn.engine.ports import AttemptExit, Environment, Executor, ProcessSpec, StartAttempt
from cairn.launcher import processes

PATIENCE = 20.0


def collect(executor: Executor, count: int = 1, *, patience: float = PATIENCE) -> list[AttemptExit]:
    """Wait on `fileno` until `count` exits have been collected; asserts that they come."""
    exits: list[AttemptExit] = []
    deadline = time.monotonic() + patience
    while len(exits) < count:
        left = deadline - time.monotonic()
        assert left > 0, f"{len(exits)} of {count} exits within {patience} seconds: {exits}"
        select.select([executor.fileno()], [], [], left)
        exits += executor.collect()
    return exits


def wait_until(condition: Callable[[], Any], *, patience: float = PATIENCE) -> Any:
    """Poll until `condition()` is true and return its value; asserts that it becomes so."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {patience} seconds: {condition}"
        time.sleep(0.005)
    return value


def marked(request: StartAttempt) -> list[str]:
    """Processes of an attempt that are left on this machine, but for those that hide their environment."""
    return [f"process {pid}" for pid in processes.marked(request.uid) if alive(pid)]


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Attempts:
    """Makes requests whose directories lie under `root`."""

    def __init__(self, root: Path, environment: Environment) -> None:
        self.root = root
        self.environment = environment

    def command(self, *argv: str, resources: Resources | None = None, **fields: Any) -> StartAttempt:
        """One process with this argv. `fields` go to StartAttempt or, when they are its own, to ProcessSpec."""
        process = {name: fields.pop(name) for name in list(fields) if name in ProcessSpec.__struct_fields__}
        process.setdefault("environment", self.environment)
        return self.start((ProcessSpec(argv=argv, **process),), resources=resources, **fields)

    def shell(self, script: str, **fields: Any) -> StartAttempt:
        return self.command("sh", "-c", script, **fields)

    def gang(self, *scripts: str) -> StartAttempt:
        """A process for each script, the chief first; "" is a command that there is not."""
        members = [
            ProcessSpec(
                argv=("sh", "-c", script) if script else ("no-such-command-here",),
                environment=self.environment,
                replica=f"replica-{number}" if number else "main",
            )
            for number, script in enumerate(scripts)
        ]
        return self.start(tuple(members))

    def start(
        self, processes: tuple[ProcessSpec, ...], *, resources: Resources | None = None, **fields: Any
    ) -> StartAttempt:
        uid = str(uuid.uuid4())
        directory = self.root / uid
        directory.mkdir()
        return StartAttempt(
            uid=uid, directory=str(directory), processes=processes, resources=resources or Resources(), **fields
        )


def log(request: StartAttempt, stream: str = "stdout") -> str:
    return Path(request.directory, f"{stream}.log").read_text(errors="replace")


def run(executor: Executor, request: StartAttempt) -> Exit:
    executor.start(request)
    (ended,) = collect(executor)
    assert ended.uid == request.uid
    return ended.exit


class ExecutorConformance:
    """Inherit, and supply `executor_factory` and `environment`, and what else of yours differs."""

    walls = False

    @pytest.fixture
    def executor_factory(self) -> Callable[[], Executor]:
        raise NotImplementedError

    @pytest.fixture
    def environment(self) -> Environment:
        raise NotImplementedError

    @pytest.fixture
    def leftovers(self) -> Callable[[StartAttempt], list[str]]:
        return marked

    @pytest.fixture
    def executor(self, executor_factory: Callable[[], Executor]) -> Iterator[Executor]:
        executor = executor_factory()
        yield executor
        executor.close()

    @pytest.fixture
    def attempts(self, tmp_path: Path, environment: Environment) -> Attempts:
        return Attempts(tmp_path, environment)

    def test_an_exit_status_is_reported_once(self, executor: Executor, attempts: Attempts) -> None:
        request = attempts.shell("exit 7")
        found = run(executor, request)
        assert (found.reason, found.code, found.signal) == (ExitReason.EXITED, 7, None)
        assert 0 < found.start_time <= found.end_time
        assert found.limits == ()
        time.sleep(0.05)
        assert executor.collect() == []

    def test_success_is_status_zero(self, executor: Executor, attempts: Attempts) -> None:
        found = run(executor, attempts.command("true"))
        assert (found.reason, found.code, found.message) == (ExitReason.EXITED, 0, "")

    def test_a_signal_is_reported_as_such(self, executor: Executor, attempts: Attempts) -> None:
        found = run(executor, attempts.shell("kill -9 $$"))
        assert (found.reason, found.code, found.signal) == (ExitReason.SIGNALLED, None, signal.SIGKILL)

    def test_many_attempts_at_once_each_give_one_exit(self, executor: Executor, attempts: Attempts) -> None:
        expected = {}
        for number in range(12):
            request = attempts.shell(f"exit {number}")
            expected[request.uid] = number
            executor.start(request)
        assert {ended.uid: ended.exit.code for ended in collect(executor, 12)} == expected

    def test_a_command_that_does_not_exist_is_named(self, executor: Executor, attempts: Attempts) -> None:
        found = run(executor, attempts.command("no-such-command-here"))
        assert found.reason is ExitReason.NOT_STARTED
        assert "no-such-command-here" in found.message

    def test_a_start_that_cannot_be_set_up_is_an_exit(self, executor: Executor, attempts: Attempts) -> None:
        blocked = attempts.root / "file"
        blocked.touch()
        found = run(executor, attempts.command("true", create_directories=(str(blocked / "below"),)))
        assert found.reason is ExitReason.NOT_STARTED
        assert str(blocked) in found.message

    def test_directories_and_files_are_there_before_the_command(self, executor: Executor, attempts: Attempts) -> None:
        directory = attempts.root / "out" / "deep"
        content = bytes(range(256)) * 5000
        request = attempts.command(
            "cp", str(directory / "in"), str(directory / "copy"),
            create_directories=(str(directory),), files=((str(directory / "in"), content),),
        )  # fmt: skip
        assert run(executor, request).code == 0
        assert (directory / "copy").read_bytes() == content

    def test_both_streams_are_kept_apart(self, executor: Executor, attempts: Attempts) -> None:
        request = attempts.shell("echo one; echo two >&2; echo three")
        run(executor, request)
        assert log(request) == "one\nthree\n"
        assert log(request, "stderr") == "two\n"

    def test_the_log_of_a_killed_attempt_is_kept(self, executor: Executor, attempts: Attempts) -> None:
        request = attempts.shell("echo before; kill -9 $$")
        run(executor, request)
        assert log(request) == "before\n"

    def test_a_flood_is_cut_and_marked(self, executor: Executor, attempts: Attempts) -> None:
        limit = 100_000
        request = attempts.shell("yes 0123456789 | head -c 20000000; echo the end", log_limit_bytes=limit)
        assert run(executor, request).code == 0
        text = log(request)
        assert limit * 0.9 < len(text) < limit * 1.1
        assert f"{20_000_000 + len(b'the end.') - limit} bytes cut" in text
        assert text.endswith("the end\n")

    def test_one_line_of_a_hundred_megabytes_is_bounded(self, executor: Executor, attempts: Attempts) -> None:
        request = attempts.shell("head -c 100000000 /dev/zero", log_limit_bytes=1_000_000)
        assert run(executor, request).code == 0
        assert Path(request.directory, "stdout.log").stat().st_size < 1_001_000

    def test_a_background_process_that_keeps_the_pipe_does_not_hold_the_exit(
        self, executor: Executor, attempts: Attempts, leftovers: Callable[[StartAttempt], list[str]]
    ) -> None:
        began = time.monotonic()
        request = attempts.shell("sleep 30 & echo begun")
        assert run(executor, request).code == 0
        assert time.monotonic() - began < 10
        assert not leftovers(request)

    def test_processes_that_left_the_session_are_gone_at_the_exit(
        self, executor: Executor, attempts: Attempts, leftovers: Callable[[StartAttempt], list[str]]
    ) -> None:
        request = attempts.shell(
            "setsid sh -c 'sleep 60 & setsid sleep 60 & echo begun; wait' & while ! test -e ../go; do sleep 0.02; done"
        )
        executor.start(request)
        wait_until(lambda: _has_log(request, "begun"))
        assert len(leftovers(request)) >= 4
        Path(request.directory, "go").touch()
        (ended,) = collect(executor)
        assert ended.exit.code == 0
        assert not leftovers(request)

    def test_variables_reach_the_command_and_secrets_no_file(self, executor: Executor, attempts: Attempts) -> None:
        request = attempts.shell(
            'test "$SECRET" = hush && printf %s "$PLAIN"',
            variables={"PLAIN": "ä b\n"},
            secret_variables={"SECRET": "hush"},
        )
        assert run(executor, request).code == 0
        assert log(request) == "ä b\n"
        files = [path for path in Path(request.directory).rglob("*") if path.is_file()]
        assert not [path for path in files if b"hush" in path.read_bytes() and path.name != "stdout.log"]

    def test_a_command_has_a_working_directory_of_its_own(self, executor: Executor, attempts: Attempts) -> None:
        first, second = attempts.shell("pwd; touch here; ls"), attempts.shell("pwd; ls")
        run(executor, first)
        run(executor, second)
        assert log(first).split()[1:] == ["here"]
        assert len(log(second).split()) == 1
        assert log(first).split()[0] != log(second).split()[0]

    def test_standard_input_is_empty(self, executor: Executor, attempts: Attempts) -> None:
        assert run(executor, attempts.shell("read line; test $? -eq 1")).code == 0

    def test_a_time_out_ends_it(self, executor: Executor, attempts: Attempts) -> None:
        found = run(executor, attempts.shell("sleep 60", timeout_seconds=0.3))
        assert found.reason is ExitReason.DEADLINE_EXCEEDED
        assert "0.3" in found.message

    def test_stop_lets_a_step_end_by_itself(self, executor: Executor, attempts: Attempts) -> None:
        request = attempts.shell("trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
        executor.start(request)
        wait_until(lambda: _has_log(request, "ready"))
        executor.stop(request.uid)
        (ended,) = collect(executor)
        assert (ended.exit.reason, ended.exit.code) == (ExitReason.CANCELLED, 3)
        assert log(request) == "ready\nasked\n"

    def test_kill_ends_what_ignores_a_stop(self, executor: Executor, attempts: Attempts) -> None:
        request = attempts.shell("trap '' TERM; echo ready; while :; do sleep 0.05; done")
        executor.start(request)
        wait_until(lambda: _has_log(request, "ready"))
        executor.stop(request.uid)
        time.sleep(0.2)
        assert executor.collect() == []
        executor.stop(request.uid, kill=True)
        (ended,) = collect(executor)
        assert (ended.exit.reason, ended.exit.signal) == (ExitReason.CANCELLED, signal.SIGKILL)

    def test_a_stop_leaves_nothing(
        self, executor: Executor, attempts: Attempts, leftovers: Callable[[StartAttempt], list[str]]
    ) -> None:
        request = attempts.shell("setsid sleep 60 & sleep 60 & echo begun; wait")
        executor.start(request)
        wait_until(lambda: _has_log(request, "begun"))
        assert leftovers(request)
        executor.stop(request.uid, kill=True)
        (ended,) = collect(executor)
        assert ended.exit.reason is ExitReason.CANCELLED
        assert not leftovers(request)

    def test_a_stop_before_it_has_begun_is_heard(
        self, executor: Executor, attempts: Attempts, leftovers: Callable[[StartAttempt], list[str]]
    ) -> None:
        request = attempts.shell("sleep 60")
        executor.start(request)
        executor.stop(request.uid, kill=True)
        (ended,) = collect(executor)
        assert ended.exit.reason is ExitReason.CANCELLED
        assert not leftovers(request)

    def test_stop_of_what_has_ended_is_no_error(self, executor: Executor, attempts: Attempts) -> None:
        request = attempts.command("true")
        run(executor, request)
        executor.stop(request.uid)
        executor.stop("never-heard-of", kill=True)
        assert run(executor, attempts.command("true")).code == 0

    def test_more_memory_than_the_limit_is_reported_as_such(self, executor: Executor, attempts: Attempts) -> None:
        limit = 64 << 20
        script = f"head -c {4 * limit} /dev/zero | tail -c {4 * limit} >/dev/null"
        found = run(executor, attempts.shell(script, resources=Resources(memory_limit_bytes=limit)))
        assert found.reason is ExitReason.OUT_OF_MEMORY
        assert any(name.startswith("memory:") for name in found.limits)

    def test_limits_that_are_kept_are_recorded(self, executor: Executor, attempts: Attempts) -> None:
        limits = Resources(memory_limit_bytes=1 << 30, cpu_limit_millis=1000)
        found = run(executor, attempts.command("true", resources=limits))
        assert found.code == 0
        assert {name.partition(":")[0] for name in found.limits} == {"memory", "cpu"}

    def test_more_cpu_than_the_machine_has_is_what_it_has(self, executor: Executor, attempts: Attempts) -> None:
        found = run(executor, attempts.command("true", resources=Resources(cpu_limit_millis=10_000_000)))
        assert (found.reason, found.code) == (ExitReason.EXITED, 0)

    def test_what_cannot_be_had_is_refused(self, executor: Executor, attempts: Attempts) -> None:
        request = attempts.shell("touch ../ran", links=(("/", str(attempts.root)),))
        found = run(executor, request)
        assert found.reason is ExitReason.NOT_STARTED
        assert "'/'" in found.message
        assert not Path(request.directory, "ran").exists()

    def test_links_and_reads_are_seen_and_links_are_written_to(self, executor: Executor, attempts: Attempts) -> None:
        if not executor.can_mount():
            pytest.skip("no private mounts are granted on this machine")
        real, read = attempts.root / "a: ä, b", attempts.root / "read"
        (real / "2026-01-01T00:00:00").mkdir(parents=True)
        read.mkdir()
        (read / "given").write_text("something")
        request = attempts.shell(
            f"cat {read}/given >/gcs/bucket-of-mine/2026-01-01T00:00:00/copy && ls /gcs/bucket-of-mine",
            links=(("/gcs/bucket-of-mine", str(real)),),
            reads=(str(read), str(attempts.root / "not there")),
        )
        assert run(executor, request).code == 0, log(request, "stderr")
        assert log(request).split() == ["2026-01-01T00:00:00"]
        assert (real / "2026-01-01T00:00:00" / "copy").read_text() == "something"
        assert not Path("/gcs/bucket-of-mine").exists()

    def test_reads_cannot_be_written_to_but_for_what_is_created_in_them(
        self, executor: Executor, attempts: Attempts
    ) -> None:
        if not self.walls:
            pytest.skip("nothing is between a step and the machine")
        store = attempts.root / "store"
        (store / "in").mkdir(parents=True)
        out = store / "out" / "deep"
        request = attempts.shell(
            f"touch {out}/made; touch {store}/in/made; touch {store}/out/made; test -e {__file__} && echo seen",
            reads=(str(store),),
            create_directories=(str(out),),
        )
        run(executor, request)
        assert sorted(path.name for path in store.rglob("*")) == ["deep", "in", "made", "out"]
        assert log(request) == ""
        assert log(request, "stderr").lower().count("read-only") == 2

    def test_a_gang_ends_when_all_have(self, executor: Executor, attempts: Attempts) -> None:
        request = attempts.gang("echo chief", "echo worker; sleep 0.1; touch ../../last")
        assert run(executor, request).code == 0
        assert log(request) == "chief\n"
        (worker,) = Path(request.directory).glob("replica-1-*")
        assert (worker / "stdout.log").read_text() == "worker\n"
        assert Path(request.directory, "last").exists()

    def test_one_that_fails_ends_its_gang(
        self, executor: Executor, attempts: Attempts, leftovers: Callable[[StartAttempt], list[str]]
    ) -> None:
        request = attempts.gang("sleep 60", "sleep 60", "while ! test -e ../../go; do sleep 0.02; done; exit 3")
        executor.start(request)
        wait_until(lambda: len(leftovers(request)) >= 3)
        Path(request.directory, "go").touch()
        (ended,) = collect(executor)
        assert (ended.exit.reason, ended.exit.code) == (ExitReason.EXITED, 3)
        assert "replica-2" in ended.exit.message
        assert not leftovers(request)

    def test_a_gang_runs_as_a_whole_or_not_at_all(
        self, executor: Executor, attempts: Attempts, leftovers: Callable[[StartAttempt], list[str]]
    ) -> None:
        request = attempts.gang("sleep 60", "", "sleep 60")
        found = run(executor, request)
        assert found.reason is ExitReason.NOT_STARTED
        assert "replica-1" in found.message
        assert "no-such-command-here" in found.message
        assert not leftovers(request)

    def test_a_running_attempt_is_adopted(
        self, executor_factory: Callable[[], Executor], executor: Executor, attempts: Attempts
    ) -> None:
        first = executor_factory()
        request = attempts.shell("echo begun; while ! test -e ../go; do sleep 0.02; done; exit 5")
        first.start(request)
        wait_until(lambda: _has_log(request, "begun"))
        first.close()
        assert executor.adopt(request.uid, request.directory)
        assert executor.collect() == []
        Path(request.directory, "go").touch()
        (ended,) = collect(executor)
        assert (ended.uid, ended.exit.reason, ended.exit.code) == (request.uid, ExitReason.EXITED, 5)

    def test_an_adopted_attempt_can_be_stopped(
        self, executor_factory: Callable[[], Executor], executor: Executor, attempts: Attempts
    ) -> None:
        first = executor_factory()
        request = attempts.shell("trap 'exit 3' TERM; echo begun; while :; do sleep 0.02; done")
        first.start(request)
        wait_until(lambda: _has_log(request, "begun"))
        first.close()
        assert executor.adopt(request.uid, request.directory)
        executor.stop(request.uid)
        (ended,) = collect(executor)
        assert (ended.exit.reason, ended.exit.code) == (ExitReason.CANCELLED, 3)

    def test_an_attempt_that_ended_unseen_is_adopted(
        self, executor_factory: Callable[[], Executor], executor: Executor, attempts: Attempts
    ) -> None:
        first = executor_factory()
        request = attempts.shell("exit 4")
        run(first, request)
        first.close()
        assert executor.adopt(request.uid, request.directory)
        (ended,) = collect(executor)
        assert (ended.exit.reason, ended.exit.code) == (ExitReason.EXITED, 4)

    def test_an_attempt_that_never_began_is_not_adopted_and_never_begins(
        self, executor: Executor, attempts: Attempts
    ) -> None:
        request = attempts.shell("touch ../ran")
        assert not executor.adopt(request.uid, request.directory)
        executor.start(request)
        (ended,) = collect(executor)
        assert ended.exit.reason in (ExitReason.NOT_STARTED, ExitReason.LOST)
        assert not Path(request.directory, "ran").exists()

    def test_an_attempt_has_one_waiter(
        self, executor_factory: Callable[[], Executor], executor: Executor, attempts: Attempts
    ) -> None:
        request = attempts.shell("echo begun; while ! test -e ../go; do sleep 0.02; done; exit 6")
        executor.start(request)
        wait_until(lambda: _has_log(request, "begun"))
        other = executor_factory()
        other.start(request)
        (refused,) = collect(other)
        other.close()
        assert refused.exit.reason is ExitReason.NOT_STARTED
        Path(request.directory, "go").touch()
        (ended,) = collect(executor)
        assert ended.exit.code == 6
        assert log(request) == "begun\n"

    def test_closing_leaves_running_attempts_alone(
        self, executor_factory: Callable[[], Executor], attempts: Attempts
    ) -> None:
        executor = executor_factory()
        request = attempts.shell("echo begun; sleep 0.3; touch ../done")
        executor.start(request)
        wait_until(lambda: _has_log(request, "begun"))
        executor.close()
        wait_until(lambda: Path(request.directory, "done").exists())

    def test_no_zombie_and_no_descriptor_is_left(
        self, executor_factory: Callable[[], Executor], attempts: Attempts
    ) -> None:
        descriptors, children = set(os.listdir("/proc/self/fd")), _children()
        executor = executor_factory()
        run(executor, attempts.command("true"))
        executor.close()
        assert set(os.listdir("/proc/self/fd")) == descriptors
        assert _children() <= children


def _has_log(request: StartAttempt, text: str) -> bool:
    try:
        return text in log(request)
    except OSError:
        return False


def _children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
