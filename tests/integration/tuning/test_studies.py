"""Studies on real records: what is decided, that it is recorded once, and that a study goes on where it stood."""

import math
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable

import optuna
import pytest

from cairn.domain.clock import SystemClock
from cairn.domain.resources import Capacity
from cairn.errors import AlreadyExists, InputRefused, NotFound, WrongState
from cairn.records import open_records
from cairn.tuning.parameters import check_values
from cairn.tuning.service import StudyService
from cairn.tuning.types import Measurement, Study, StudyState, TrialState

SPACE = [
    {"parameterId": "rate", "doubleValueSpec": {"minValue": 1e-4, "maxValue": 1}, "scaleType": "UNIT_LOG_SCALE"},
    {"parameterId": "units", "integerValueSpec": {"minValue": 1, "maxValue": 64}},
    {
        "parameterId": "model",
        "categoricalValueSpec": {"values": ["tree", "net"]},
        "conditionalParameterSpecs": [
            {
                "parentCategoricalValues": {"values": ["net"]},
                "parameterSpec": {"parameterId": "drop", "discreteValueSpec": {"values": [0, 0.25, 0.5]}},
            }
        ],
    },
    {"parameterId": "late", "doubleValueSpec": {"minValue": 1, "maxValue": 10}, "scaleType": "UNIT_REVERSE_LOG_SCALE"},
]
LOSS = [{"metricId": "loss", "goal": "MINIMIZE"}]
SMALL = [{"parameterId": "n", "integerValueSpec": {"minValue": 1, "maxValue": 3}}]


def loss(values):
    extra = values.get("drop", 0.3) + (values["model"] == "tree")
    return (math.log10(values["rate"]) + 2) ** 2 + abs(values["units"] - 20) / 10 + extra + abs(values["late"] - 9)


@pytest.fixture
def opened(tmp_path, request):
    """`opened()`: a service of a process of its own, as it were, over the same records."""
    postgres = getattr(request, "param", "") == "postgres"
    location = request.getfixturevalue("postgres_url") if postgres else tmp_path / "studies.db"
    made = []

    def open_() -> StudyService:
        made.append(open_records(location, capacity=Capacity(1000, 1 << 30, 0)))
        return StudyService(made[-1], SystemClock())

    yield open_
    for records in made:
        records.close()


in_both_databases = pytest.mark.parametrize("opened", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def service(opened):
    return opened()


@pytest.fixture
def study_of(service) -> Callable[..., Study]:
    def build(parameters=SPACE, *, metrics=LOSS, name="tuning", seed=7, **more) -> Study:
        message = {"metrics": metrics, "parameters": parameters, **more}
        return service.create(Study(message, display_name=name, seed=seed))

    return build


def run(service, study, count, value=loss, client=""):
    """Try, one after another: the values that were tried."""
    tried = []
    for _ in range(count):
        [trial] = service.suggest(study, 1, client).trials
        service.complete(trial, Measurement({"loss": value(trial.parameters)}))
        tried.append(trial.parameters)
    return tried


# --- deciding --------------------------------------------------------------------------------------------------------


def test_decisions_are_those_of_optuna_and_nothing_is_said(service, study_of, capfd):
    def direct(trial):
        values = {
            "rate": trial.suggest_float("rate", 1e-4, 1, log=True),
            "units": trial.suggest_int("units", 1, 64),
            "model": trial.suggest_categorical("model", ["tree", "net"]),
        }
        if values["model"] == "net":
            values["drop"] = [0, 0.25, 0.5][trial.suggest_int("drop", 0, 2)]
        values["late"] = 11 - trial.suggest_float("late", 1, 10, log=True)
        told.append(values)
        return loss(values)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = run(service, study_of(), 40)
    said = capfd.readouterr()
    assert said.out == "" and said.err == ""
    told: list[dict] = []
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(sampler=optuna.samplers.TPESampler(seed=7)).optimize(direct, n_trials=40)
    optuna.logging.set_verbosity(level)
    assert ours == told


def test_a_service_that_comes_back_decides_as_if_it_had_never_been_away(opened, study_of):
    first, second = study_of(name="one"), study_of(name="two")
    steady = opened()
    whole = run(steady, first, 24)
    broken = [values for _ in range(8) for values in run(opened(), second, 3)]
    assert whole == broken


@in_both_databases
def test_trials_under_way_are_known_to_a_service_that_comes_back(opened, study_of):
    def parallel(study, service_of):
        tried, waiting = [], []
        for turn in range(16):
            service = service_of()
            found = service.suggest(study, 2, f"turn {turn}").trials
            tried += [trial.parameters for trial in found]
            waiting += found
            while len(waiting) > 3:
                trial = waiting.pop(0)
                service.complete(service.trial(study, trial.id), Measurement({"loss": loss(trial.parameters)}))
        return tried

    steady = opened()
    assert parallel(study_of(name="one"), lambda: steady) == parallel(study_of(name="two"), opened)


def test_the_study_is_told_what_decided(service, study_of):
    study = study_of()
    assert study.algorithm == f"TPE (Optuna {optuna.__version__})"
    [trial] = service.suggest(study, 1).trials
    assert trial.origin == study.algorithm
    random = study_of(name="random", algorithm="RANDOM_SEARCH")
    assert random.algorithm == f"random (Optuna {optuna.__version__})"
    several = study_of(name="several", metrics=[*LOSS, {"metricId": "size"}])
    assert several.algorithm == f"TPE, several objectives (Optuna {optuna.__version__})"


def test_two_studies_without_a_seed_differ(service, study_of):
    one, other = study_of(name="one", seed=None), study_of(name="two", seed=None)
    assert run(service, one, 1) != run(service, other, 1)


def test_values_lie_in_their_space(service, study_of):
    study = study_of()
    for values in run(service, study, 40):
        assert 1e-4 <= values["rate"] <= 1 and 1 <= values["late"] <= 10
        assert type(values["units"]) is int and 1 <= values["units"] <= 64
        assert ("drop" in values) == (values["model"] == "net")
    recorded = [trial.parameters for trial in service.trials(study)]
    assert all(type(one["units"]) is int and type(one.get("drop", 0.0)) is float for one in recorded)


def bounded(kind, low, high, **more):
    return [{"parameterId": "x", f"{kind}ValueSpec": {"minValue": low, "maxValue": high}, **more}]


@pytest.mark.parametrize(
    "parameters",
    [
        bounded("integer", -(2**53), 2**53),
        bounded("integer", 1, 2**53, scaleType=2),
        bounded("integer", 1, 2**53, scaleType=3),
        bounded("double", 1e-300, 1e300, scaleType=2),
        bounded("double", -1e300, 1e300),
        bounded("double", 1, math.nextafter(1, 2)),
        bounded("double", 2, 2, scaleType=3),
        [{"parameterId": "x", "discreteValueSpec": {"values": [4]}}],
        [{"parameterId": "x", "categoricalValueSpec": {"values": ["", "\n"]}}],
    ],
)
def test_odd_spaces_are_searched_without_a_word(opened, study_of, parameters):
    study = study_of(parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        service = opened()
        for number in range(14):
            if number == 7:
                service = opened()
            [trial] = service.suggest(study, 1).trials
            check_values(service.spec(study), trial.parameters, "trial", partial=False)
            service.complete(trial, Measurement({"loss": number % 5 * 1e300}))


def test_several_objectives(service, study_of):
    study = study_of(SMALL, metrics=[*LOSS, {"metricId": "size"}])
    for _ in range(15):
        [trial] = service.suggest(study, 1).trials
        number = trial.parameters["n"]
        service.complete(trial, Measurement({"loss": number, "size": number}))
    assert {trial.parameters["n"] for trial in service.optimal_trials(study)} == {1, 2, 3}


def test_safe_trials_are_as_many_as_desired(service, study_of):
    """Two thirds of the space are unsafe, and the best of it lies there."""

    def safe_share(name, fraction):
        safety = {"metricId": "heat", "goal": "MINIMIZE", "safetyConfig": {"safetyThreshold": 1, **fraction}}
        study = study_of([{"parameterId": "x", "doubleValueSpec": {"maxValue": 3}}], metrics=[*LOSS, safety], name=name)
        for _ in range(40):
            [trial] = service.suggest(study, 1).trials
            service.complete(trial, Measurement({"loss": -trial.parameters["x"], "heat": trial.parameters["x"]}))
        [best] = service.optimal_trials(study)
        assert best.parameters["x"] <= 1
        return sum(trial.parameters["x"] <= 1 for trial in service.trials(study)) / 40

    aimed = safe_share("aimed", {"desiredMinSafeTrialsFraction": 0.8})
    assert aimed >= 0.7 and aimed > safe_share("free", {})


def test_constraints_of_trials_that_an_earlier_process_gave_are_known(opened, study_of):
    safety = {"metricId": "heat", "goal": "MINIMIZE", "safetyConfig": {"safetyThreshold": 1}}
    study = study_of([{"parameterId": "x", "doubleValueSpec": {"maxValue": 3}}], metrics=[*LOSS, safety])
    given = opened().suggest(study, 30, "before").trials
    later = opened()
    later.suggest(study, 1, "after")
    for trial in given:
        later.complete(trial, Measurement({"loss": -trial.parameters["x"], "heat": trial.parameters["x"]}))
    tried = [later.suggest(study, 1, f"w{i}").trials[0].parameters["x"] for i in range(10)]
    assert sum(x <= 1.2 for x in tried) >= 7, tried


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("safe", [False, True])
def test_infeasible_trials_are_learned_from_without_a_word(opened, study_of, objectives, safe, capfd):
    """What lies above a half does not work: it is not tried again and again."""
    metrics = [{"metricId": f"loss{number}", "goal": "MINIMIZE"} for number in range(objectives)]
    if safe:
        metrics.append({"metricId": "heat", "goal": "MINIMIZE", "safetyConfig": {"safetyThreshold": 2}})
    study = study_of(bounded("double", 0, 1), metrics=metrics)
    tried = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        service = opened()
        for number in range(40):
            if number in (13, 27):
                service = opened()
            [trial] = service.suggest(study, 1).trials
            x = trial.parameters["x"]
            tried.append(x)
            done = Measurement({"loss0": (x - 0.3) ** 2, "loss1": (x - 0.3) ** 2, "heat": x})
            service.complete(trial, done, infeasible_reason="too much" if x > 0.5 else "")
    assert sum(x > 0.6 for x in tried[15:]) <= 6, tried  # 25 trials, all of them where infeasible ones are passed over
    assert capfd.readouterr().err == ""


# --- defaults, contexts, asked-for trials ----------------------------------------------------------------------------


def test_the_first_trial_is_that_of_the_defaults(service, study_of):
    child = {"parameterId": "m", "integerValueSpec": {"maxValue": 9, "defaultValue": 4}}
    parameters = [
        {
            "parameterId": "n",
            "integerValueSpec": {"minValue": 1, "maxValue": 3, "defaultValue": 2},
            "conditionalParameterSpecs": [
                {"parentIntValues": {"values": [2]}, "parameterSpec": child},
                {
                    "parentIntValues": {"values": [3]},
                    "parameterSpec": {"parameterId": "m", "discreteValueSpec": {"values": [7], "defaultValue": 7}},
                },
            ],
        },
        {"parameterId": "x", "doubleValueSpec": {"maxValue": 1}},
    ]
    found = service.suggest(study_of(parameters), 2).trials
    assert (found[0].parameters["n"], found[0].parameters["m"], found[0].origin) == (2, 4, "default")
    assert found[1].origin.startswith("TPE")


def test_contexts_are_kept_and_the_rest_is_decided(service, study_of):
    study = study_of()
    run(service, study, 12)
    contexts = [{"units": 5}, {"model": "net", "drop": 0.25}]
    found = service.suggest(study, 2, "w", contexts).trials
    assert found[0].parameters["units"] == 5 and found[1].parameters["drop"] == 0.25
    again = service.suggest(study, 2, "w", contexts).trials
    assert [one.id for one in again] == [one.id for one in found]
    with pytest.raises(InputRefused, match=r"contexts\[0\].parameters.units: 99"):
        service.suggest(study, 1, "w", [{"units": 99}])
    with pytest.raises(InputRefused, match="there are 2 for 1"):
        service.suggest(study, 1, "w", contexts)


def test_trials_that_somebody_asks_for_are_handed_out_first_and_learned_from(service, study_of):
    study = study_of(SMALL)
    asked = service.create_trial(study, {"n": 3})
    assert (asked.id, asked.state, asked.start_time) == ("1", TrialState.REQUESTED, 0)
    done = service.create_trial(study, {"n": 1}, final=Measurement({"loss": 0.5}))
    assert (done.id, done.state) == ("2", TrialState.SUCCEEDED)
    taken, made = service.suggest(study, 2, "w").trials
    assert (taken.id, taken.state, taken.client_id) == ("1", TrialState.ACTIVE, "w") and taken.start_time
    assert made.id == "3"
    with pytest.raises(InputRefused, match=r"trial\.finalMeasurement: metric 'loss' was not reported"):
        service.create_trial(study, {"n": 1}, final=Measurement({"x": 1}))


# --- a trial's life --------------------------------------------------------------------------------------------------


def test_a_client_is_given_its_trials_again_until_they_are_complete(service, study_of):
    study = study_of()
    first = service.suggest(study, 2, "a").trials
    assert [one.id for one in service.suggest(study, 2, "a").trials] == ["1", "2"]
    assert [one.id for one in service.suggest(study, 3, "a").trials] == ["1", "2", "3"]
    assert [one.id for one in service.suggest(study, 1, "b").trials] == ["4"]
    service.complete(first[0], Measurement({"loss": 1}))
    assert [one.id for one in service.suggest(study, 2, "a").trials] == ["2", "3"]


def test_a_trial_is_measured_and_completed_once(service, study_of):
    study = study_of(measurementSelectionType="BEST_MEASUREMENT")
    [trial] = service.suggest(study, 1).trials
    service.add_measurements(trial, [Measurement({"loss": 3}, 1), Measurement({"loss": 1}, 2)])
    service.add_measurements(trial, [Measurement({"loss": 2}, 3)])
    done = service.complete(trial)
    assert done.state is TrialState.SUCCEEDED and done.final == Measurement({"loss": 1}, 2) and done.end_time
    with pytest.raises(WrongState):
        service.complete(trial, Measurement({"loss": 9}))
    with pytest.raises(WrongState):
        service.add_measurements(trial, [Measurement({"loss": 9}, 9)])
    assert service.trial(study, "1") == done


@pytest.mark.parametrize(
    ("final", "words"),
    [
        (None, "metric 'loss' was not reported"),
        (Measurement({"loss": math.nan}), "metric 'loss' is nan"),
        (Measurement({"other": 1}), "metric 'loss' was not reported"),
    ],
)
def test_a_trial_without_a_usable_measurement_is_infeasible(service, study_of, final, words):
    study = study_of()
    [trial] = service.suggest(study, 1).trials
    done = service.complete(trial, final)
    assert (done.state, done.infeasible_reason, done.final) == (TrialState.INFEASIBLE, words, None)
    assert service.optimal_trials(study) == []
    run(service, study, 12)


def test_what_is_not_finite_is_recorded_as_it_was_measured(service, study_of):
    [trial] = service.suggest(study_of(), 1).trials
    service.add_measurements(trial, [Measurement({"loss": math.inf, "other": math.nan}, 1)])
    found = service.trial(service.find(trial.study), "1").measurements[0].metrics
    assert found["loss"] == math.inf and math.isnan(found["other"])


def test_early_stopping_is_recorded(service, study_of):
    study = study_of(medianAutomatedStoppingSpec={})
    for level in (1, 2, 3):
        [trial] = service.suggest(study, 1).trials
        service.add_measurements(trial, [Measurement({"loss": level}, 1)])
        service.complete(trial)
    [poor] = service.suggest(study, 1).trials
    assert service.check_early_stopping(poor) is False
    service.add_measurements(poor, [Measurement({"loss": 5}, 1)])
    assert service.check_early_stopping(poor) is True
    stopping = service.trial(study, poor.id)
    assert stopping.state is TrialState.STOPPING and "median of 3 trials" in stopping.stopped
    assert service.check_early_stopping(poor) is True
    assert service.complete(poor).final.metrics == {"loss": 5}


def test_deleted_trials_are_forgotten_and_their_numbers_not_given_again(opened, study_of):
    study, other = study_of(), opened()
    run(other, study, 3)
    service = opened()
    service.delete_trial(service.trial(study, "3"))
    assert [one.id for one in other.suggest(study, 1).trials] == ["4"]
    with pytest.raises(NotFound):
        other.trial(study, "3")


# --- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["GRID_SEARCH", "RANDOM_SEARCH", "ALGORITHM_UNSPECIFIED"])
def test_a_space_that_is_exhausted_ends_the_study(opened, study_of, algorithm):
    noise = {} if algorithm == "GRID_SEARCH" else {"observationNoise": "LOW"}
    study = study_of(SMALL, algorithm=algorithm, **noise)
    first = opened().suggest(study, 2, "a").trials
    found = opened().suggest(study, 2, "b")
    assert sorted(one.parameters["n"] for one in (*first, *found.trials)) == [1, 2, 3]
    assert found.state is StudyState.COMPLETED and found.reason == "every combination has been tried"
    assert opened().suggest(study, 1, "c").trials == ()
    assert opened().suggest(study, 2, "a").trials == first  # what runs may be completed
    with pytest.raises(WrongState, match="COMPLETED"):
        opened().create_trial(study, {"n": 1})


def test_a_grid_with_a_context_does_not_end_the_study(service, study_of):
    study = study_of(SMALL, algorithm="GRID_SEARCH")
    assert [one.parameters["n"] for one in service.suggest(study, 1, "a", [{"n": 2}]).trials] == [2]
    with pytest.raises(InputRefused, match="every combination with these values"):
        service.suggest(study, 1, "b", [{"n": 2}])
    assert [one.parameters["n"] for one in service.suggest(study, 2, "c").trials] == [1, 3]


def test_the_number_of_trials_ends_a_study_and_stops_what_runs(opened, study_of):
    study = study_of(studyStoppingConfig={"maxNumTrials": 4, "shouldStopAsap": True})
    service = opened()
    [one] = service.suggest(study, 1, "a").trials
    assert len(service.suggest(study, 9, "b").trials) == 3
    opened().add_measurements(one, [Measurement({"loss": 1}, 1)])  # which `service` has not seen
    found = service.suggest(study, 1, "c")
    assert (found.trials, found.state) == ((), StudyState.COMPLETED) and "maxNumTrials" in found.reason
    assert {trial.state for trial in service.trials(study)} == {TrialState.STOPPING}
    assert service.complete(one).state is TrialState.SUCCEEDED


def test_minima_keep_a_study_going(service, study_of):
    study = study_of(studyStoppingConfig={"maximumRuntimeConstraint": {"maxDuration": "0s"}, "minNumTrials": 2})
    run(service, study, 2)
    found = service.suggest(study, 1)
    assert found.trials == () and "maximumRuntimeConstraint" in found.reason


def test_no_progress_ends_a_study(service, study_of):
    study = study_of(studyStoppingConfig={"maxNumTrialsNoProgress": 3})
    values = iter([5, 4, 6, 6, 3, 7, 7, 7])
    run(service, study, 8, lambda _: next(values))
    assert "the last 3 trials were no better" in service.suggest(study, 1).reason


def test_somebody_ends_a_study(service, study_of):
    study = service.end(study_of(), "it is enough")
    assert (study.state, study.reason) == (StudyState.COMPLETED, "it is enough")
    assert service.end(study, "again").reason == "it is enough"
    assert service.suggest(study, 1).trials == ()


# --- records ---------------------------------------------------------------------------------------------------------


def test_a_name_is_one_studys(service, study_of):
    study = study_of()
    assert study_of().id == study.id
    with pytest.raises(AlreadyExists):
        study_of(SMALL)
    assert service.lookup("tuning").id == service.find("tuning").id == service.find(study.id).id == study.id
    with pytest.raises(NotFound):
        service.lookup("tuning", project="elsewhere")


def test_a_request_makes_one_study(service):
    message = {"metrics": LOSS, "parameters": SMALL}
    one = service.create(Study(message, display_name="job", request_id="r1"))
    assert service.create(Study(message, display_name="job", request_id="r1")).id == one.id
    assert service.create(Study(message, display_name="job", request_id="r2")).id != one.id


@in_both_databases
def test_a_deleted_study_leaves_nothing(service, study_of):
    study = study_of()
    run(service, study, 3)
    service.delete(study)
    for kind in ("study", "study.trial", "study.course"):
        assert service.records.count_documents(kind) == 0
    for asked in (lambda: service.get(study.id), lambda: service.suggest(study, 1), lambda: service.delete(study)):
        with pytest.raises(NotFound):
            asked()
    assert study_of().id != study.id


@in_both_databases
def test_processes_that_share_a_study_record_each_trial_once(opened, study_of):
    study = study_of()
    failures = []

    def work(client):
        try:
            service = opened()
            for _ in range(8):
                [trial] = service.suggest(study, 1, client).trials
                service.add_measurements(trial, [Measurement({"loss": loss(trial.parameters)}, 1)])
                service.complete(trial)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"client {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    trials = opened().trials(study)
    assert [trial.id for trial in trials] == [str(number) for number in range(1, 33)]
    assert {trial.state for trial in trials} == {TrialState.SUCCEEDED}
    assert len({str(trial.parameters) for trial in trials}) == 32
    assert sorted(sum(t.client_id == f"client {n}" for t in trials) for n in range(4)) == [8] * 4


@in_both_databases
def test_of_two_that_complete_a_trial_one_does(opened, study_of):
    study = study_of()
    outcomes: list[str] = []
    for trial in opened().suggest(study, 10).trials:
        barrier = threading.Barrier(2)

        def complete(value, trial=trial, barrier=barrier):
            service = opened()
            barrier.wait()
            try:
                service.complete(trial, Measurement({"loss": value}))
                outcomes.append("done")
            except WrongState:
                outcomes.append("late")

        threads = [threading.Thread(target=complete, args=(value,)) for value in (1.0, 2.0)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(outcomes) == ["done"] * 10 + ["late"] * 10


def test_optuna_is_imported_by_a_decision_alone(tmp_path):
    code = """
import sys
from cairn.wiring import open_cairn
from cairn.tuning.types import Measurement, Study
cairn = open_cairn(sys.argv[1])
spec = {"metrics": [{"metricId": "loss"}], "parameters": [{"parameterId": "x", "doubleValueSpec": {"maxValue": 1}}]}
study = cairn.studies.create(Study(spec, display_name="a"))
done = cairn.studies.create_trial(study, {"x": 0.5}, final=Measurement({"loss": 1}))
assert cairn.studies.optimal_trials(study) == [done]
assert not {"optuna", "numpy"} & set(sys.modules)
cairn.studies.suggest(study, 1)
assert "optuna" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "home")], check=True, timeout=60)
