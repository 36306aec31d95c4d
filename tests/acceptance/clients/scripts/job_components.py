"""Google's pipeline components in a pipeline that the client submits: what they launch are jobs as any other."""

import json
import tempfile
from pathlib import Path

from connection import BUCKET, connect, passed, unique
from google.cloud import aiplatform
from google.cloud.aiplatform import pipeline_jobs
from google.cloud.aiplatform_v1 import JobServiceClient
from google.cloud.aiplatform_v1.types import JobState, PipelineState
from google_cloud_pipeline_components.v1.custom_job import (
    CustomTrainingJobOp,
    create_custom_training_job_from_component,
)
from kfp import compiler, dsl

pipeline_jobs._JOB_WAIT_TIME = 0.2  # only how long the client sleeps between two looks
connect()
suite = unique("launched")


@dsl.component
def train(rate: float, model: dsl.Output[dsl.Model]) -> float:
    with open(model.path, "w") as file:
        file.write(f"rate={rate}")
    model.metadata["rate"] = rate
    return rate * 2


@dsl.component
def check(twice: float, model: dsl.Input[dsl.Model]) -> str:
    with open(model.path) as file:
        return f"{file.read()} {twice} {model.metadata['rate']}"


train_job = create_custom_training_job_from_component(
    train, display_name=suite + "-component", machine_type="e2-standard-2", labels={"suite": suite}
)
POOL = {
    "machine_spec": {"machine_type": "e2-standard-2"},
    "replica_count": 1,
    "container_spec": {"image_uri": "python:3.12", "command": ["sh", "-c", "echo launched"], "args": []},
}


@dsl.pipeline(name="launching")
def launching(rate: float) -> str:
    trained = train_job(project="{{$.pipeline_google_cloud_project_id}}", location="us-central1", rate=rate)
    CustomTrainingJobOp(display_name=suite + "-plain", worker_pool_specs=[POOL], labels={"suite": suite})
    return check(twice=trained.outputs["Output"], model=trained.outputs["model"]).output


path = str(Path(tempfile.mkdtemp()) / "launching.json")
compiler.Compiler().compile(launching, path)
job = aiplatform.PipelineJob(
    display_name=suite,
    template_path=path,
    pipeline_root=BUCKET + "/launched",
    parameter_values={"rate": 0.5},
    enable_caching=False,
)
job.submit()
job.wait()
assert job.state == PipelineState.PIPELINE_STATE_SUCCEEDED, job.state
tasks = {task.task_name: task for task in job.task_details}
assert dict(tasks["check"].execution.metadata)["output:Output"] == "rate=0.5 1.0 0.5", tasks["check"].execution
passed("a component's outputs come from its job")

for task, name in (("train", "component"), ("custom-training-job", "plain")):
    resources = json.loads(dict(tasks[task].execution.metadata)["output:gcp_resources"])["resources"]
    assert [one["resourceType"] for one in resources] == ["CustomJob"], resources
    uri = resources[0]["resourceUri"]
    assert uri.startswith("https://us-central1-aiplatform.googleapis.com/v1/projects/"), uri
    made = aiplatform.CustomJob.get(uri.partition("/v1/")[2])
    assert (made.state, made.display_name) == (JobState.JOB_STATE_SUCCEEDED, f"{suite}-{name}"), made
    assert tasks[task].executor_detail.custom_job_detail.job == made.resource_name, tasks[task].executor_detail
listed = aiplatform.CustomJob.list(filter=f"labels.suite={suite}")
assert {one.display_name for one in listed} == {suite + "-component", suite + "-plain"}, listed
passed("the jobs are resources of their own")

# as the launchers of the components ask, each by an endpoint that it builds itself
own = JobServiceClient(client_options={"api_endpoint": "us-central1-aiplatform.googleapis.com"})
assert own.get_custom_job(name=made.resource_name).display_name == suite + "-plain"
passed("an endpoint of its own")
