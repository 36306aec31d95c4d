"""Which measurement a trial is judged by, and which trials are the best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from cairn.tuning.types import Measurement, Metric, Selection, StudySpec, Trial, TrialState


def merged(before: Sequence[Measurement], added: Iterable[Measurement]) -> tuple[Measurement, ...]:
    """By step, then elapsed time. Of two at the same place the later one wins, metric by metric."""
    found = {(one.step, one.elapsed): one for one in before}
    for one in added:
        place = (one.step, one.elapsed)
        known = found[place].metrics if place in found else {}
        found[place] = Measurement({**known, **one.metrics}, one.step, one.elapsed)
    return tuple(found[place] for place in sorted(found))


def final_of(spec: StudySpec, measurements: Sequence[Measurement]) -> Measurement | None:
    """The measurement that stands for a trial that was completed without one; None when no measurement has all metrics
    of the study. What is not finite is passed over.

    BEST of several objectives: the last one that no other dominates.
    """
    usable = [one for one in measurements if not lacking(spec, one)]
    if not usable:
        return None
    if spec.selection is Selection.LAST:
        return usable[-1]
    ranked = [(_gains(spec.objectives, one), one) for one in usable]
    if len(spec.objectives) == 1:
        return max(reversed(ranked), key=lambda one: one[0])[1]
    return [one for gains, one in ranked if not any(_dominates(other, gains) for other, _ in ranked)][-1]


def lacking(spec: StudySpec, measurement: Measurement) -> str:
    """Why a measurement cannot be a final one; "" when it can."""
    for metric in spec.metrics:
        value = measurement.metrics.get(metric.id)
        if value is None:
            return f"metric {metric.id!r} was not reported"
        if not math.isfinite(value):
            return f"metric {metric.id!r} is {value}"
    return ""


def is_safe(spec: StudySpec, measurement: Measurement) -> bool:
    return all(violation(metric, measurement) <= 0 for metric in spec.constraints)


def violation(metric: Metric, measurement: Measurement) -> float:
    """By how much a safety metric is worse than its threshold; 0 or less: it is safe."""
    assert metric.safety_threshold is not None
    beyond = measurement.metrics[metric.id] - metric.safety_threshold
    return beyond if metric.minimize else -beyond


def succeeded(spec: StudySpec, trials: Iterable[Trial]) -> list[tuple[Trial, tuple[float, ...]]]:
    """Completed safe trials with what they gained: one number for each objective, more is better."""
    return [
        (trial, _gains(spec.objectives, trial.final))
        for trial in trials
        if trial.state is TrialState.SUCCEEDED and trial.final is not None and is_safe(spec, trial.final)
    ]


def optimal(spec: StudySpec, trials: Iterable[Trial]) -> list[Trial]:
    """The best one; of several objectives those that no other trial dominates. Unsafe trials are none of them."""
    ranked = succeeded(spec, trials)
    if len(spec.objectives) == 1:
        return [max(ranked, key=lambda one: one[1])[0]] if ranked else []
    return [trial for trial, gains in ranked if not any(_dominates(other, gains) for _, other in ranked)]


def _gains(metrics: Sequence[Metric], measurement: Measurement) -> tuple[float, ...]:
    return tuple(
        -measurement.metrics[metric.id] if metric.minimize else measurement.metrics[metric.id] for metric in metrics
    )


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(mine >= theirs for mine, theirs in zip(one, other, strict=True))
