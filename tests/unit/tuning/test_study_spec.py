"""What a StudySpec says, and what is refused of it, with its place."""

import re

import pytest

from cairn.errors import InputRefused
from cairn.tuning.parameters import active, check_values, every
from cairn.tuning.study_spec import parse, warnings_of
from cairn.tuning.types import Algorithm, ConvexRule, DecayCurveRule, MedianRule, Noise, Scale, Selection

from .conftest import double, message_of

WHOLE = {
    "metrics": [
        {"metricId": "accuracy"},
        {
            "metricId": "size",
            "goal": "MINIMIZE",
            "safetyConfig": {"safetyThreshold": 5, "desiredMinSafeTrialsFraction": 1},
        },
    ],
    "parameters": [
        double("rate", 1e-5, 1, scaleType="UNIT_LOG_SCALE"),
        {"parameterId": "units", "integerValueSpec": {"minValue": "1", "maxValue": "64", "defaultValue": "32"}},
        {"parameterId": "batch", "discreteValueSpec": {"values": [8, 16, 32], "defaultValue": 17}},
        {
            "parameterId": "model",
            "categoricalValueSpec": {"values": ["tree", "net"]},
            "conditionalParameterSpecs": [
                {
                    "parentCategoricalValues": {"values": ["net"]},
                    "parameterSpec": {
                        "parameterId": "layers",
                        "integerValueSpec": {"minValue": 1, "maxValue": 3},
                        "conditionalParameterSpecs": [
                            {"parentIntValues": {"values": ["2", 3]}, "parameterSpec": double("dropout")}
                        ],
                    },
                },
                {"parentCategoricalValues": {"values": ["tree"]}, "parameterSpec": double("depth", 1, 9)},
            ],
        },
    ],
    "algorithm": "RANDOM_SEARCH",
    "observationNoise": "LOW",
    "measurementSelectionType": "BEST_MEASUREMENT",
    "medianAutomatedStoppingSpec": {"useElapsedDuration": True},
    "studyStoppingConfig": {
        "shouldStopAsap": True,
        "minimumRuntimeConstraint": {"maxDuration": "1.5s"},
        "maximumRuntimeConstraint": {"endTime": "2030-01-01T00:00:00Z"},
        "minNumTrials": 2,
        "maxNumTrials": 9,
        "maxNumTrialsNoProgress": 3,
        "maxDurationNoProgress": "60s",
    },
}


def test_every_field_is_read():
    spec = parse(WHOLE)
    assert [one.id for one in spec.objectives] == ["accuracy"]
    [safe] = spec.constraints
    assert (safe.minimize, safe.safety_threshold, safe.min_safe_fraction) == (True, 5, 1)
    rate, units, batch, model = spec.parameters
    assert rate.scale is Scale.LOG and (rate.low, rate.high) == (1e-5, 1)
    assert (units.low, units.high, units.default) == (1, 64, 32) and type(units.low) is int
    assert batch.values == (8.0, 16.0, 32.0) and batch.default == 16.0  # the nearest
    assert [one.id for one in every(spec)] == ["rate", "units", "batch", "model", "layers", "dropout", "depth"]
    assert model.children[0].parameter.children[0].values == (2, 3)
    assert spec.algorithm is Algorithm.RANDOM and spec.noise is Noise.LOW and spec.selection is Selection.BEST
    assert spec.stopping == MedianRule(by_time=True)
    ending = spec.ending
    assert ending.as_soon_as_possible and ending.min_runtime.duration == 1_500_000
    assert ending.max_runtime.end == 1_893_456_000_000_000
    assert (ending.min_trials, ending.max_trials, ending.max_trials_no_progress) == (2, 9, 3)
    assert ending.max_duration_no_progress == 60_000_000


def test_snake_case_numbers_of_enumerations_and_defaults_of_protobuf_are_read_as_well():
    """As google-cloud-pipeline-components serialise it."""
    spec = parse(
        {
            "metrics": [{"metric_id": "loss", "goal": 2}],
            "parameters": [
                {
                    "parameter_id": "x",
                    "double_value_spec": {"min_value": 0.0, "max_value": 2.0},
                    "scale_type": 1.0,
                    "conditional_parameter_specs": [],
                }
            ],
            "algorithm": 0,
            "measurement_selection_type": 0,
            "decay_curve_stopping_spec": {},
            "study_stopping_config": None,
        }
    )
    assert spec.metrics[0].minimize and spec.parameters[0].high == 2.0
    assert spec.selection is Selection.LAST and spec.stopping == DecayCurveRule() and spec.ending is None


def test_what_is_read_only_in_part_is_warned_of():
    rule = {"learningRateParameterName": "x", "updateAllStoppedTrials": True, "minStepCount": "3"}
    spec = parse(message_of(convexAutomatedStoppingSpec=rule))
    assert spec.stopping == ConvexRule(min_steps=3, learning_rate="x", update_all=True)
    assert len(warnings_of(spec)) == 2
    assert warnings_of(parse(WHOLE))[0].startswith("safetyConfig: RANDOM_SEARCH")


CHILD = {"parentCategoricalValues": {"values": ["a"]}, "parameterSpec": double("y")}
PARENT = {"parameterId": "k", "categoricalValueSpec": {"values": ["a", "b"]}}
INTEGERS = {"parameterId": "n", "integerValueSpec": {"minValue": 1, "maxValue": 3}}
REFUSED = [
    ({"parameters": [double("x", float("nan"))]}, "parameters[0].doubleValueSpec.minValue: nan is not finite"),
    ({"parameters": [double("x", 0, float("inf"))]}, "parameters[0].doubleValueSpec.maxValue: inf is not finite"),
    ({"parameters": [double("x", -1e308, 1e308)]}, "parameters[0].doubleValueSpec: from -1e+308 to 1e+308 is too far"),
    ({"parameters": [double("x", "1", "Infinity")]}, "maxValue: 'Infinity' is not finite"),
    ({"parameters": [double("x", 2, 1)]}, "parameters[0].doubleValueSpec: minValue 2.0 is above maxValue 1.0"),
    ({"parameters": [double("x", 0, 1, scaleType="UNIT_LOG_SCALE")]}, "parameters[0].scaleType: UNIT_LOG_SCALE needs"),
    ({"parameters": [double("x", -1, 1, scaleType=3)]}, "parameters[0].scaleType: UNIT_REVERSE_LOG_SCALE needs"),
    ({"parameters": [double("x y")]}, "parameters[0].parameterId: 'x y' has white space"),
    ({"parameters": [double("x"), double("x")]}, "parameters[1].parameterId: there are two parameters 'x'"),
    ({"parameters": [double("x", default=1)]}, "parameters[0]: there is no field 'default'"),
    ({"parameters": [{"parameterId": "x"}]}, "parameters[0]: one of doubleValueSpec"),
    ({"parameters": []}, "parameters: at least one"),
    ({"parameters": [{**PARENT, "scaleType": 2}]}, "parameters[0].scaleType: categories have no scale"),
    (
        {"parameters": [{"parameterId": "x", "discreteValueSpec": {"values": [2, 1]}}]},
        "discreteValueSpec.values[1]: 1.0",
    ),
    (
        {"parameters": [{"parameterId": "x", "discreteValueSpec": {"values": range(1001)}}]},
        "values: there are more than",
    ),
    (
        {"parameters": [{"parameterId": "x", "integerValueSpec": {"maxValue": 2**53 + 1}}]},
        "maxValue: a trial's values are",
    ),
    ({"parameters": [{"parameterId": "x", "integerValueSpec": {"maxValue": 2**63}}]}, "is no integer of 64 bits"),
    ({"parameters": [{"parameterId": "x", "integerValueSpec": {"maxValue": "1e1.5"}}]}, "'1e1.5' is no number"),
    ({"parameters": [{"parameterId": "x", "integerValueSpec": {"minValue": 1.5}}]}, "minValue: 1.5 is no integer"),
    (
        {"parameters": [{"parameterId": "x", "integerValueSpec": {"maxValue": 3, "defaultValue": 4}}]},
        "integerValueSpec.defaultValue: 4 is not between 0 and 3",
    ),
    (
        {"parameters": [{**PARENT, "conditionalParameterSpecs": [{**CHILD, "parentIntValues": {"values": [1]}}]}]},
        "conditionalParameterSpecs[0]: parentIntValues and parentCategoricalValues cannot both be set",
    ),
    (
        {"parameters": [{**INTEGERS, "conditionalParameterSpecs": [CHILD]}]},
        "parameters[0].conditionalParameterSpecs[0].parentCategoricalValues: 'n' is INTEGER",
    ),
    (
        {
            "parameters": [
                {**PARENT, "conditionalParameterSpecs": [{**CHILD, "parentCategoricalValues": {"values": ["c"]}}]}
            ]
        },
        "parentCategoricalValues.values[0]: 'c' is none of 'a', 'b'",
    ),
    (
        {"parameters": [{**PARENT, "conditionalParameterSpecs": [CHILD, CHILD]}]},
        "conditionalParameterSpecs[1]: 'y' is there twice for one value",
    ),
    (
        {"parameters": [double("y"), {**PARENT, "conditionalParameterSpecs": [CHILD]}]},
        "parameters[1].conditionalParameterSpecs[0].parameterSpec.parameterId: there are two parameters 'y'",
    ),
    ({"metrics": []}, "metrics: at least one"),
    ({"metrics": [{"metricId": "a"}, {"metricId": "a"}]}, "metrics[1].metricId: there are two"),
    ({"metrics": [{"metricId": "a", "goal": "UP"}]}, "metrics[0].goal: 'UP' is none of"),
    ({"metrics": [{"metricId": "a", "safetyConfig": {}}]}, "metrics: a metric without safetyConfig is needed"),
    (
        {"metrics": [{"metricId": "a"}, {"metricId": "b", "safetyConfig": {"desiredMinSafeTrialsFraction": 2}}]},
        "metrics[1].safetyConfig.desiredMinSafeTrialsFraction: 2.0 is not between 0 and 1",
    ),
    ({"algorithm": "BAYES"}, "algorithm: 'BAYES' is none of ALGORITHM_UNSPECIFIED, GRID_SEARCH, RANDOM_SEARCH"),
    ({"algorithm": "GRID_SEARCH"}, "algorithm: a grid has no DOUBLE parameters, and 'x' is one"),
    ({"transferLearningConfig": {}}, "there is no field 'transferLearningConfig'"),
    (
        {"medianAutomatedStoppingSpec": {}, "decayCurveStoppingSpec": {}},
        "decayCurveStoppingSpec and medianAutomatedStoppingSpec cannot both be set",
    ),
    (
        {"metrics": [{"metricId": "a"}, {"metricId": "b"}], "medianAutomatedStoppingSpec": {}},
        "metrics: trials are stopped early only where there is one objective",
    ),
    ({"convexAutomatedStoppingSpec": {"learningRateParameterName": "lr"}}, "learningRateParameterName: there is no"),
    ({"studyStoppingConfig": {"maxNumTrials": 0}}, "studyStoppingConfig.maxNumTrials: 0 is too few"),
    ({"studyStoppingConfig": {"minNumTrials": 3, "maxNumTrials": 2}}, "studyStoppingConfig.minNumTrials: 3 is more"),
    ({"studyStoppingConfig": {"maxDurationNoProgress": "1 day"}}, "maxDurationNoProgress: '1 day' is no duration"),
    (
        {"studyStoppingConfig": {"maximumRuntimeConstraint": {"endTime": "soon"}}},
        "maximumRuntimeConstraint.endTime: 'soon' is no time",
    ),
]


@pytest.mark.parametrize(("change", "words"), REFUSED)
def test_what_is_wrong_is_refused_with_its_place(change, words):
    with pytest.raises(InputRefused, match=re.escape(words)):
        parse({**message_of(), **change})


GIVEN = {"rate": 0.5, "units": 3, "batch": 8, "model": "net", "layers": 2, "dropout": 0.1}


def test_values_are_checked_against_the_conditions():
    spec = parse(WHOLE)
    found = check_values(spec, GIVEN, "trial", partial=False)
    assert found == GIVEN and type(found["units"]) is int and type(found["batch"]) is float
    assert [one.id for one in active(spec, found)] == ["rate", "units", "batch", "model", "layers", "dropout"]
    assert check_values(spec, {"units": 3.0}, "trial", partial=True) == {"units": 3}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layers": 1}, "trial: 'dropout' is not there under these values of its parent"),
        ({"model": "tree", "depth": 2}, "trial: 'dropout' is not there"),
        ({"unit": 1}, "trial: there is no parameter 'unit'"),
        ({"units": 65}, "trial.units: 65 is not between 1 and 64"),
        ({"units": float("nan")}, "trial.units: nan is not finite"),
        ({"batch": 9}, "trial.batch: 9 is none of 8.0, 16.0, 32.0"),
        ({"model": None}, "trial.model: None is none of"),
    ],
)
def test_values_that_a_trial_cannot_have_are_refused(change, words):
    with pytest.raises(InputRefused, match=re.escape(words)):
        check_values(parse(WHOLE), {**GIVEN, **change}, "trial", partial=False)


def test_a_missing_value_is_refused():
    with pytest.raises(InputRefused, match="'layers' is missing"):
        check_values(parse(WHOLE), {"rate": 1, "units": 1, "batch": 8, "model": "net"}, "trial", partial=False)
