"""What stays near a safe trial."""

import pytest

from cairn.tuning.cautious import near_a_safe_trial
from cairn.tuning.parameters import check_values
from cairn.tuning.study_spec import parse
from cairn.tuning.types import Measurement, Trial, TrialState

from .conftest import double, message_of

METRICS = [
    {"metricId": "score"},
    {"metricId": "heat", "goal": "MINIMIZE", "safetyConfig": {"desiredMinSafeTrialsFraction": 0.5}},
]
PARAMETERS = [
    double("plain", -1, 1),
    double("log", 1e-4, 1, scaleType="UNIT_LOG_SCALE"),
    double("late", 1, 10, scaleType="UNIT_REVERSE_LOG_SCALE"),
    {"parameterId": "n", "integerValueSpec": {"minValue": 1, "maxValue": 100}},
    {"parameterId": "k", "categoricalValueSpec": {"values": ["a", "b"]}},
    {"parameterId": "d", "discreteValueSpec": {"values": [1, 2, 4, 8]}},
    double("one", 3, 3),
]
SPEC = parse(message_of(*PARAMETERS, metrics=METRICS))
AT = {"plain": 0.0, "log": 1e-2, "late": 9.9, "n": 50, "k": "a", "d": 2.0, "one": 3.0}


def done(number, heat):
    final = Measurement({"score": 1.0, "heat": heat})
    return Trial(str(number), "1", state=TrialState.SUCCEEDED, parameters=AT, final=final)


def test_values_stay_near_on_their_scale():
    trials = [done(1, -1), done(2, 1), done(3, 1)]
    found = [near_a_safe_trial(SPEC, trials, str(seed))[0] for seed in range(200)]
    for values in found:
        assert check_values(SPEC, values, "trial", partial=False) == values

    def share(keeps):
        return sum(map(keeps, found)) / len(found)

    # One tenth of the range is one standard deviation: 68 % lie within it.
    assert 0.55 < share(lambda one: abs(one["plain"]) < 0.2) < 0.8
    assert 0.55 < share(lambda one: 1e-2 / 10**0.4 < one["log"] < 1e-2 * 10**0.4) < 0.8
    assert 0.55 < share(lambda one: 40 < one["n"] < 60) < 0.8
    assert share(lambda one: one["late"] > 9) > 0.9
    assert 0.9 < share(lambda one: one["k"] == "a") < 1
    assert {one["d"] for one in found} >= {1.0, 2.0, 4.0}


def test_the_same_seed_gives_the_same_values():
    trials = [done(1, -1), done(2, 1), done(3, 1)]
    assert near_a_safe_trial(SPEC, trials, "x") == near_a_safe_trial(SPEC, trials, "x")


@pytest.mark.parametrize("trials", [[], [done(1, 1)], [done(1, -1)], [done(1, -1), done(2, 1)]])
def test_nothing_is_said_while_enough_are_safe_or_none_is(trials):
    assert near_a_safe_trial(SPEC, trials, "x") is None
