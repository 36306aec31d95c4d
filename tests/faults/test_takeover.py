"""Two engines and one run: the lease and the fence decide."""

from __future__ import annotations

import signal
import time

from harness import Case, Place, wait_for

from cairn.domain.states import RunState
from cairn.engine.loop import LEASE_SECONDS


def test_a_stopped_engine_that_wakes_up_after_its_lease_commits_nothing(place: Place) -> None:
    case = Case(place, "stopped", "waiting")
    first = case.start()
    wait_for(lambda: len(case.executions()) >= 3, 20, "the steps did not start")
    first.send(signal.SIGSTOP)
    time.sleep(LEASE_SECONDS + 1)
    second = case.start_resume()
    wait_for(lambda: case.owner() == second.pid, 10, "the run was not taken over")
    first.send(signal.SIGCONT)
    case.touch("go")
    overtaken, ended = first.wait(20), second.wait(20)
    assert overtaken.status not in (0, 70), overtaken
    assert "taken" in overtaken.errors
    assert ended.status == 0, ended
    case.check(outputs={"Output": ["done", "done"]})
    assert set(case.executions().values()) == {1}


def test_a_stopped_engine_whose_run_has_ended_meanwhile_commits_nothing(place: Place) -> None:
    case = Case(place, "late", "waiting")
    first = case.start()
    wait_for(lambda: len(case.executions()) >= 3, 20, "the steps did not start")
    first.send(signal.SIGSTOP)
    time.sleep(LEASE_SECONDS + 1)
    case.touch("go")
    ended = case.resume()
    assert ended.status == 0, ended
    first.send(signal.SIGCONT)
    overtaken = first.wait(20)
    assert overtaken.status not in (0, 70), overtaken
    case.check(outputs={"Output": ["done", "done"]})
    assert set(case.executions().values()) == {1}


def test_a_run_in_good_hands_is_not_taken(place: Place) -> None:
    case = Case(place, "held", "waiting")
    first = case.start()
    wait_for(lambda: len(case.executions()) >= 3, 20, "the steps did not start")
    refused = case.resume()
    assert refused.status == 2, refused
    assert str(first.pid) in refused.errors
    case.touch("go")
    assert first.wait(20).status == 0
    case.check(outputs={"Output": ["done", "done"]})


def test_a_killed_engine_s_run_is_taken_at_once(place: Place) -> None:
    case = Case(place, "killed", "waiting")
    first = case.start()
    wait_for(lambda: len(case.executions()) >= 3, 20, "the steps did not start")
    first.send(signal.SIGKILL)
    first.wait()
    assert case.state() is RunState.RUNNING
    case.touch("go")
    began = time.monotonic()
    ended = case.resume()
    assert ended.status == 0, ended
    assert time.monotonic() - began < 10
    case.check(outputs={"Output": ["done", "done"]})
    assert set(case.executions().values()) == {1}, "the steps that went on were not adopted"
