"""Experiments: what was logged is what the data frame says."""

import os
import tempfile

import pandas
from connection import connect, passed, unique, until
from google.cloud import aiplatform
from kfp import compiler
from pipelines import arithmetic

name = unique("experiment")
connect(experiment=name, experiment_tensorboard=False)

logged = {}
for number in range(3):
    run = f"run-{number}"
    aiplatform.start_run(run)
    params = {"lr": 0.1 * (number + 1), "optimizer": "sgd", "layers": number}
    aiplatform.log_params(params)
    aiplatform.log_metrics({"accuracy": 0.5})
    metrics = {"accuracy": 0.9 + number / 100, "loss": 1.0 / (number + 1)}
    aiplatform.log_metrics(metrics)
    if number == 2:
        aiplatform.log_classification_metrics(
            labels=["cat", "dog"],
            matrix=[[9, 1], [2, 8]],
            fpr=[0.0, 0.5, 1.0],
            tpr=[0.0, 0.8, 1.0],
            threshold=[1.0, 0.5, 0.0],
            display_name="confusion",
        )
        data = aiplatform.Artifact.create(schema_title="system.Dataset", uri="gs://somewhere/data")
        with aiplatform.start_execution(schema_title="system.ContainerExecution", display_name="train") as execution:
            execution.assign_input_artifacts([data])
    aiplatform.end_run()
    logged[run] = (params, metrics)

# All of it, and as what: the API knows numbers as doubles.
expected = pandas.DataFrame(
    [
        {
            "experiment_name": name,
            "run_name": run,
            "run_type": "system.ExperimentRun",
            "state": "COMPLETE",
            **{f"param.{key}": float(value) if isinstance(value, int) else value for key, value in params.items()},
            **{f"metric.{key}": value for key, value in metrics.items()},
        }
        for run, (params, metrics) in logged.items()
    ]
)
frame = aiplatform.get_experiment_df().sort_values("run_name", ignore_index=True)
pandas.testing.assert_frame_equal(frame, expected, check_like=True, check_exact=True)
passed("the data frame equals what was logged")

run = aiplatform.ExperimentRun("run-2", experiment=name)
assert run.get_params() == logged["run-2"][0] and run.get_metrics() == logged["run-2"][1]
[confusion] = run.get_classification_metrics()
assert confusion["labels"] == ["cat", "dog"] and confusion["matrix"] == [[9.0, 1.0], [2.0, 8.0]], confusion
assert [one.name for one in run.get_executions()] == [execution.name]
assert sorted(one.name for one in aiplatform.ExperimentRun.list(experiment=name)) == ["run-0", "run-1", "run-2"]
with aiplatform.start_run("run-0", resume=True):
    aiplatform.log_metrics({"later": 7})
assert aiplatform.ExperimentRun("run-0", experiment=name).get_metrics()["later"] == 7
assert name in [one.name for one in aiplatform.Experiment.list()]
passed("runs are read, listed and resumed")

path = os.path.join(tempfile.mkdtemp(), "arithmetic.json")
compiler.Compiler().compile(arithmetic, path)
job = aiplatform.PipelineJob(
    display_name="in the experiment",
    job_id=unique("arithmetic"),
    template_path=path,
    parameter_values={"numbers": [1, 2, 3, 4], "factor": 3},
    enable_caching=False,
)
job.submit(experiment=name)
until(job.done)
assert job.get_associated_experiment().name == name
frame = aiplatform.get_experiment_df()
assert len(frame) == 4, frame
[row] = [row for _, row in frame.iterrows() if row["run_type"] == "system.PipelineRun"]
assert row["run_name"] == job.name, row
assert row["state"] == "COMPLETE" and row["param.factor"] == 3 and row["param.numbers"] == [1, 2, 3, 4], row
assert row["metric.half"] == 15.0, row
passed("a pipeline's parameters and metrics stand in the data frame")

logged_in_run = aiplatform.start_run("with-a-pipeline")
again = aiplatform.PipelineJob(
    display_name="logged", job_id=unique("arithmetic"), template_path=path, parameter_values={"factor": 1}
)
again.submit()
aiplatform.log(pipeline_job=again)
aiplatform.end_run()
until(again.done)
[pipeline] = aiplatform.ExperimentRun("with-a-pipeline", experiment=name).get_logged_pipeline_jobs()
assert pipeline.resource_name == again.resource_name
passed("a pipeline is logged to a run")

aiplatform.ExperimentRun("run-2", experiment=name).delete()
assert "run-2" not in set(aiplatform.get_experiment_df()["run_name"])
aiplatform.Experiment(name).delete()
assert aiplatform.Experiment.get(name) is None
assert aiplatform.PipelineJob.get(job.resource_name).state == job.state
passed("an experiment is deleted, its pipeline runs are not")
