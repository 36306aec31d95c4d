"""The native executor: operations begun, advanced, ended, taken up again."""

from __future__ import annotations

import json
import select
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cairn.domain.resources import Resources
from cairn.domain.runs import Exit
from cairn.domain.states import ExitReason
from cairn.engine.ports import NATIVE, AttemptExit, NativeCall, StartAttempt
from cairn.errors import RecordsBusy, StepError
from cairn.executors.native import executor as module
from cairn.executors.native.awaiting import Awaiting
from cairn.executors.native.executor import NativeExecutor
from cairn.executors.native.operations import Operation

DONE = Exit(ExitReason.EXITED, code=0)


class Work:
    """An operation that ends when it is told to."""

    def __init__(self, call: NativeCall, directory: str) -> None:
        self.call = call
        self.result: Exit | Exception | None = None
        self.stops: list[bool] = []
        self.busy = 0
        made.append(self)

    def advance(self) -> Exit | None:
        if self.busy:
            self.busy -= 1
            raise RecordsBusy
        if self.stops and self.result is None:
            return Exit(ExitReason.CANCELLED)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def stop(self, *, kill: bool) -> None:
        self.stops.append(kill)


made: list[Work] = []


def refuse(call: NativeCall, directory: str) -> Operation:
    raise StepError("the payload is no JSON", remedy="write JSON")


@pytest.fixture
def make() -> Iterator[Callable[[], NativeExecutor]]:
    made.clear()
    executors: list[NativeExecutor] = []

    def of() -> NativeExecutor:
        executors.append(NativeExecutor({"Work": Work, "Refused": refuse}))
        return executors[-1]

    yield of
    for one in executors:
        if one._thread.is_alive():
            one.close()


def request(directory: Path, kind: str = "Work", **more: object) -> StartAttempt:
    directory.mkdir(parents=True, exist_ok=True)
    call = NativeCall(kind, ("--a", "1"), "p", "l", "run", "task", key="k", settings={"strict": True})
    return StartAttempt(
        uid="u1", directory=str(directory), processes=(), resources=Resources(cpu_millis=0), native=call,
        executor=NATIVE, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def collect(executor: NativeExecutor, seconds: float = 5.0) -> list[AttemptExit]:
    """Waits as the engine does: on the file descriptor."""
    select.select([executor.fileno()], [], [], seconds)
    return executor.collect()


def until(seen: Callable[[], object], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_an_operation_is_begun_and_its_end_is_told_and_kept(make, tmp_path: Path) -> None:
    executor = make()
    executor.start(request(tmp_path, create_directories=(str(tmp_path / "outputs"),)))
    until(lambda: made)
    assert (tmp_path / "outputs").is_dir()
    assert made[0].call.settings == {"strict": True}
    assert executor.collect() == []
    made[0].result = DONE
    executor.wake()
    (ended,) = collect(executor)
    assert (ended.uid, ended.exit.reason, ended.exit.code) == ("u1", ExitReason.EXITED, 0)
    assert 0 < ended.exit.start_time <= ended.exit.end_time
    kept = json.loads((tmp_path / "exit.json").read_bytes())
    assert (kept["reason"], kept["code"]) == ("EXITED", 0) and kept["boot"]


def test_an_ended_operation_is_adopted_as_ended(make, tmp_path: Path) -> None:
    first = make()
    first.start(request(tmp_path))
    until(lambda: made)
    made[0].result = StepError("the job failed")
    first.wake()
    collect(first)
    first.close()
    second = make()
    assert second.adopt("u1", str(tmp_path))
    (ended,) = collect(second)
    assert (ended.exit.code, ended.exit.message) == (1, "the job failed")
    assert len(made) == 1


def test_an_operation_under_way_is_made_anew_for_the_same_call(make, tmp_path: Path) -> None:
    first = make()
    first.start(request(tmp_path))
    until(lambda: made)
    first.close()
    second = make()
    assert second.adopt("u1", str(tmp_path))
    until(lambda: len(made) == 2)
    assert made[1].call == made[0].call
    made[1].result = DONE
    second.wake()
    assert [one.exit.code for one in collect(second)] == [0]


def test_what_was_not_begun_is_not_adopted(make, tmp_path: Path) -> None:
    assert not make().adopt("u1", str(tmp_path))
    (tmp_path / "native.json").write_text("{half")
    assert not make().adopt("u1", str(tmp_path))


def test_a_stop_reaches_the_operation_and_a_harder_one_too(make, tmp_path: Path) -> None:
    executor = make()
    executor.start(request(tmp_path))
    until(lambda: made)
    made[0].busy = 1
    executor.stop("u1")
    executor.stop("u1", kill=True)
    (ended,) = collect(executor)
    assert ended.exit.reason is ExitReason.CANCELLED
    assert made[0].stops[-1] is True
    executor.stop("u1")  # it is over


def test_one_that_is_stopped_after_it_was_adopted_ends_what_it_had_begun(make, tmp_path: Path) -> None:
    first = make()
    first.start(request(tmp_path))
    until(lambda: made)
    first.close()
    second = make()
    second.adopt("u1", str(tmp_path))
    second.stop("u1")
    (ended,) = collect(second)
    assert ended.exit.reason is ExitReason.CANCELLED
    assert made[1].stops == [False]


def test_a_failure_is_told_and_logged(make, tmp_path: Path) -> None:
    executor = make()
    executor.start(request(tmp_path, "Refused"))
    (ended,) = collect(executor)
    assert (ended.exit.code, ended.exit.message) == (1, "the payload is no JSON (write JSON)")
    assert "the payload is no JSON" in (tmp_path / "stdout.log").read_text()


def test_what_nobody_does_and_a_defect_fail_their_step_alone(make, tmp_path: Path) -> None:
    executor = make()
    executor.start(request(tmp_path / "a", "Unknown"))
    (ended,) = collect(executor)
    assert "nothing here that does Unknown" in ended.exit.message
    executor.start(request(tmp_path / "b"))
    until(lambda: made)
    made[0].result = ZeroDivisionError("x")
    executor.wake()
    (ended,) = collect(executor)
    assert "a defect in Cairn" in ended.exit.message
    assert "ZeroDivisionError" in (tmp_path / "b" / "stdout.log").read_text()


def test_busy_records_are_asked_again(make, tmp_path: Path) -> None:
    executor = make()
    executor.start(request(tmp_path))
    until(lambda: made)
    made[0].busy, made[0].result = 3, DONE
    until(executor.collect)


def test_a_time_out_ends_it_and_is_told_as_such(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    executor = make()
    executor.start(request(tmp_path, timeout_seconds=0.1))
    (ended,) = collect(executor)
    assert ended.exit.reason is ExitReason.DEADLINE_EXCEEDED
    assert ended.exit.message == "not done after 0.1 seconds"
    assert made[0].stops == [False]


def test_a_directory_that_is_gone_is_told(make, tmp_path: Path) -> None:
    executor = make()
    asked = request(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    executor.start(asked)
    (ended,) = collect(executor)
    assert ended.exit.reason is ExitReason.NOT_STARTED


def test_what_an_operation_loads_holds_up_no_other(tmp_path: Path) -> None:
    made.clear()
    native = request(tmp_path).native
    assert native is not None
    loaded = threading.Event()
    thread = threading.Thread(target=loaded.wait, daemon=True)
    thread.start()
    operation = Awaiting(thread, lambda: Work(native, "/nowhere"))
    assert operation.advance() is None
    assert made == []
    operation.stop(kill=True)
    loaded.set()
    thread.join()
    assert operation.advance() == Exit(ExitReason.CANCELLED)
    assert made[0].stops == [True], "what it was told before it was there"
