"""Operations and the runs that they are of: who has lost the run does nothing more."""

from __future__ import annotations

import pytest

from cairn.domain.runs import Exit
from cairn.domain.states import ExitReason
from cairn.engine.ports import Owner
from cairn.errors import RecordsBusy
from cairn.executors.native import fencing
from cairn.executors.native.fencing import Fenced


class Work:
    def __init__(self) -> None:
        self.advanced = 0
        self.stops: list[bool] = []
        self.busy = False

    def advance(self) -> Exit | None:
        self.advanced += 1
        return Exit(ExitReason.CANCELLED) if self.stops else None

    def stop(self, *, kill: bool) -> None:
        if self.busy:
            raise RecordsBusy
        self.stops.append(kill)


US, THEM = Owner(1, 1, "boot"), Owner(2, 1, "boot")


class Claims:
    def __init__(self, owner: Owner | None = US) -> None:
        self.owner = owner
        self.asked = 0

    def __call__(self) -> Owner | None:
        self.asked += 1
        return self.owner


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [100.0]
    monkeypatch.setattr("cairn.executors.native.fencing.time.monotonic", lambda: clock[0])
    return clock


@pytest.mark.parametrize("lost", [THEM, None])
def test_a_run_that_was_taken_over_is_let_go_and_begun_anew_when_it_comes_back(
    now: list[float], lost: Owner | None
) -> None:
    made: list[Work] = []
    claims = Claims()

    def make() -> Work:
        made.append(Work())
        return made[-1]

    fenced = Fenced(make, claims, US)
    for _ in range(3):
        assert fenced.advance() is None
    assert (len(made), made[0].advanced, claims.asked) == (1, 3, 1), "the records are asked once a second"
    claims.owner = lost
    now[0] += fencing.CHECK_SECONDS
    for _ in range(3):
        assert fenced.advance() is None
    assert made[0].advanced == 3, "it is another engine's"
    claims.owner = US
    assert fenced.advance() is None
    assert [work.advanced for work in made] == [3, 1], "what it knew may hold no longer"


def test_nothing_is_begun_for_a_run_of_somebody_elses(now: list[float]) -> None:
    claims = Claims(THEM)
    fenced = Fenced(Work, claims, US)
    fenced.stop(kill=False)
    assert fenced.advance() is None
    claims.owner = US
    ended = fenced.advance()
    assert ended is not None and ended.reason is ExitReason.CANCELLED


def test_an_end_that_could_not_be_asked_for_is_asked_for_again(now: list[float]) -> None:
    work = Work()
    fenced = Fenced(lambda: work, Claims(), US)
    assert fenced.advance() is None
    work.busy = True
    fenced.stop(kill=False)
    with pytest.raises(RecordsBusy):
        fenced.advance()
    work.busy = False
    fenced.stop(kill=True)
    fenced.stop(kill=False)  # no weaker than before
    assert fenced.advance() is not None
    assert work.stops == [True]


def test_what_a_run_that_nobody_has_any_more_has_started_is_ended_all_the_same(now: list[float]) -> None:
    work = Work()
    claims = Claims()
    fenced = Fenced(lambda: work, claims, US)
    assert fenced.advance() is None
    claims.owner = None
    now[0] += fencing.CHECK_SECONDS
    fenced.stop(kill=True)
    ended = fenced.advance()
    assert ended is not None and work.stops == [True]
