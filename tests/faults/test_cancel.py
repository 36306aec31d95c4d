"""A run that is to end: nothing of it stays alive, and it can be taken up again."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

import pytest
from harness import PATIENCE, Case, Place, Running, processes_of, wait_for

from cairn.domain.states import RunState

CHILDREN = 4  # sleeping processes that a lingering step leaves to themselves


def lingering(place: Place, name: str) -> tuple[Case, Running]:
    case = Case(place, name, "waiting")
    running = case.start()
    wait_for(lambda: len(case.executions()) >= 3 and sleepers(case) >= 2 * CHILDREN, 20, "the steps did not start")
    return case, running


def sleepers(case: Case) -> int:
    import harness

    return sum("sleep 600" in harness.command_line(pid) for pid in processes_of(case.mark))


def by_request(case: Case, running: Running) -> None:
    case.find()
    asked = case.place.call("runs", "cancel", case.uid)
    assert asked.status == 0, asked


@pytest.mark.parametrize(
    "cancel",
    [
        pytest.param(lambda case, running: running.send(signal.SIGINT), id="ctrl-c"),
        pytest.param(lambda case, running: running.send(signal.SIGTERM), id="sigterm"),
        pytest.param(by_request, id="from another process"),
    ],
)
def test_cancelling_ends_every_process_and_leaves_the_run_resumable(
    place: Place, cancel: Callable[[Case, Running], None]
) -> None:
    case, running = lingering(place, "cancelled")
    cancel(case, running)
    ended = running.wait(25)
    assert ended.status == 130, ended
    assert processes_of(case.mark) == [], "cancelled means that the processes are gone"
    assert case.state() is RunState.CANCELLED
    case.check()
    case.touch("go")
    again = case.resume()
    assert again.status == 0, again
    case.check(outputs={"Output": ["done", "done"]})
    assert case.executions()["first"] == 1


def test_a_second_interrupt_kills_at_once(place: Place) -> None:
    case, running = lingering(place, "impatient")
    running.send(signal.SIGINT)
    time.sleep(0.2)
    running.send(signal.SIGINT)
    ended = running.wait(8)
    assert ended.status == 130, ended
    case.check()


def test_children_that_left_their_session_are_gone_after_an_engine_kill_and_a_cancel(place: Place) -> None:
    case, running = lingering(place, "orphaned")
    running.send(signal.SIGKILL)
    running.wait()
    case.find()
    case.place.call("runs", "cancel", case.uid)
    if not case.state().terminal:  # nobody had it: the next engine carries the request out
        case.resume()
    assert case.state() is RunState.CANCELLED
    wait_for(lambda: not processes_of(case.mark), PATIENCE, "children survived")
    case.check()


def test_children_that_left_their_session_are_gone_after_a_step_s_end(place: Place) -> None:
    """Killed together with its waiter, which leaves the step to nobody."""
    case, running = lingering(place, "bereft")
    case.find()
    for waiter, step in case.waiters():
        os.kill(waiter, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):  # it may have gone with its waiter already
            os.kill(step, signal.SIGKILL)
    case.touch("go")
    ended = running.wait(30)
    assert ended.status == 0, ended
    case.check(outputs={"Output": ["done", "done"]})
