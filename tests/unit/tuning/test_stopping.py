"""Early stopping: each rule stops what it should, and nothing else."""

import math

import pytest

from cairn.tuning.stopping import verdict
from cairn.tuning.types import Measurement

from .conftest import trial_of


def curve(level, rate=0.5, steps=10):
    return [level * (1 - math.exp(-rate * step)) for step in range(1, steps + 1)]


DONE = [trial_of(number, curve(level), level) for number, level in enumerate((0.5, 0.6, 0.7, 0.8, 0.9, 0.95), 1)]


@pytest.fixture(params=[False, True], ids=["steps", "seconds"])
def by_time(request):
    return {"useElapsedDuration": request.param}


def test_the_median_rule_stops_below_the_median_of_running_averages(spec_of, by_time):
    spec = spec_of(medianAutomatedStoppingSpec=by_time)
    # The running averages at step 2 lie between 0.26 and 0.49; their median is 0.386.
    assert verdict(spec, trial_of(9, [0.1, 0.38]), DONE) is not None
    assert verdict(spec, trial_of(9, [0.1, 0.39]), DONE) is None
    assert verdict(spec, trial_of(9, [0.5, 0.1]), DONE) is None  # its best value counts
    assert verdict(spec, trial_of(9, [0.1]), DONE[:2]) is None  # too few to judge by
    assert verdict(spec, trial_of(9, []), DONE) is None
    assert verdict(spec, trial_of(9, [math.nan]), DONE) is None


def test_the_median_rule_turns_with_the_goal(spec_of):
    spec = spec_of(medianAutomatedStoppingSpec={}, metrics=[{"metricId": "score", "goal": "MINIMIZE"}])
    assert verdict(spec, trial_of(9, [0.9, 0.9]), DONE) is not None
    assert verdict(spec, trial_of(9, [0.1, 0.1]), DONE) is None


def test_the_decay_curve_rule_stops_what_cannot_win_any_more(spec_of, by_time):
    spec = spec_of(decayCurveStoppingSpec=by_time)
    assert verdict(spec, trial_of(9, curve(0.55, steps=4)), DONE) is not None
    assert verdict(spec, trial_of(9, curve(0.97, steps=4)), DONE) is None
    assert verdict(spec, trial_of(9, curve(0.2, steps=4)), DONE[:2]) is None
    found = verdict(spec, trial_of(9, curve(0.3, steps=4)), DONE)
    assert "probability" in found.reason


def test_the_decay_curve_rule_bears_curves_that_are_all_alike(spec_of):
    spec = spec_of(decayCurveStoppingSpec={})
    alike = [trial_of(number, [0.5] * 5, 0.5) for number in range(1, 6)]
    assert verdict(spec, trial_of(9, [0.5] * 3), alike) is None
    assert verdict(spec, trial_of(9, [0.1] * 3), alike) is not None


def test_the_convex_rule_stops_below_an_overestimate_and_predicts(spec_of):
    rule = {"maxStepCount": "10", "minStepCount": "2", "minMeasurementCount": "5"}
    spec = spec_of(convexAutomatedStoppingSpec=rule)
    found = verdict(spec, trial_of(9, curve(0.3, steps=6)), DONE)
    assert found is not None and found.prediction.step == 10
    value = found.prediction.metrics["score"]
    assert curve(0.3, steps=6)[-1] < value < 0.35  # it comes to 0.298 in truth
    assert verdict(spec, trial_of(9, curve(0.99, steps=6)), DONE) is None
    assert verdict(spec, trial_of(9, curve(0.3, steps=4)), DONE) is None  # too few measurements
    assert verdict(spec, trial_of(9, curve(0.3, steps=6)), DONE[:5]) is None  # too few trials
    assert verdict(spec, trial_of(9, [0.1] * 6), DONE) is None  # flat: nothing can be said
    late = spec_of(convexAutomatedStoppingSpec={**rule, "minStepCount": "6"})
    assert verdict(late, trial_of(9, curve(0.3, steps=6)), DONE) is None


def test_the_convex_rule_learns_its_length_and_keeps_other_metrics(spec_of):
    spec = spec_of(convexAutomatedStoppingSpec={"useElapsedDuration": True})
    trial = trial_of(9, curve(0.3, steps=6))
    last = Measurement({"score": 0.28, "other": 4.0}, 6, 60_000_000)
    trial = trial_of(9, [])
    trial = type(trial)("9", "1", measurements=(*trial_of(9, curve(0.3, steps=5)).measurements, last))
    found = verdict(spec, trial, DONE)
    assert found.prediction.elapsed == 100_000_000 and found.prediction.step == 6
    assert found.prediction.metrics["other"] == 4.0


def test_without_a_rule_nothing_is_stopped(spec_of):
    assert verdict(spec_of(), trial_of(9, [-100.0]), DONE) is None


def test_unsafe_trials_are_no_measure(spec_of):
    metrics = [{"metricId": "score"}, {"metricId": "size", "goal": "MINIMIZE", "safetyConfig": {"safetyThreshold": 1}}]
    spec = spec_of(medianAutomatedStoppingSpec={}, metrics=metrics)
    unsafe = [
        type(one)(
            one.id, "1", state=one.state, measurements=one.measurements, final=Measurement({"score": 1, "size": 2})
        )
        for one in DONE
    ]
    assert verdict(spec, trial_of(9, [0.0, 0.0]), unsafe) is None
