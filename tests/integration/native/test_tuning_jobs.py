"""Tuning jobs run by the engine: what trials are told, what they report, and how they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tuned import SETTINGS, Tuned, launched, message

from cairn.domain.runs import RunKind, Submission
from cairn.domain.states import RunState
from cairn.errors import CairnError
from cairn.jobs.tuning_jobs import plan_of, trial_message, value_text
from cairn.spec.load import load_text
from cairn.tuning.types import StudyState, TrialState
from cairn.wiring import Cairn, open_cairn


@pytest.fixture
def cairn(cairn_home: Path) -> Iterator[Cairn]:
    with open_cairn(str(cairn_home)) as opened:
        yield opened


def test_trials_are_jobs_that_are_told_what_to_try(cairn: Cairn, tmp_path: Path) -> None:
    base = tmp_path / "out"
    program = """
found = {name: value for name, value in os.environ.items() if name[:8] in ("CLOUD_ML", "AIP_MODE")}
print(json.dumps({"args": sys.argv[1:], "env": found}))
report((float(given["x"]) - 1) ** 2, 1)
"""
    study = {
        "parameters": [
            {"parameterId": "x", "doubleValueSpec": {"minValue": -2, "maxValue": 2}},
            {"parameterId": "units", "integerValueSpec": {"minValue": "4", "maxValue": "8"}},
            {"parameterId": "batch", "discreteValueSpec": {"values": [16.0, 32.0]}},
            {"parameterId": "act", "categoricalValueSpec": {"values": ["relu", "tanh"]}},
        ]
    }
    directory = {"baseOutputDirectory": {"outputUriPrefix": str(base)}}
    tuned = Tuned(
        cairn, message(program, studySpec=study, trialJobSpec=directory, maxTrialCount="2", labels={"a": "b"})
    )
    assert tuned.ended().state is RunState.SUCCEEDED, tuned.log
    study_of = cairn.studies.get(tuned.job_id)
    assert (study_of.state, study_of.display_name) == (StudyState.COMPLETED, "tuned")
    assert [trial.state for trial in tuned.trials] == [TrialState.SUCCEEDED] * 2
    for job in tuned.jobs:
        assert (job.kind, job.parent, job.labels) == (RunKind.TRIAL, tuned.uid, {"a": "b"})
        (trial,) = [one for one in tuned.trials if one.custom_job.endswith(job.job_id)]
        (attempt,) = cairn.records.attempts(job.uid)
        said = json.loads(Path(attempt.directory, "stdout.log").read_text())
        assert said["args"] == [f"--{name}={value_text(value)}" for name, value in trial.parameters.items()]
        assert said["env"]["CLOUD_ML_TRIAL_ID"] == trial.id
        assert said["env"]["CLOUD_ML_JOB_ID"] == job.job_id
        assert said["env"]["AIP_MODEL_DIR"] == f"{base}/{trial.id}/model/"
    assert {trial.parameters["batch"] for trial in tuned.trials} <= {16.0, 32.0}
    assert "--batch=16.0" not in tuned.log
    assert [run.uid for run in cairn.records.page_runs()[0]] == []


def test_the_same_tuning_job_tries_the_same(cairn: Cairn) -> None:
    tried = []
    for _ in range(2):
        tuned = Tuned(cairn, message("report(float(given['x']), 1)", maxTrialCount=2))
        assert tuned.ended().state is RunState.SUCCEEDED
        tried.append([trial.parameters for trial in tuned.trials])
    assert tried[0] == tried[1]


def test_what_is_reported_is_measured_while_it_trains(cairn: Cairn) -> None:
    program = """
for step in range(1, 4):
    report(1 / step, step, other="9")
    time.sleep(0.4)
"""
    tuned = Tuned(cairn, message(program, maxTrialCount=1, parallelTrialCount=1))
    tuned.until(lambda: bool(tuned.trials) and len(tuned.trials[0].measurements) == 1)
    assert tuned.trials[0].state is TrialState.ACTIVE
    assert tuned.ended().state is RunState.SUCCEEDED
    (trial,) = tuned.trials
    assert [(one.step, one.metrics) for one in trial.measurements] == [
        (1, {"loss": 1.0}),
        (2, {"loss": 0.5}),
        (3, {"loss": 1 / 3}),
    ]
    assert trial.final is not None and trial.final.step == 3
    assert 0 < trial.measurements[0].elapsed < trial.measurements[1].elapsed < 60e6


def test_an_early_stop_ends_the_trials_process(cairn: Cairn, tmp_path: Path) -> None:
    program = f"""
open({str(tmp_path)!r} + "/" + trial, "w").write(str(os.getpid()))
for step in range(1, 200):
    report(5.0 if trial == "5" else 1.0, step)
    if trial != "5" and step == 3:
        break
    time.sleep(0.05)
"""
    rule = {"medianAutomatedStoppingSpec": {}}
    tuned = Tuned(cairn, message(program, studySpec=rule, maxTrialCount=5, parallelTrialCount=1))
    assert tuned.ended().state is RunState.SUCCEEDED, tuned.log
    last = tuned.trials[-1]
    assert (last.id, last.state, last.final.metrics if last.final else None) == (
        "5",
        TrialState.SUCCEEDED,
        {"loss": 5.0},
    )
    assert "trial 5 is stopped early" in tuned.log
    assert last.measurements[-1].step < 100
    (job,) = [job for job in tuned.jobs if last.custom_job.endswith(job.job_id)]
    assert job.state is RunState.CANCELLED
    assert not Path("/proc", (tmp_path / "5").read_text()).exists()


def test_somebody_stops_a_trial(cairn: Cairn) -> None:
    tuned = Tuned(cairn, message("report(1, 1); time.sleep(600)", maxTrialCount=1, parallelTrialCount=1))
    tuned.until(lambda: bool(tuned.trials) and bool(tuned.trials[0].measurements))
    cairn.studies.stop(tuned.trials[0])
    assert tuned.ended().state is RunState.SUCCEEDED
    assert tuned.trials[0].final is not None


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("print('no such layer', file=sys.stderr); sys.exit(3)", "no such layer"),
        ("pass", "'loss' was not reported"),
        ("report(float('nan'), 1)", "metric 'loss' is nan"),
    ],
)
def test_trials_that_come_to_nothing_are_infeasible(cairn: Cairn, program: str, reason: str) -> None:
    """Of the others, the job is none the worse."""
    mixed = f"if trial == '2':\n    {program}\nelse:\n    report(1.0, 1)\n"
    tuned = Tuned(cairn, message(mixed))
    assert tuned.ended().state is RunState.SUCCEEDED, tuned.log
    states = {trial.id: trial.state for trial in tuned.trials}
    assert states == {"1": "SUCCEEDED", "2": "INFEASIBLE", "3": "SUCCEEDED", "4": "SUCCEEDED"}
    assert reason in tuned.trials[1].infeasible_reason


def test_too_many_failures_end_the_job_and_its_running_trials(cairn: Cairn) -> None:
    program = "time.sleep(600) if trial == '1' else sys.exit(3)"
    tuned = Tuned(cairn, message(program, maxTrialCount=8, maxFailedTrialCount=2))
    ended = tuned.ended()
    assert ended.state is RunState.FAILED
    assert ended.error is not None and "2 trials failed, and maxFailedTrialCount is 2" in ended.error.message
    assert {job.state for job in tuned.jobs} == {RunState.FAILED, RunState.CANCELLED}
    assert len(tuned.trials) == 3
    assert cairn.studies.get(tuned.job_id).state is StudyState.INACTIVE


def test_when_the_first_trials_all_fail_the_rest_are_not_tried(cairn: Cairn) -> None:
    tuned = Tuned(cairn, message("sys.exit(3)", maxTrialCount=20))
    ended = tuned.ended()
    assert ended.state is RunState.FAILED
    assert ended.error is not None and ended.error.message.startswith("the first 3 trials failed")
    assert len(tuned.trials) <= 4


def test_a_cancelled_tuning_job_ends_every_trial(cairn: Cairn) -> None:
    tuned = Tuned(cairn, message("time.sleep(600)"))
    tuned.until(lambda: len([job for job in tuned.jobs if cairn.records.attempts(job.uid)]) == 2)
    tuned.engine.cancel(tuned.uid)
    assert tuned.ended().state is RunState.CANCELLED
    assert {job.state for job in tuned.jobs} == {RunState.CANCELLED}
    assert {trial.state for trial in tuned.trials} == {TrialState.INFEASIBLE}
    study = cairn.studies.get(tuned.job_id)
    assert (study.state, study.reason) == (StudyState.INACTIVE, "its tuning job was cancelled")
    assert cairn.studies.suggest(study, 1, "somebody").trials == ()
    study = cairn.studies.take_up(study)  # as the job does when it is taken up again
    assert (study.state, study.reason) == (StudyState.ACTIVE, "")
    assert len(cairn.studies.suggest(study, 1, "somebody").trials) == 1


def test_a_study_that_ends_by_itself(cairn: Cairn) -> None:
    rule = {"studyStoppingConfig": {"maxNumTrials": 3}}
    tuned = Tuned(cairn, message("report(1.0, 1)", studySpec=rule, maxTrialCount=10))
    assert tuned.ended().state is RunState.SUCCEEDED
    assert len(tuned.trials) == 3


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"maxTrialCount": 0}, "maxTrialCount"),
        ({"parallelTrialCount": "two"}, "parallelTrialCount"),
        ({"maxFailedTrialCount": -1}, "maxFailedTrialCount"),
        ({"studySpec": {"metrics": []}}, "studySpec"),
        ({"trialJobSpec": {"workerPoolSpecs": [{"containerSpec": {"imageUri": "other/t:1"}}]}}, "trialJobSpec"),
        ({"trialJobSpec": {"workerPoolSpecs": "x"}}, "trialJobSpec"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_recorded(
    cairn: Cairn, change: dict[str, Any], place: str
) -> None:
    with pytest.raises(CairnError) as refused:
        cairn.tuning_jobs.create(message("pass", **change), settings=SETTINGS)
    assert refused.value.exit_status == 2
    assert place in refused.value.place
    assert cairn.records.page_runs(kinds=tuple(RunKind))[0] == []


def test_the_same_request_makes_one_job(cairn: Cairn) -> None:
    one, two = (cairn.tuning_jobs.create(message("pass"), settings=SETTINGS, request_id="r") for _ in range(2))
    assert (one.new, two.new, one.run.uid) == (True, False, two.run.uid)


def test_a_trials_message() -> None:
    said = message("pass", trialJobSpec={"baseOutputDirectory": {"outputUriPrefix": "gs://b/o/"}})
    said["trialJobSpec"]["workerPoolSpecs"].append({"pythonPackageSpec": {"pythonModule": "m", "args": ["-v"]}})
    made = trial_message(plan_of(said), "7", {"lr": 0.5, "n": 3, "batch": 16.0, "act": "relu"})["jobSpec"]
    words = ["--lr=0.5", "--n=3", "--batch=16", "--act=relu"]
    assert made["workerPoolSpecs"][0]["containerSpec"]["args"] == words
    assert made["workerPoolSpecs"][1]["pythonPackageSpec"]["args"] == ["-v", *words]
    assert made["baseOutputDirectory"] == {"outputUriPrefix": "gs://b/o/7"}
    assert "args" not in said["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"], "the plan stays as it is"


# --- as a step -------------------------------------------------------------------------------------------------------


def test_a_tuning_job_that_a_step_launches_and_one_that_waits_for_it(cairn: Cairn) -> None:
    payload = message("report(float(given['x']), 1)", maxTrialCount=2)
    metrics = ("--execution_metrics", "{{$.outputs.parameters['metrics'].output_file}}")
    text = launched(payload, "HyperparameterTuningJobWithMetrics", *metrics)
    run = cairn.runs.submit(load_text(text, origin="p"), Submission(settings=SETTINGS))
    engine = cairn.engine()
    cairn.runs.take(engine, run)
    engine.run_until_done()
    ended = cairn.records.run(run.uid)
    assert ended.state is RunState.SUCCEEDED, ended.error
    tasks = {task.name: task.outputs.parameters for task in cairn.records.tasks(run.uid)}
    (made,) = json.loads(str(tasks["launch"]["gcp_resources"]))["resources"]
    assert made["resourceType"] == "HyperparameterTuningJobWithMetrics"
    assert "/locations/local/hyperparameterTuningJobs/" in made["resourceUri"]
    assert tasks["wait"] == {"gcp_resources": tasks["launch"]["gcp_resources"]}
    assert tasks["launch"]["metrics"] == {"success_trials_count": 2, "total_trials_count": 2}
    (job,) = cairn.records.page_runs(kinds=(RunKind.TUNING_JOB,))[0]
    assert (job.parent, made["resourceUri"].rpartition("/")[2]) == (run.uid, job.job_id)


def test_what_a_step_would_launch_is_checked_before_the_run(cairn: Cairn) -> None:
    broken = message("pass", studySpec={"metrics": [{"metricId": "loss", "goal": "SIDEWAYS"}]})
    with pytest.raises(CairnError, match="SIDEWAYS") as refused:
        cairn.runs.submit(load_text(launched(broken), origin="p"), Submission(settings=SETTINGS))
    assert refused.value.place.startswith("launch: studySpec.metrics")


DATAFLOW = "https://dataflow.googleapis.com/v1b3/projects/p/locations/l/jobs/j"
GONE = "https://l-aiplatform.googleapis.com/v1/projects/p/locations/l/customJobs/1"


@pytest.mark.parametrize(
    ("resources", "says"),
    [
        ({"resources": []}, "name nothing"),
        ({"resources": [{"resourceType": "DataflowJob", "resourceUri": DATAFLOW}]}, "DataflowJob"),
        ({"resources": [{"resourceType": "CustomJob", "resourceUri": GONE}]}, "which there is not"),
        ("nonsense", "is no gcp_resources"),
    ],
)
def test_what_cannot_be_waited_for_fails_in_words(cairn: Cairn, resources: Any, says: str) -> None:
    run = cairn.runs.submit(load_text(launched(resources, "Wait"), origin="p"), Submission(settings=SETTINGS))
    engine = cairn.engine()
    cairn.runs.take(engine, run)
    engine.run_until_done()
    ended = cairn.records.run(run.uid)
    assert ended.state is RunState.FAILED
    assert ended.error is not None and says in ended.error.message
