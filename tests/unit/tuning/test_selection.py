"""Final measurements and optimal trials."""

import math

import msgspec

from cairn.tuning.selection import final_of, lacking, merged, optimal
from cairn.tuning.types import Measurement, Trial, TrialState


def measured(*values, **more):
    return [Measurement({"score": value}, step) for step, value in enumerate(values)]


def done(number, **metrics):
    return Trial(str(number), "1", state=TrialState.SUCCEEDED, final=Measurement(metrics))


def test_the_last_or_the_best_measurement_stands_for_a_trial(spec_of):
    curve = measured(1.0, 3.0, 2.0)
    assert final_of(spec_of(), curve).metrics == {"score": 2.0}
    best = spec_of(measurementSelectionType="BEST_MEASUREMENT")
    assert final_of(best, curve).metrics == {"score": 3.0}
    least = spec_of(measurementSelectionType="BEST_MEASUREMENT", metrics=[{"metricId": "score", "goal": "MINIMIZE"}])
    assert final_of(least, curve).metrics == {"score": 1.0}


def test_what_is_no_number_stands_for_nothing(spec_of):
    assert final_of(spec_of(), measured(1.0, math.nan)).metrics == {"score": 1.0}
    assert final_of(spec_of(), measured(math.inf)) is None
    assert final_of(spec_of(), [Measurement({"other": 1.0})]) is None
    assert lacking(spec_of(), Measurement({"other": 1.0})) == "metric 'score' was not reported"


def test_measurements_of_one_place_are_one():
    found = merged(measured(1.0, 2.0), [Measurement({"score": 5.0}, 1), Measurement({"loss": 1.0}, 0)])
    assert [(one.step, one.metrics) for one in found] == [(0, {"score": 1.0, "loss": 1.0}), (1, {"score": 5.0})]
    assert [one.elapsed for one in merged([Measurement({}, 0, 5)], [Measurement({}, 0, 3)])] == [3, 5]


def test_the_optimal_trial_is_safe(spec_of):
    metrics = [{"metricId": "score"}, {"metricId": "size", "goal": "MINIMIZE", "safetyConfig": {"safetyThreshold": 5}}]
    spec = spec_of(metrics=metrics)
    trials = [done(1, score=1.0, size=5), done(2, score=9.0, size=6), done(3, score=0.5, size=0)]
    assert [one.id for one in optimal(spec, trials)] == ["1"]
    assert optimal(spec, trials[1:2]) == []
    trials.append(msgspec.structs.replace(trials[0], id="4", state=TrialState.INFEASIBLE, final=None))
    assert [one.id for one in optimal(spec, trials)] == ["1"]


def test_of_several_objectives_those_that_none_dominates(spec_of):
    spec = spec_of(metrics=[{"metricId": "score"}, {"metricId": "cost", "goal": "MINIMIZE"}])
    trials = [done(1, score=3, cost=3), done(2, score=2, cost=1), done(3, score=2, cost=2), done(4, score=1, cost=1)]
    assert [one.id for one in optimal(spec, trials)] == ["1", "2"]
    best = msgspec.structs.replace(spec, selection="BEST_MEASUREMENT")
    curve = [Measurement({"score": 3, "cost": 1}, 1), Measurement({"score": 2, "cost": 2}, 2)]
    assert final_of(best, curve) is not None
