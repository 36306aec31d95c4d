"""What a study tries next, decided by Optuna: its Tree-structured Parzen Estimator, or its random sampler.

An Optuna study in memory is made of the recorded trials and kept up with them. The random numbers are part of the
record, so that an engine that comes back goes on as if it had never been away, and two processes that share a study
draw from one sequence.

Sources: Bergstra et al. 2011 (TPE), Ozaki et al. 2022 (several objectives), Watanabe 2023 (defaults, constraints).
Importing this module does not import Optuna: making a `Sampler` does (see docs/tuning.md for what it costs).
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from cairn.errors import UnsupportedFeature
from cairn.tuning.parameters import active, every
from cairn.tuning.selection import violation
from cairn.tuning.types import (
    Algorithm,
    Measurement,
    Parameter,
    ParameterKind,
    Scale,
    StudySpec,
    Trial,
    TrialState,
    Value,
)

OLDEST = 5  # Optuna's first version that studies are decided by

if TYPE_CHECKING:
    import optuna
    from numpy.random import RandomState
    from optuna.distributions import BaseDistribution


@cache
def import_ahead() -> threading.Thread:
    """Begin to import Optuna, which takes half a second, beside those who have other things to do meanwhile. The
    thread has ended once it is there."""

    def load() -> None:
        import optuna.samplers
        import optuna.trial  # noqa: F401

    thread = threading.Thread(target=load, name="cairn-optuna", daemon=True)
    thread.start()
    return thread


class Sampler:
    """One study's. Threads: one at a time."""

    def __init__(self, spec: StudySpec, seed: int) -> None:
        import optuna

        self._optuna = optuna
        self._spec = spec
        self._study = self._made(seed)
        self._distributions = {parameter.key: self._distribution(parameter) for parameter in every(spec)}
        self._numbers: dict[str, int] = {}  # of a trial's id, in Optuna's study
        self._asked: dict[str, optuna.Trial] = {}
        self._told: set[str] = set()

    def _made(self, seed: int) -> optuna.Study:
        samplers = self._optuna.samplers
        chosen: optuna.samplers.BaseSampler
        if self._spec.algorithm is Algorithm.RANDOM:
            chosen = samplers.RandomSampler(seed=seed)
        else:
            chosen = samplers.TPESampler(seed=seed)
        to = self._optuna.study.StudyDirection
        directions = [to.MINIMIZE if metric.minimize else to.MAXIMIZE for metric in self._spec.objectives]
        with self._quiet():
            return self._optuna.create_study(directions=directions, sampler=chosen)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Optuna tells of every study that is made. The level is the process's: a notebook's own is put back."""
        level = self._optuna.logging.get_verbosity()
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        try:
            yield
        finally:
            self._optuna.logging.set_verbosity(level)

    # --- deciding --------------------------------------------------------------------------------------------------

    def ask(self, fixed: Mapping[str, Value]) -> Asked:
        """Values for every parameter that is there, those of `fixed` (by the parameter's key) as they are."""
        import numpy as np

        # In spaces of many millions of integers the estimator's densities come to nothing, and NumPy says so.
        with np.errstate(all="ignore"):
            return self._ask(fixed)

    def _ask(self, fixed: Mapping[str, Value]) -> Asked:
        if fixed:
            given = {one.key: self._inside(one, fixed[one.key]) for one in every(self._spec) if one.key in fixed}
            self._study.enqueue_trial(given)
        trial = self._study.ask()
        values: dict[str, Value] = {}
        inner: dict[str, float] = {}
        for parameter in active(self._spec, values):
            found = self._suggest(trial, parameter)
            if parameter.scale is Scale.REVERSE_LOG and parameter.kind is ParameterKind.DOUBLE:
                inner[parameter.key] = found
            values[parameter.id] = fixed[parameter.key] if parameter.key in fixed else self._outside(parameter, found)
        return Asked(values, inner, trial)

    def accept(self, asked: Asked, id_: str) -> None:
        """What was asked is a recorded trial now."""
        self._numbers[id_] = asked.trial.number
        self._asked[id_] = asked.trial

    def discard(self, asked: Asked) -> None:
        """What was asked did not come to be."""
        self._study.tell(asked.trial, state=self._optuna.trial.TrialState.FAIL)

    # --- keeping up ------------------------------------------------------------------------------------------------

    def note(self, trial: Trial) -> None:
        """A trial is there, or has come to its end; what is known already is passed over."""
        if trial.id in self._told or trial.state is TrialState.REQUESTED:
            return
        if trial.id not in self._numbers:
            self._add(trial)
        elif trial.state.terminal:
            self._tell(trial)

    def _add(self, trial: Trial) -> None:
        states = self._optuna.trial.TrialState
        state, values = states.RUNNING, None
        if trial.state is TrialState.SUCCEEDED and trial.final is not None:
            state, values = states.COMPLETE, self._values(trial.final)
        elif trial.state.terminal:
            state = states.PRUNED
        known = {p.key: p for p in active(self._spec, trial.parameters)}
        self._numbers[trial.id] = len(self._study.get_trials(deepcopy=False))
        self._study.add_trial(
            self._optuna.trial.create_trial(
                state=state,
                values=values,
                params={
                    key: trial.inner[key] if key in trial.inner else self._inside(one, trial.parameters[one.id])
                    for key, one in known.items()
                },
                distributions={key: self._distributions[key] for key in known},
                constraints=self._constraints(trial),
            )
        )
        if trial.state.terminal:
            self._told.add(trial.id)

    def _tell(self, trial: Trial) -> None:
        """An infeasible trial counts as worse than every other: what is near it is not tried again soon."""
        states = self._optuna.trial.TrialState
        asked = self._asked.pop(trial.id, None)
        constraints = self._constraints(trial)
        if asked is None and constraints:  # Optuna takes constraints of its own trials only
            self._study.tell(self._numbers.pop(trial.id), state=states.FAIL)
            self._add(trial)
            return
        for name, value in constraints.items():
            assert asked is not None
            asked.set_constraint(name, value)
        number = self._numbers[trial.id]
        if trial.state is TrialState.SUCCEEDED and trial.final is not None:
            self._study.tell(number, self._values(trial.final))
        else:
            self._study.tell(number, state=states.PRUNED)
        self._told.add(trial.id)

    def _values(self, measurement: Measurement) -> list[float]:
        return [measurement.metrics[metric.id] for metric in self._spec.objectives]

    def _constraints(self, trial: Trial) -> dict[str, float]:
        if trial.final is None or trial.state is not TrialState.SUCCEEDED:
            return {}
        return {metric.id: violation(metric, trial.final) for metric in self._spec.constraints}

    # --- values ----------------------------------------------------------------------------------------------------

    def _distribution(self, parameter: Parameter) -> BaseDistribution:
        """Discrete values go by their rank: each is as likely as the next, and their order is kept."""
        import optuna.distributions as made

        log = parameter.scale is not Scale.LINEAR
        if parameter.kind is ParameterKind.DOUBLE:
            return made.FloatDistribution(parameter.low, parameter.high, log=log)
        if parameter.kind is ParameterKind.INTEGER:
            return made.IntDistribution(int(parameter.low), int(parameter.high), log=log)
        if parameter.kind is ParameterKind.DISCRETE:
            return made.IntDistribution(0, len(parameter.values) - 1)
        return made.CategoricalDistribution(parameter.values)

    def _suggest(self, trial: optuna.Trial, parameter: Parameter) -> Any:
        if parameter.kind is ParameterKind.CATEGORICAL:
            return trial.suggest_categorical(parameter.key, [str(value) for value in parameter.values])
        if parameter.kind is ParameterKind.DISCRETE:
            return trial.suggest_int(parameter.key, 0, len(parameter.values) - 1)
        log = parameter.scale is not Scale.LINEAR
        if parameter.kind is ParameterKind.INTEGER:
            return int(trial.suggest_int(parameter.key, int(parameter.low), int(parameter.high), log=log))
        return float(trial.suggest_float(parameter.key, parameter.low, parameter.high, log=log))

    def _inside(self, parameter: Parameter, value: Value) -> Any:
        """As Optuna holds it. The reverse logarithmic scale is the logarithmic one, mirrored."""
        if parameter.kind is ParameterKind.DISCRETE:
            return parameter.values.index(value)
        return _mirrored(parameter, value) if parameter.scale is Scale.REVERSE_LOG else value

    def _outside(self, parameter: Parameter, found: Any) -> Value:
        if parameter.kind is ParameterKind.DISCRETE:
            return parameter.values[int(found)]
        value: Value = _mirrored(parameter, found) if parameter.scale is Scale.REVERSE_LOG else found
        return value

    # --- random numbers ----------------------------------------------------------------------------------------------

    def random_state(self) -> dict[str, Any]:
        return {name: _written(generator) for name, generator in self._generators()}

    def set_random_state(self, state: Mapping[str, Any]) -> None:
        for name, generator in self._generators():
            if name in state:
                generator.set_state(_read(state[name]))

    def _generators(self) -> list[tuple[str, RandomState]]:
        """Optuna has no name for them, and offers to pickle the sampler instead; a record must not hold a pickle."""
        sampler: Any = self._study.sampler
        found = [("own", sampler._rng.rng)]
        if hasattr(sampler, "_random_sampler"):
            found.append(("start", sampler._random_sampler._rng.rng))
        return found


class Asked:
    """Values, and the trial of Optuna's that stands for them. `inner`: see `types.Trial`."""

    __slots__ = ("inner", "trial", "values")

    def __init__(self, values: dict[str, Value], inner: dict[str, float], trial: optuna.Trial) -> None:
        self.values = values
        self.inner = inner
        self.trial = trial


def name_of(spec: StudySpec) -> str:
    """What decides for such a study, with its version. Raises UnsupportedFeature where Optuna is too old for it."""
    if spec.algorithm is Algorithm.GRID:
        from cairn import __version__

        return f"grid (Cairn {__version__})"
    kind = "random" if spec.algorithm is Algorithm.RANDOM else "TPE"
    several = ", several objectives" if len(spec.objectives) > 1 and kind == "TPE" else ""
    return f"{kind}{several} (Optuna {_version()})"


@cache
def _version() -> str:
    from importlib.metadata import version

    found = version("optuna")
    if int(found.partition(".")[0]) < OLDEST:  # Hydra's sweeper for Optuna brings 2.10
        raise UnsupportedFeature(
            f"studies are decided by Optuna {OLDEST} or newer, and {found} is installed",
            remedy=f"install 'optuna>={OLDEST},<6' beside Cairn, in an environment without hydra-optuna-sweeper, which "
            "needs the older one",
        )
    return found


def seed_of(study_id: str) -> int:
    """What a study without a seed of its own begins with."""
    return int.from_bytes(hashlib.blake2b(study_id.encode(), digest_size=4).digest())


def _mirrored(parameter: Parameter, value: Value) -> float:
    found = parameter.low + parameter.high - float(value)
    if parameter.kind is ParameterKind.INTEGER:
        return int(parameter.low) + int(parameter.high) - int(value)
    return min(max(found, parameter.low), parameter.high)


def _written(generator: RandomState) -> dict[str, Any]:
    state: Any = generator.get_state()
    kind, key, position, has_gauss, gauss = state
    raw = key.astype("<u4").tobytes()
    return {
        "kind": kind, "key": base64.b85encode(raw).decode(), "position": int(position),
        "has_gauss": int(has_gauss), "gauss": float(gauss),
    }  # fmt: skip


def _read(state: Mapping[str, Any]) -> tuple[Any, ...]:
    import numpy as np

    key = np.frombuffer(base64.b85decode(state["key"]), dtype="<u4")
    return (state["kind"], key, state["position"], state["has_gauss"], state["gauss"])
