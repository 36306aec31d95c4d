"""HyperparameterTuningJob, as its users write it."""

import os
from pathlib import Path

from connection import BUCKET, connect, passed, raises, unique, until
from google.api_core import exceptions
from google.cloud import aiplatform, storage
from google.cloud.aiplatform import hyperparameter_tuning as hpt
from google.cloud.aiplatform import jobs
from google.cloud.aiplatform_v1.types import JobState, StudySpec, Trial

jobs._JOB_WAIT_TIME = 0.2  # only how long the client sleeps between two looks
connect()
suite = unique("tuned")
PREBUILT = "us-docker.pkg.dev/vertex-ai/training/sklearn-cpu.1-0:latest"
STAGING = BUCKET + "/staging"
try:
    storage.Client().create_bucket(BUCKET[5:])
except exceptions.Conflict:
    pass


def job_of(name, script="tuned_task.py", args=(), **more):
    custom = aiplatform.CustomJob.from_local_script(
        name, str(Path(__file__).with_name(script)), PREBUILT, args=list(args), staging_bucket=STAGING,
        base_output_dir=f"{BUCKET}/{suite}/{name}",
    )  # fmt: skip
    options = {
        "metric_spec": {"score": "maximize"},
        "parameter_spec": {
            "rate": hpt.DoubleParameterSpec(min=0.001, max=1, scale="log"),
            "layers": hpt.IntegerParameterSpec(min=1, max=3, scale="linear"),
            "activation": hpt.CategoricalParameterSpec(values=["relu", "tanh"]),
            "batch": hpt.DiscreteParameterSpec(values=[16, 32], scale="linear"),
        },
        "max_trial_count": 4,
        "parallel_trial_count": 2,
    }
    return aiplatform.HyperparameterTuningJob(
        display_name=f"{name} {suite}", custom_job=custom, labels={"suite": suite}, **{**options, **more}
    )


tuned = job_of("run")
tuned.run(timeout=100)
assert tuned.state == JobState.JOB_STATE_SUCCEEDED, tuned.state
assert len(tuned.trials) == 4
for trial in tuned.trials:
    assert trial.state == Trial.State.SUCCEEDED, trial
    values = {parameter.parameter_id: parameter.value for parameter in trial.parameters}
    assert set(values) == {"rate", "layers", "activation", "batch"}, values
    assert 0.001 <= values["rate"] <= 1 and values["batch"] in (16, 32) and values["activation"] in ("relu", "tanh")
    measured = {metric.metric_id: metric.value for metric in trial.final_measurement.metrics}
    assert abs(measured["score"] - values["rate"] * values["layers"]) < 1e-9, (measured, values)
    assert aiplatform.CustomJob.get(trial.custom_job).state == JobState.JOB_STATE_SUCCEEDED
best = max(tuned.trials, key=lambda trial: trial.final_measurement.metrics[0].value)
assert best.final_measurement.metrics[0].value > 0
got = aiplatform.HyperparameterTuningJob.get(tuned.resource_name)
assert [trial.id for trial in got.trials] == [trial.id for trial in tuned.trials]
assert got.gca_resource.study_spec.metrics[0].goal == StudySpec.MetricSpec.GoalType.MAXIMIZE
passed("run, trials, get")

searched = job_of("grid", search_algorithm="grid", max_trial_count=2, metric_spec={"score": "minimize"},
                  parameter_spec={"layers": hpt.IntegerParameterSpec(min=2, max=3, scale="linear")},
                  measurement_selection="last")  # fmt: skip
searched.run(sync=False)
searched.wait_for_resource_creation()
searched.wait()
assert sorted(trial.parameters[0].value for trial in searched.trials) == [2, 3]
passed("grid search, run in the background")

failing = job_of("failing", args=["--fail"], max_trial_count=2, max_failed_trial_count=1)
with raises(RuntimeError, "Job failed"):
    failing.run()
assert {trial.state for trial in failing.trials} == {Trial.State.INFEASIBLE}
passed("failing trials")

long = job_of("long", args=["--sleep"])
long.run(sync=False)
long.wait_for_resource_creation()
until(lambda: long.state == JobState.JOB_STATE_RUNNING)
long.cancel()
until(lambda: long.state == JobState.JOB_STATE_CANCELLED)
listed = aiplatform.HyperparameterTuningJob.list(filter=f'labels.suite="{suite}" AND state="JOB_STATE_SUCCEEDED"')
assert {each.display_name.split()[0] for each in listed} == {"run", "grid"}
searched.delete()
with raises(exceptions.NotFound):
    aiplatform.HyperparameterTuningJob.get(searched.resource_name)
passed("cancel, list, delete")
os._exit(0)  # the client's thread of the cancelled job is not waited for
