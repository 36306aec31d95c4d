"""The engine of a tuning job is killed while its trials train: nothing is left, no trial is lost or recorded twice."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from harness import Place, processes_of, wait_for

from cairn.domain.states import RunState
from cairn.tuning.types import Trial, TrialState

TRIALS = 6
ALONE = {"CAIRN_SERVER_STEP_CLIENTS": "untouched"}  # no background host, which would go on with it by itself
PROGRAM = """
import json, os, sys, time
given = dict(word[2:].split("=", 1) for word in sys.argv[1:] if word.startswith("--"))
trial, x = os.environ["CLOUD_ML_TRIAL_ID"], float(given["x"])
with open(given["trace"], "a") as file:
    file.write(trial + "\\n")
path = os.environ["CLOUD_ML_HP_METRIC_FILE"]
for step in range(1, 5):
    time.sleep(float(given["pause"]))
    with open(path, "a") as file:
        file.write(json.dumps({"timestamp": time.time(), "trial": trial, "loss": str((x - 1) ** 2 + 1 / step),
                               "global_step": str(step), "checkpoint_path": ""}) + "\\n")
"""


def tuned(place: Place, trace: Path, pause: float, image: str = "example.com/trainer:1") -> Path:
    """A pipeline of one step, as HyperparameterTuningJobRunOp compiles to."""
    container = {
        "image_uri": image,
        "command": ["python3", "-c", PROGRAM],
        "args": [f"--trace={trace}", f"--pause={pause}"],
    }
    payload = {
        "display_name": "tuned",
        "study_spec": {
            "metrics": [{"metric_id": "loss", "goal": "MINIMIZE"}],
            "parameters": [{"parameter_id": "x", "double_value_spec": {"min_value": -2.0, "max_value": 2.0}}],
        },
        "max_trial_count": TRIALS,
        "parallel_trial_count": 2,
        "trial_job_spec": {"worker_pool_specs": [{"container_spec": container, "replica_count": 1}]},
    }
    words = ["--type", "HyperparameterTuningJob", "--payload", json.dumps(payload), "--project", "default"]
    words += ["--location", "local", "--gcp_resources", "{{$.outputs.parameters['gcp_resources'].output_file}}"]
    module = "google_cloud_pipeline_components.container.v1.hyperparameter_tuning_job.launcher"
    launcher = {"image": "gcpc", "command": ["python3", "-u", "-m", module], "args": words}
    outputs = {"parameters": {"gcp_resources": {"parameterType": "STRING"}}}
    document = {
        "pipelineInfo": {"name": "tuned"},
        "schemaVersion": "2.1.0",
        "root": {"dag": {"tasks": {"tune": {"taskInfo": {"name": "tune"}, "componentRef": {"name": "comp-tune"}}}}},
        "components": {"comp-tune": {"executorLabel": "exec-tune", "outputDefinitions": outputs}},
        "deploymentSpec": {"executors": {"exec-tune": {"container": launcher}}},
    }
    file = place.root / "tuned.json"
    file.write_text(json.dumps(document))
    return file


def started(trace: Path) -> Counter[str]:
    return Counter(trace.read_text().split()) if trace.exists() else Counter()


def trials(place: Place) -> list[Trial]:
    with place.open() as cairn:
        (study,), _ = cairn.studies.page()
        return cairn.studies.trials(study)


def measured(place: Place) -> int:
    """Trials that have reported something."""
    with place.open() as cairn:
        found, _ = cairn.studies.page()
        return sum(bool(trial.measurements) for study in found for trial in cairn.studies.trials(study))


@pytest.mark.parametrize("after", [1, 4])
def test_a_killed_tuning_job_goes_on_where_it_stood(tmp_path: Path, after: int) -> None:
    place = Place(tmp_path / "place", ALONE)
    trace = place.root / "trials.trace"
    running = place.start("run", str(tuned(place, trace, 0.15)), "--image", "*=host", "--json")
    wait_for(lambda: sum(started(trace).values()) >= after, 60, "trials")
    running.send(signal.SIGKILL)
    assert running.wait().killed
    before = {trial.id: trial for trial in trials(place)}
    ended = place.call("runs", "resume", "latest", "--json", mark=str(place.root))
    assert ended.status == 0, str(ended)

    after_all = trials(place)
    assert [trial.id for trial in after_all] == [str(number + 1) for number in range(TRIALS)]
    assert {trial.state for trial in after_all} == {TrialState.SUCCEEDED}
    assert {trial.id: trial.parameters for trial in after_all if trial.id in before} == {
        trial.id: trial.parameters for trial in before.values()
    }
    for trial in after_all:
        assert [one.step for one in trial.measurements] == [1, 2, 3, 4], "each report once"
        if trial.id in before and before[trial.id].state.terminal:
            assert trial == before[trial.id], "what had ended is as it was"
    assert started(trace) == Counter({trial.id: 1 for trial in after_all}), "trials that ran were adopted"
    check_jobs(place)


# The pipeline's run is the first that is recorded and started, the tuning job's the second, trials' the others.
@pytest.mark.parametrize(
    "point",
    [
        "before:run.pending:2",
        "after:run.pending:2",
        "after:attempt.running:1",
        "started:attempt:2",
        "after:run.pending:3",
        "before:run.succeeded:1",
        "after:run.succeeded:2",
        "before:run.succeeded:7",
    ],
)
def test_wherever_the_engine_dies_each_trial_is_made_once(tmp_path: Path, point: str) -> None:
    place = Place(tmp_path / "place", ALONE)
    trace = place.root / "trials.trace"
    file = tuned(place, trace, 0.0)
    died = place.call("run", str(file), "--image", "*=host", FAULT=point)
    assert died.killed, str(died)
    with place.open() as cairn:
        (run,) = cairn.records.page_runs()[0]
        open_still = not run.state.terminal
    if open_still:
        ended = place.call("runs", "resume", "latest", "--json", mark=str(place.root))
        assert ended.status == 0, str(ended)
    found = trials(place)
    assert [trial.id for trial in found] == [str(number + 1) for number in range(TRIALS)]
    assert {trial.state for trial in found} == {TrialState.SUCCEEDED}
    assert started(trace) == Counter({trial.id: 1 for trial in found})
    check_jobs(place)


def test_with_containers_no_container_is_left(tmp_path: Path, container_engine: Any) -> None:
    place = Place(tmp_path / "place", {**ALONE, "DOCKER_HOST": f"unix://{container_engine.socket}"})
    file = tuned(place, Path("/dev/null"), 0.15, container_engine.image)
    running = place.start("run", str(file), "--executor", "docker", "--json")
    wait_for(lambda: running.alive and measured(place) >= 2, 60, "trials in containers")
    running.send(signal.SIGKILL)
    assert running.wait().killed
    assert container_engine.api.list(f"cairn.home={place.home}"), "trials go on under their waiters"
    before = {trial.id: trial for trial in trials(place)}
    ended = place.call("runs", "resume", "latest", "--json", mark=str(place.root))
    assert ended.status == 0, str(ended)

    found = trials(place)
    assert [trial.id for trial in found] == [str(number + 1) for number in range(TRIALS)]
    assert {trial.state for trial in found} == {TrialState.SUCCEEDED}
    for trial in found:
        assert [one.step for one in trial.measurements] == [1, 2, 3, 4], "each report once"
        if trial.id in before:
            assert trial.parameters == before[trial.id].parameters
    with place.open() as cairn:
        attempts = [attempt for job in cairn.jobs.page()[0] for attempt in cairn.records.attempts(job.uid)]
    assert [attempt.executor for attempt in attempts] == ["docker"] * TRIALS, "trials that ran were adopted"
    check_jobs(place)
    assert container_engine.api.list(f"cairn.home={place.home}") == []


def test_a_killed_tuning_job_can_be_cancelled(tmp_path: Path) -> None:
    place = Place(tmp_path / "place", ALONE)
    trace = place.root / "trials.trace"
    running = place.start("run", str(tuned(place, trace, 60)), "--image", "*=host")
    wait_for(lambda: sum(started(trace).values()) >= 2, 60, "trials")
    running.send(signal.SIGKILL)
    running.wait()
    place.call("runs", "cancel", "latest")
    wait_for(lambda: not processes_of(str(place.root)), 30, "its trials end")
    with place.open() as cairn:
        assert not list(cairn.records.open_runs())
    assert {trial.state for trial in trials(place)} == {TrialState.INFEASIBLE}


def check_jobs(place: Place) -> None:
    """One job for each trial, all ended, and no process of theirs."""
    with place.open() as cairn:
        jobs = cairn.jobs.page()[0]
        assert len(jobs) == TRIALS
        assert {job.state for job in jobs} == {RunState.SUCCEEDED}
        assert not list(cairn.records.open_runs())
    wait_for(lambda: not processes_of(str(place.root)), 10, "processes end")
