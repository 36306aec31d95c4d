"""Which trials need not go on: the rules of automated stopping.

Source: the messages *AutomatedStoppingSpec in google/cloud/aiplatform/v1/study.proto. A curve is one trial's objective
over its steps (or over elapsed seconds), turned so that more is better. Values that are not finite are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median

import msgspec

from cairn.tuning.selection import succeeded
from cairn.tuning.types import ConvexRule, DecayCurveRule, Measurement, MedianRule, StudySpec, Trial

MIN_CURVES = 3  # completed ones that the median and decay-curve rules need: fewer say too little
LOW_PROBABILITY = 0.05
_POINTS = 8  # at which curves are compared
_MOST_CURVES = 200

Curve = list[tuple[float, float]]  # (x, value), by x


class Verdict(msgspec.Struct, frozen=True):
    reason: str
    prediction: Measurement | None = None  # to be added to the trial, as the convex rule does


def verdict(spec: StudySpec, trial: Trial, trials: Sequence[Trial]) -> Verdict | None:
    """Whether `trial` should stop; None: it should not, or there is too little to judge by."""
    rule = spec.stopping
    if rule is None:
        return None
    [metric] = spec.objectives
    mine = _curve(spec, trial.measurements, rule.by_time)
    done = [(_curve(spec, one.measurements, rule.by_time), gain[0]) for one, gain in succeeded(spec, trials)]
    if not mine:
        return None
    if isinstance(rule, MedianRule):
        return _by_median(mine, [curve for curve, _ in done if curve])
    if isinstance(rule, DecayCurveRule):
        return _by_decay_curve(mine, [one for one in done if one[0]])
    found = _by_slope(rule, mine, [one for one in done if one[0]])
    if found is None:
        return None
    best, x, value = found
    place = {"elapsed": round(x * 1e6)} if rule.by_time else {"step": round(x)}
    last = trial.measurements[-1]
    measurement = Measurement(
        {**last.metrics, metric.id: -value if metric.minimize else value},
        **{"step": last.step, "elapsed": last.elapsed, **place},
    )
    return Verdict(f"at best it would come to {_told(spec, best)}, and a trial has done better", measurement)


def _told(spec: StudySpec, value: float) -> str:
    return f"{-value if spec.objectives[0].minimize else value:.6g}"


def _curve(spec: StudySpec, measurements: Sequence[Measurement], by_time: bool) -> Curve:
    [metric] = spec.objectives
    found = []
    for one in measurements:
        value = one.metrics.get(metric.id)
        if value is not None and math.isfinite(value):
            found.append((one.elapsed / 1e6 if by_time else float(one.step), -value if metric.minimize else value))
    return sorted(found, key=lambda point: point[0])


# --- the median ------------------------------------------------------------------------------------------------------


def _by_median(mine: Curve, curves: Sequence[Curve]) -> Verdict | None:
    """Its best value is strictly below the median of the completed trials' running averages, as they stood at its last
    measurement."""
    until = mine[-1][0]
    averages = [fmean(values) for curve in curves if (values := [value for x, value in curve if x <= until])]
    if len(averages) < MIN_CURVES or max(value for _, value in mine) >= median(averages):
        return None
    return Verdict(f"its best value is worse than the median of {len(averages)} trials at {until:g}")


# --- the decay curve -------------------------------------------------------------------------------------------------


def _by_decay_curve(mine: Curve, done: Sequence[tuple[Curve, float]]) -> Verdict | None:
    """A Gaussian process regression predicts what it will come to: from how completed trials looked where this one is
    now, and from what they still gained. Stopped where exceeding the best has a probability below 5 %."""
    until = mine[-1][0]
    known = [(curve, final) for curve, final in done if curve[-1][0] >= until][-_MOST_CURVES:]
    if len(known) < MIN_CURVES:
        return None
    xs = _spread([x for x, _ in mine])
    looks = [[_value_at(curve, x) for x in xs] for curve, _ in known]
    gains = [final - look[-1] for look, (_, final) in zip(looks, known, strict=True)]
    mean, deviation = _regress(looks, gains, [_value_at(mine, x) for x in xs])
    best = max(final for _, final in done)
    expected = mine[-1][1] + mean
    probability = 0.5 * math.erfc((best - expected) / (deviation * math.sqrt(2)))
    if probability >= LOW_PROBABILITY:
        return None
    return Verdict(f"it will do better than the best trial with a probability of {probability:.1%} only")


def _spread(xs: Sequence[float]) -> list[float]:
    if len(xs) <= _POINTS:
        return list(xs)
    return [xs[round(index * (len(xs) - 1) / (_POINTS - 1))] for index in range(_POINTS)]


def _value_at(curve: Curve, x: float) -> float:
    """Straight lines between measurements; the ends stay as they are."""
    before = curve[0]
    for point in curve:
        if point[0] >= x:
            if point[0] == before[0] or point[0] == x:
                return point[1]
            return before[1] + (point[1] - before[1]) * (x - before[0]) / (point[0] - before[0])
        before = point
    return before[1]


def _regress(looks: Sequence[Sequence[float]], gains: Sequence[float], mine: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of what is still gained: a squared exponential kernel, whose length is the median
    distance between curves, around the mean gain."""
    import numpy as np

    known, targets, here = np.asarray(looks), np.asarray(gains), np.asarray(mine)
    center = float(targets.mean())
    scale = max(float(np.abs(known).max()), float(np.abs(here).max()), 1e-12)
    spread = max(float(targets.std()), 1e-6 * scale)
    distances = ((known[:, None, :] - known[None, :, :]) ** 2).sum(axis=2)
    length = float(np.median(distances[np.triu_indices(len(known), 1)])) or 1e-12 * scale**2
    noise = 0.05  # of the spread, squared: equal beginnings do not come to equal ends
    inner = np.exp(-distances / (2 * length)) + noise * np.eye(len(known))
    outer = np.exp(-((known - here) ** 2).sum(axis=1) / (2 * length))
    mean = center + float(outer @ np.linalg.solve(inner, targets - center))
    variance = 1 + noise - float(outer @ np.linalg.solve(inner, outer))
    return mean, spread * math.sqrt(max(variance, noise / 10))


# --- the slope -------------------------------------------------------------------------------------------------------


def _by_slope(rule: ConvexRule, mine: Curve, done: Sequence[tuple[Curve, float]]) -> tuple[float, float, float] | None:
    """(the overestimate, the x it is for, the value that is predicted) of a trial that should stop.

    A curve whose gains become smaller stays below the straight line through its later half. What is predicted for its
    end is the sum of the gains that an autoregression of first order, over all curves, still gives it.
    """
    if len(done) < rule.min_measurements + 1 or len(mine) < rule.min_measurements:
        return None
    most = float(rule.max_steps) or max(curve[-1][0] for curve, _ in done)
    least = most / 10 if rule.min_steps is None else float(rule.min_steps)
    x, _ = mine[-1]
    if x <= least or x >= most:
        return None
    risen = _risen(mine)
    begin = risen[(len(risen) - 1) // 2]
    value = risen[-1][1]
    if x == begin[0] or value == begin[1]:  # flat: nothing can be said
        return None
    overestimate = value + (value - begin[1]) / (x - begin[0]) * (most - x)
    if overestimate >= max(final for _, final in done):
        return None
    return overestimate, most, _predicted([risen, *(_risen(curve) for curve, _ in done)], most)


def _risen(curve: Curve) -> Curve:
    """The best value so far."""
    best, found = -math.inf, []
    for x, value in curve:
        best = max(best, value)
        found.append((x, best))
    return found


def _predicted(curves: Sequence[Curve], most: float) -> float:
    """Of the first curve at `most`. The factor by which gains shrink is fitted by least squares over all curves."""
    above = below = 0.0
    for curve in curves:
        gains = [following[1] - one[1] for one, following in pairwise(curve)]
        above += sum(one * following for one, following in pairwise(gains))
        below += sum(one * one for one in gains[:-1])
    factor = min(max(above / below, 0.0), 0.999) if below else 0.0
    mine = curves[0]
    (x, value), step = mine[-1], (mine[-1][0] - mine[0][0]) / (len(mine) - 1)
    gain = (value - mine[0][1]) / (len(mine) - 1)
    total: float = gain * factor * (1 - factor ** ((most - x) / step)) / (1 - factor)
    return value + total
