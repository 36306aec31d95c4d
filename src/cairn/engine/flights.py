"""Equal steps of different runs that one engine has: one computes, the others wait and take its result from the cache.

Equal means the same cache key in the same scope. Steps of one run do not wait for each other: a run executes its steps
as often as KFP would. Nothing of this is needed for recovery: what waits has no attempt, and whoever takes its run up
looks for a result anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Protocol

from cairn.domain.runs import Run
from cairn.engine.leaves import Ready
from cairn.engine.tree import TaskNode

_NEXT = 32  # of those who wait are told of each change of the leader; the others of every 32nd: they may be thousands


class Crew(Protocol):
    """One run in the engine's hands, as far as flights are concerned."""

    leading: dict[TaskNode, Flight]

    @property
    def run(self) -> Run: ...

    def waits(self, ready: Ready, flight: Flight) -> None:
        """A leaf of this run waits for `flight` (or goes on waiting, with another leader): to be recorded."""

    def look_again(self, ready: Ready) -> None:
        """A leaf of this run waits no longer: whether there is a result now is to be looked up."""


class Flight:
    """One cache key that is being computed: by which tasks of which run, and who waits for it."""

    __slots__ = ("changes", "crew", "key", "landing", "leaders", "waiting")

    def __init__(self, key: tuple[str, str], crew: Crew) -> None:
        self.key = key
        self.crew = crew
        self.leaders: dict[TaskNode, None] = {}  # in order; more than one where a run has equal steps itself
        self.waiting: deque[tuple[Crew, Ready]] = deque()
        self.changes = 0  # how often another run has become the leading one
        self.landing = False  # there is a result, and it is about to be committed

    @property
    def leader(self) -> TaskNode | None:
        return next(iter(self.leaders), None)


class Flights:
    """All flights of one engine. On the engine's thread; `crews`: the runs that it has, by uid."""

    def __init__(self, crews: Mapping[str, Crew]) -> None:
        self._crews = crews
        self._flights: dict[tuple[str, str], Flight] = {}

    @property
    def open(self) -> int:
        """How many keys are being computed."""
        return len(self._flights)

    def board(self, crew: Crew, scope: str, ready: Ready) -> bool:
        """Whether the leaf, for which there is no result, is to be computed now; otherwise it waits."""
        assert ready.comparison is not None
        key = (scope, ready.comparison.key)
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight(key, crew)
        elif flight.crew is not crew:
            flight.waiting.append((crew, ready))
            crew.waits(ready, flight)
            return False
        known = crew.leading.get(ready.task)
        if known is not flight:
            if known is not None:  # its environment has changed between two attempts, and so has its key
                self._failed(known, ready.task)
            self._leads(flight, ready.task)
        return True

    def adopted(self, crew: Crew, scope: str, ready: Ready) -> None:
        """The leaf is being computed already, since an earlier engine had its run."""
        assert ready.comparison is not None
        key = (scope, ready.comparison.key)
        flight = self._flights.setdefault(key, Flight(key, crew))
        if flight.crew is crew:
            self._leads(flight, ready.task)

    def ended(self, crew: Crew, task: TaskNode, *, succeeded: bool) -> Flight | None:
        """A leader has ended for good. With success its flight is given back: to be `landed` once that is committed."""
        flight = crew.leading.pop(task)
        if succeeded:
            flight.landing = True
            return flight
        self._failed(flight, task)
        return None

    def landed(self, flight: Flight) -> None:
        """The result is in the cache: all who wait may take it."""
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
        while flight.waiting:
            crew, ready = flight.waiting.popleft()
            if self._lives(crew, ready):
                crew.look_again(ready)

    def left(self, crew: Crew, unlanded: list[Flight]) -> None:
        """The engine has the run no more; `unlanded`: its flights whose end was not committed."""
        for task, flight in list(crew.leading.items()):
            self._failed(flight, task)
        crew.leading.clear()
        for flight in unlanded:
            flight.landing = False
            flight.leaders.clear()
            self._pass_on(flight)

    def _failed(self, flight: Flight, task: TaskNode) -> None:
        flight.leaders.pop(task, None)
        if not flight.leaders:
            self._pass_on(flight)

    def _pass_on(self, flight: Flight) -> None:
        """The next one that waits computes; the others wait for that one."""
        if flight.landing or self._flights.get(flight.key) is not flight:
            return  # another task of the run was quicker
        while flight.waiting:
            crew, ready = flight.waiting.popleft()
            if not self._lives(crew, ready):
                continue
            flight.crew = crew
            self._leads(flight, ready.task)
            crew.look_again(ready)
            self._tell(flight)
            return
        del self._flights[flight.key]

    def _tell(self, flight: Flight) -> None:
        """Who waits is told for whom. Those of the leading run itself wait no longer."""
        flight.changes += 1
        others = list(flight.waiting)
        flight.waiting.clear()
        for crew, ready in others:
            if not self._lives(crew, ready):
                continue
            if crew is flight.crew:
                self._leads(flight, ready.task)
                crew.look_again(ready)
            else:
                flight.waiting.append((crew, ready))
                if len(flight.waiting) <= _NEXT or flight.changes % _NEXT == 0:
                    crew.waits(ready, flight)

    def _leads(self, flight: Flight, task: TaskNode) -> None:
        flight.leaders[task] = None
        flight.crew.leading[task] = flight

    def _lives(self, crew: Crew, ready: Ready) -> bool:
        return not ready.task.state.terminal and self._crews.get(crew.run.uid) is crew
