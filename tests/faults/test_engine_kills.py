"""The engine is killed at every named point, seeded, and the run is taken up again until it has ended.

A seed that failed is replayed by `pytest tests/faults -k seed --fault-seed N`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import PATIENCE, Case, Ended, Place, processes_of, wait_for
from scenarios import SCENARIOS, Scenario, make_case

from cairn.domain.states import RunState
from cairn.engine.faultpoints import POINTS

TARGETS = [(name, point) for name, scenario in SCENARIOS.items() for point in (*scenario.points, *scenario.later)]
INTERRUPTED = 130  # before it turned its first turn
TAKES_AT_MOST = 8  # engines, one after another, for one run


@pytest.fixture(scope="session")
def prepared(shared_place: Place) -> Place:
    """The shared home, with the results that the scenario of cached steps takes."""
    ended = make_case(shared_place, SCENARIOS["cached"], "cached-before").run()
    assert ended.status == 0, ended
    return shared_place


def test_the_named_points_are_the_documented_ones(prepared: Place, tmp_path: Path) -> None:
    reached: set[str] = set()
    for name, scenario in SCENARIOS.items():
        trace = tmp_path / name
        traced = {"FAULT_TRACE": str(trace)}
        Play(prepared, scenario, f"trace-{name}").to_the_end({**traced, "FAULT": scenario.setting}, traced, traced)
        found = set(trace.read_text().split())
        assert set(scenario.points) <= found, f"{name} does not reach {set(scenario.points) - found}"
        reached |= found
    assert reached == POINTS - {"environment.built"}  # which test_environment_kills reaches
    assert {point for _, point in TARGETS} == reached


def test_seed(prepared: Place, seed: int) -> None:
    print(f"seed {seed}: pytest tests/faults/test_engine_kills.py --fault-seed {seed}")
    chance = random.Random(seed)
    name, point = TARGETS[seed % len(TARGETS)]
    scenario = SCENARIOS[name]
    count = chance.choice((1, 1, 1, 2, 3, 5))
    second = chance.choice(TARGETS)[1] if chance.random() < 0.5 else ""
    print(f"{name}: killed at {point}, time {count}; then at {second or 'nothing'}")
    play = Play(prepared, scenario, f"seed-{seed}")
    ended = play.to_the_end(*kills(scenario, f"{point}:{count}", second))
    if not play.kills and count > 1:  # it is not reached so often
        play = Play(prepared, scenario, f"seed-{seed}-first")
        ended = play.to_the_end(*kills(scenario, f"{point}:1", second))
    assert play.kills, f"{point} was not reached\n{ended}"


def kills(scenario: Scenario, first: str, second: str) -> Iterator[dict[str, str]]:
    """What each engine on the run meets, one after another."""
    if scenario.setting:
        yield {"FAULT": scenario.setting}
    yield {"FAULT": first}
    yield {"FAULT": second}


class Play:
    """A scenario from submission to success, with whatever befalls its engines."""

    def __init__(self, place: Place, scenario: Scenario, name: str) -> None:
        self.scenario = scenario
        self.case = make_case(place, scenario, name)
        self.kills = 0
        self._executed: dict[str, int] = {}

    def to_the_end(self, *faults: dict[str, str]) -> Ended:
        """Run it, take it up again as long as it has not succeeded, and check the invariants after each engine."""
        try:
            return self._play(list(faults))
        except BaseException:
            self.case.clear_away()
            raise

    def _play(self, coming: list[dict[str, str]]) -> Ended:
        mended = False
        for _ in range(TAKES_AT_MOST):
            ended = self._take(coming.pop(0) if coming else {}, disturbed=not mended)
            self.kills += ended.killed
            self._check_committed_are_not_repeated()
            run = self.case.find()
            if run is None or not run.state.terminal:
                assert ended.killed or ended.status == INTERRUPTED, f"the engine stopped by itself\n{ended}"
                continue
            if run.state is RunState.SUCCEEDED:
                break
            assert self.scenario.mend, f"{run.state}: {run.error}\n{ended}"
            self.case.check()
            self.case.touch(self.scenario.mend)
            mended = True
        else:
            raise AssertionError(f"not ended after {TAKES_AT_MOST} engines\n{ended}")
        self.case.check(outputs=self.scenario.outputs)
        return ended

    def _take(self, faults: dict[str, str], *, disturbed: bool) -> Ended:
        start = self.case.start if self.case.find() is None else self.case.start_resume
        if disturbed and self.scenario.disturb is not None:
            return self.scenario.disturb(self.case, start, faults)
        return start(**faults).wait(40)

    def _check_committed_are_not_repeated(self) -> None:
        executions = self.case.executions()
        for path, count in self._executed.items():
            assert executions[path] == count, f"{path} was committed and executed again"
        self._executed = {path: executions[path] for path in self.case.committed()}


def test_a_run_that_nobody_takes_up_leaves_no_process(place: Place) -> None:
    """After a kill the waiters end their attempts' work and nothing stays behind."""
    case = Case(place, "abandoned", "wide")
    assert case.run(FAULT="started:attempt:2").killed
    wait_for(lambda: not processes_of(case.mark), PATIENCE, "processes of the killed engine are still there")
