"""What one call for suggestions comes to, worked out in memory: `service` writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from cairn.errors import InputRefused
from cairn.tuning import cautious, ending, grid
from cairn.tuning.memory import Memory
from cairn.tuning.parameters import every, keyed
from cairn.tuning.sampling import Asked, name_of
from cairn.tuning.types import Algorithm, Noise, Study, StudyState, Trial, TrialState, Value

_ATTEMPTS = 20  # to draw what has not been tried
_MOST_POINTS = 1_000_000  # of a space that is looked through for what has not been tried


class Decision(msgspec.Struct):
    """`answer` is what the client is told; the rest is to be written."""

    study: Study
    answer: tuple[Trial, ...] = ()
    created: list[Trial] = []
    drawn: list[Trial] = []  # of those, the ones that the sampler gave; in the order of `asked`
    asked: list[Asked] = []
    replaced: list[tuple[Trial, Trial]] = []  # (as it is to be, as it was)
    drew: bool = False  # random numbers were used
    grid: int = -1  # points looked at; -1: as before
    ended: bool = False
    study_etag: str = ""
    now: int = 0

    @property
    def writes(self) -> bool:
        return bool(self.created or self.replaced or self.ended)

    def end(self, reason: str) -> None:
        self.study_etag = str(self.study.update_time)
        self.study = msgspec.structs.replace(
            self.study, state=StudyState.COMPLETED, reason=reason, update_time=self.now
        )
        self.ended = True


def decide(memory: Memory, study: Study, fixed: Sequence[Mapping[str, Value]], client_id: str, now: int) -> Decision:
    decision = Decision(study, now=now)
    wanted = list(fixed)
    mine = _matched(memory.active_of(client_id), wanted)
    taken = _matched([one for one in memory.trials.values() if one.state is TrialState.REQUESTED], wanted)
    for trial in taken:
        now_active = msgspec.structs.replace(
            trial,
            state=TrialState.ACTIVE,
            client_id=client_id,
            start_time=now,
            update_time=max(now, trial.update_time + 1),
        )
        decision.replaced.append((now_active, trial))
    if wanted and study.state is StudyState.ACTIVE:
        _make(decision, memory, wanted, client_id)
    decision.answer = (
        *mine,
        *(new for new, _ in decision.replaced if new.state is TrialState.ACTIVE),
        *decision.created,
    )
    return decision


def _matched(trials: Sequence[Trial], wanted: list[Mapping[str, Value]]) -> list[Trial]:
    """Those that serve what is wanted, which is taken off the list."""
    found = []
    for trial in trials:
        for one in wanted:
            if one.items() <= trial.parameters.items():
                wanted.remove(one)
                found.append(trial)
                break
    return found


def _make(decision: Decision, memory: Memory, wanted: Sequence[Mapping[str, Value]], client_id: str) -> None:
    trials = memory.listed()
    reason = ending.ended(memory.spec, decision.study, trials, decision.now)
    if reason:
        _stop(decision, memory, reason)
        return
    room = ending.room(memory.spec, decision.study, trials, decision.now)
    source = Source(memory, decision)
    for one in wanted[: len(wanted) if room is None else room]:
        found = source.next(one)
        if found is None:
            _stop(decision, memory, "every combination has been tried")
            return
        values, origin, asked = found
        trial = Trial(
            str(memory.course.trials + len(decision.created) + 1),
            decision.study.id,
            decision.study.project,
            decision.study.location,
            parameters=values,
            inner=asked.inner if asked is not None else {},
            client_id=client_id,
            origin=origin,
            start_time=decision.now,
            update_time=decision.now,
        )
        decision.created.append(trial)
        if asked is not None:
            decision.asked.append(asked)
            decision.drawn.append(trial)


def _stop(decision: Decision, memory: Memory, reason: str) -> None:
    decision.end(reason)
    rule = memory.spec.ending
    if rule is None or not rule.as_soon_as_possible:
        return
    for trial in memory.listed():
        if trial.state is TrialState.ACTIVE:
            stopping = msgspec.structs.replace(
                trial, state=TrialState.STOPPING, stopped=f"its study has ended: {reason}", update_time=decision.now
            )
            decision.replaced.append((stopping, trial))


class Source:
    """Where the values of new trials come from."""

    def __init__(self, memory: Memory, decision: Decision) -> None:
        self.memory = memory
        self.decision = decision
        self.spec = memory.spec
        self.name = name_of(self.spec)

    def next(self, fixed: Mapping[str, Value]) -> tuple[dict[str, Value], str, Asked | None] | None:
        """Values, what decided on them, and the sampler's word; None when there is nothing left to try."""
        if self.spec.algorithm is Algorithm.GRID:
            values = self._next_point(fixed)
            return None if values is None else (values, self.name, None)
        if not fixed and not self.memory.trials and not self.decision.created:
            defaults = self._defaults()
            if defaults:
                asked = self._draw(defaults)
                return asked.values, "default", asked
        near = None if fixed else cautious.near_a_safe_trial(self.spec, self.memory.listed(), self._seed())
        if near is not None:
            asked = self._draw(keyed(self.spec, near[0]))
            return asked.values, near[1], asked
        if self.spec.noise is Noise.LOW:
            return self._untried(fixed)
        asked = self._draw(keyed(self.spec, fixed))
        return asked.values, self.name, asked

    def _draw(self, fixed: Mapping[str, Value]) -> Asked:
        self.decision.drew = True
        return self.memory.sampler.ask(fixed)

    def _defaults(self) -> dict[str, Value]:
        return {one.key: one.default for one in every(self.spec) if one.default is not None}

    def _seed(self) -> str:
        return f"{self.decision.study.id}/{self.memory.course.trials + len(self.decision.created)}"

    def _tried(self) -> list[dict[str, Value]]:
        return [one.parameters for one in (*self.memory.trials.values(), *self.decision.created)]

    def _next_point(self, fixed: Mapping[str, Value]) -> dict[str, Value] | None:
        tried = self._tried()
        start, end = max(self.memory.course.grid, self.decision.grid), grid.size(self.spec)
        if fixed:
            return self._first_untried(tried, fixed)
        for index in range(start, end):
            values = grid.point(self.spec, index)
            if values not in tried:
                self.decision.grid = index + 1
                return values
        return None

    def _untried(self, fixed: Mapping[str, Value]) -> tuple[dict[str, Value], str, Asked | None] | None:
        """Observation noise LOW: no parameters are tried twice."""
        tried = self._tried()
        for _ in range(_ATTEMPTS):
            asked = self._draw(keyed(self.spec, fixed))
            if asked.values not in tried:
                return asked.values, self.name, asked
            self.memory.sampler.discard(asked)
        values = self._first_untried(tried, fixed)
        return None if values is None else (values, f"{self.name}, the first that was not tried", None)

    def _first_untried(self, tried: list[dict[str, Value]], fixed: Mapping[str, Value]) -> dict[str, Value] | None:
        """None: every point of the space has been tried. Raises InputRefused when all with `fixed` have been."""
        for index in range(min(grid.size(self.spec), _MOST_POINTS)):
            values = grid.point(self.spec, index)
            if fixed.items() <= values.items() and values not in tried:
                return values
        if fixed:
            raise InputRefused("every combination with these values has been tried", place="contexts")
        return None
