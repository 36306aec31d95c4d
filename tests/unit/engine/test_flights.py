"""Who computes and who waits, without processes, clocks or databases."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.domain.runs import CacheComparison, TaskInputs
from cairn.domain.states import TaskState
from cairn.engine.flights import Flight, Flights
from cairn.engine.leaves import Ready
from cairn.engine.tree import DagNode, Plans, TaskNode

from .pipelines import pipeline, task

SPEC = pipeline(task("a"), task("b"))


class Crew:
    """A run with two leaves; `computing` are those that may be computed now."""

    def __init__(self, sky: Sky, uid: str) -> None:
        self.sky = sky
        self.run: Any = SimpleNamespace(uid=uid)
        self.leading: dict[TaskNode, Flight] = {}
        self.landing: list[Flight] = []
        self.computing: list[Ready] = []
        self.again: list[Ready] = []
        self.told: dict[str, str] = {}  # by task: the run it waits for

    def waits(self, ready: Ready, flight: Flight) -> None:
        assert flight.crew is not self
        self.sky.words += 1
        self.told[ready.task.path] = flight.crew.run.uid

    def look_again(self, ready: Ready) -> None:
        self.told.pop(ready.task.path, None)
        self.again.append(ready)

    def look_up(self, ready: Ready) -> None:
        assert ready.comparison is not None
        if ready.comparison.key in self.sky.results:
            ready.task.state = TaskState.SUCCEEDED
            if ready.task in self.leading:
                self._ended(ready)
        elif self.sky.flights.board(self, "scope", ready):
            self.computing.append(ready)

    def end(self, ready: Ready, state: TaskState) -> None:
        if ready in self.computing:
            self.computing.remove(ready)
        ready.task.state = state
        if ready.task in self.leading:
            self._ended(ready)

    def _ended(self, ready: Ready) -> None:
        flight = self.sky.flights.ended(self, ready.task, succeeded=ready.task.state is TaskState.SUCCEEDED)
        if flight is not None:
            self.landing.append(flight)

    def commit(self) -> None:
        for flight in self.landing:
            self.sky.results.add(flight.key[1])
        while self.landing:
            self.sky.flights.landed(self.landing.pop())


class Sky:
    """Some runs in one engine, and what is in the cache."""

    def __init__(self, keys: list[tuple[str, str]]) -> None:
        self.results: set[str] = set()
        self.words = 0
        self.crews: dict[str, Crew] = {}
        self.flights = Flights(self.crews)
        self.leaves: list[tuple[Crew, Ready]] = []
        for number, pair in enumerate(keys):
            crew = self.crews[str(number)] = Crew(self, str(number))
            dag = DagNode(Plans(SPEC).root, "", TaskInputs(), None, None)
            for (name, spec), key in zip(SPEC.root.dag.tasks.items(), pair, strict=True):  # type: ignore[union-attr]
                node = dag.tasks[name] = TaskNode(spec, SPEC.components[spec.component], dag)
                ready = Ready(node, TaskInputs(), SimpleNamespace())  # type: ignore[arg-type]
                ready.comparison = CacheComparison({}, key, "miss")
                self.leaves.append((crew, ready))

    def turn(self) -> None:
        for crew in list(self.crews.values()):
            crew.commit()
        for crew in list(self.crews.values()):
            while crew.again:
                ready = crew.again.pop(0)
                if not ready.task.state.terminal:
                    crew.look_up(ready)

    def go(self, crew: Crew) -> None:
        """The engine lets go of a run."""
        del self.crews[crew.run.uid]
        self.flights.left(crew, crew.landing)
        crew.landing.clear()
        crew.computing.clear()

    def check(self) -> None:
        """No key is computed by two runs at a time, and nobody waits for a run that does not compute."""
        by_key: dict[str, set[str]] = {}
        for crew in self.crews.values():
            for ready in crew.computing:
                assert ready.comparison is not None
                by_key.setdefault(ready.comparison.key, set()).add(crew.run.uid)
        assert all(len(crews) == 1 for crews in by_key.values()), by_key
        for crew in self.crews.values():
            live = {ready.task.path for owner, ready in self.leaves if owner is crew and not ready.task.state.terminal}
            assert all(other in self.crews for path, other in crew.told.items() if path in live)


@settings(max_examples=300, deadline=None)
@given(
    keys=st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("xyz")), min_size=1, max_size=6),
    draws=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99)), max_size=60),
)
def test_whatever_happens_one_computes_and_all_come_to_an_end(
    keys: list[tuple[str, str]], draws: list[tuple[int, int]]
) -> None:
    sky = Sky(keys)
    unseen = list(sky.leaves)

    def look(number: int) -> None:
        if unseen:
            crew, ready = unseen.pop(number % len(unseen))
            if crew.run.uid in sky.crews:
                crew.look_up(ready)

    def settle(state: TaskState) -> Callable[[int], None]:
        def end(number: int) -> None:
            now = [(crew, ready) for crew in sky.crews.values() for ready in crew.computing]
            if now:
                crew, ready = now[number % len(now)]
                crew.end(ready, state)

        return end

    def cancel(number: int) -> None:
        crew, ready = sky.leaves[number % len(sky.leaves)]
        if not ready.task.state.terminal and crew.run.uid in sky.crews and (crew, ready) not in unseen:
            crew.end(ready, TaskState.CANCELLED)

    def let_go(number: int) -> None:
        if len(sky.crews) > 1:
            sky.go(list(sky.crews.values())[number % len(sky.crews)])

    acts = (look, look, settle(TaskState.SUCCEEDED), settle(TaskState.FAILED), cancel, let_go)
    for act, number in draws:
        acts[act](number)
        if number % 2:
            sky.turn()
        sky.check()
    while unseen:
        look(0)
    for _ in range(4 * len(sky.leaves)):
        settle(TaskState.SUCCEEDED)(0)
        sky.turn()
        sky.check()
    for crew, ready in sky.leaves:
        assert ready.task.state.terminal or crew.run.uid not in sky.crews, "somebody waits for ever"
    assert not sky.flights.open


def test_after_a_failure_those_who_wait_are_told_for_whom() -> None:
    sky = Sky([("x", "y"), ("x", "y"), ("x", "y")])
    crews = list(sky.crews.values())
    for crew, ready in sky.leaves[::2]:
        crew.look_up(ready)
    assert [crew.told for crew in crews] == [{}, {"a": "0"}, {"a": "0"}]
    crews[0].end(crews[0].computing[0], TaskState.FAILED)
    sky.turn()
    assert [len(crew.computing) for crew in crews] == [0, 1, 0]
    assert crews[2].told == {"a": "1"}


def test_thousands_who_wait_are_not_all_told_of_each_failure() -> None:
    count = 1000
    sky = Sky([("x", "y")] * count)
    for crew, ready in sky.leaves[::2]:
        crew.look_up(ready)
    for number, crew in enumerate(list(sky.crews.values())):
        [ready] = crew.computing
        crew.end(ready, TaskState.FAILED)
        sky.turn()
        waiting = [int(other.told["a"]) for other in sky.crews.values() if other.told]
        assert len(waiting) == max(0, count - 2 - number)
        assert min(waiting, default=number) > number - 32, "somebody was told of a run that is long over"
    assert sky.words < 50 * count
    assert not sky.flights.open


def test_another_scope_waits_for_nobody() -> None:
    sky = Sky([("x", "y"), ("x", "y")])
    (first, one), (second, two) = sky.leaves[0], sky.leaves[2]
    assert sky.flights.board(first, "here", one)
    assert sky.flights.board(second, "there", two)
