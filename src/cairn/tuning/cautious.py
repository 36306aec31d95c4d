"""Keeping to what is safe: `desiredMinSafeTrialsFraction`.

Optuna's constrained TPE alone turns away from unsafe trials, but aims at no share of safe ones. While fewer of the
completed trials are safe than is desired, the next one stays near a safe one: each number moves by a tenth of its
(scaled) range, each category changes in one of ten cases.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from cairn.tuning.parameters import active
from cairn.tuning.selection import is_safe
from cairn.tuning.types import Algorithm, Parameter, ParameterKind, Scale, StudySpec, Trial, TrialState, Value

STEP = 0.1


def near_a_safe_trial(spec: StudySpec, trials: Sequence[Trial], seed: str) -> tuple[dict[str, Value], str] | None:
    """Values, and what is said of them; None while enough trials are safe, none is known to be, or no share is aimed
    at. The same seed gives the same values."""
    wanted = max((metric.min_safe_fraction or 0.0 for metric in spec.constraints), default=0.0)
    if wanted == 0.0 or spec.algorithm is not Algorithm.DEFAULT:
        return None
    done = [one for one in trials if one.state is TrialState.SUCCEEDED and one.final is not None]
    safe = [one for one in done if one.final is not None and is_safe(spec, one.final)]
    if not safe or len(safe) >= wanted * len(done):
        return None
    chance = random.Random(seed)
    start = chance.choice(safe)
    values: dict[str, Value] = {}
    for parameter in active(spec, values):
        values[parameter.id] = _moved(parameter, start.parameters.get(parameter.id), chance)
    return values, f"near trial {start.id}, which is safe"


def _moved(parameter: Parameter, value: Value | None, chance: random.Random) -> Value:
    if parameter.kind is ParameterKind.CATEGORICAL:
        kept = value in parameter.values and chance.random() >= STEP
        return value if kept and value is not None else chance.choice(parameter.values)
    if parameter.kind is ParameterKind.DISCRETE:
        last = len(parameter.values) - 1
        rank = parameter.values.index(value) if value in parameter.values else chance.randint(0, last)
        return parameter.values[round(_within(rank + chance.gauss(0, max(1, STEP * last)), 0, last))]
    here = chance.random() if value is None else _unit(parameter, float(value))
    found = _of_unit(parameter, _within(here + chance.gauss(0, STEP), 0, 1))
    return round(found) if parameter.kind is ParameterKind.INTEGER else found


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _unit(parameter: Parameter, value: float) -> float:
    """Where a value lies in its scaled range, from 0 to 1."""
    low, high = parameter.low, parameter.high
    value = _within(value, low, high)
    if low == high:
        return 0.0
    if parameter.scale is Scale.LINEAR:
        return (value - low) / (high - low)
    if parameter.scale is Scale.LOG:
        return math.log(value / low) / math.log(high / low)
    return 1 - math.log((low + high - value) / low) / math.log(high / low)


def _of_unit(parameter: Parameter, unit: float) -> float:
    low, high = parameter.low, parameter.high
    if parameter.scale is Scale.LINEAR:
        found = low + unit * (high - low)
    elif parameter.scale is Scale.LOG:
        found = low * (high / low) ** unit
    else:
        found = low + high - low * (high / low) ** (1 - unit)
    return _within(found, low, high)
