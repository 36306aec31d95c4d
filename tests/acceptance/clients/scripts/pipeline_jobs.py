"""PipelineJob, from submit to delete."""

import os
import sys
import tempfile
from unittest import mock

from connection import BUCKET, MODE, connect, passed, unique, until
from google.api_core import exceptions
from google.cloud import aiplatform, storage
from google.cloud.aiplatform_v1.types import PipelineState, PipelineTaskDetail
from kfp import compiler
from pipelines import arithmetic, failing, half_failing, measuring, sleeping

connect()
SUCCEEDED = PipelineState.PIPELINE_STATE_SUCCEEDED
ENDED = (SUCCEEDED, PipelineState.PIPELINE_STATE_FAILED, PipelineState.PIPELINE_STATE_CANCELLED)
folder = tempfile.mkdtemp()


# The ids that the client makes up have a resolution of one second: two runs of a pipeline within it would be one name.
def compiled(pipeline):
    path = os.path.join(folder, pipeline.name + ".json")
    compiler.Compiler().compile(pipeline, path)
    return path


def ended(job, seconds=120):
    until(lambda: job.state in ENDED, seconds)
    return job


def tasks_of(job):
    return {task.task_name: task for task in job.task_details}


# submit, wait, state, task_details
label = unique("run").replace("-", "")
first = aiplatform.PipelineJob(
    display_name=unique("first"),
    template_path=compiled(arithmetic),
    parameter_values={"numbers": [4, 5, 6], "factor": 3},
    pipeline_root=BUCKET + "/root",
    labels={"suite": label},
    enable_caching=False,
)
first.submit(service_account="runner@demo.iam.gserviceaccount.com", network="projects/1/global/networks/n")
assert first.resource_name.split("/")[-1].startswith("arithmetic-"), first.resource_name
first.wait()
assert first.state == SUCCEEDED, first.state
assert not first.has_failed and first.done()
tasks = tasks_of(first)
assert {"total", "describe", "measure"} <= set(tasks), sorted(tasks)
assert all(task.state == PipelineTaskDetail.State.SUCCEEDED for task in tasks.values()), tasks
described = tasks["describe"]
report = described.outputs["report"].artifacts[0]
assert report.uri.startswith(BUCKET + "/root/"), report.uri
assert dict(report.metadata)["rows"] == 45, report.metadata
assert report.schema_title == "system.Dataset", report.schema_title
metrics = described.outputs["metrics"].artifacts[0]
assert dict(metrics.metadata)["half"] == 22.5, metrics.metadata
assert tasks["measure"].inputs["report"].artifacts[0].name == report.name
assert tasks["measure"].start_time <= tasks["measure"].end_time
outputs = dict(tasks["measure"].execution.metadata)
assert outputs.get("output:Output") == len("value=45"), outputs
assert dict(tasks["total"].execution.metadata).get("output:Output") == 45
passed("submit, wait, state, task_details")

# what the engine wrote is what the storage client reads
content = storage.Client().bucket(BUCKET[5:]).blob(report.uri[len(BUCKET) + 1 :]).download_as_bytes()
assert content == b"value=45", content
passed("pipeline_root")

# service account and network are taken, and said not to be honoured
raw = first.gca_resource
assert raw.service_account == "runner@demo.iam.gserviceaccount.com", raw.service_account
assert raw.network == "projects/1/global/networks/n", raw.network
assert dict(raw.labels)["suite"] == label
assert raw.runtime_config.gcs_output_directory == BUCKET + "/root"
assert dict(raw.runtime_config.parameter_values)["factor"] == 3
passed("service account, network, labels")

# get, and list with filters
again = aiplatform.PipelineJob.get(first.resource_name)
assert again.display_name == first.display_name and again.state == SUCCEEDED
by_id = aiplatform.PipelineJob.get(first.name)
assert by_id.resource_name == first.resource_name
found = aiplatform.PipelineJob.list(filter=f'display_name="{first.display_name}"')
assert [job.resource_name for job in found] == [first.resource_name]
found = aiplatform.PipelineJob.list(filter=f'labels.suite="{label}" AND state="PIPELINE_STATE_SUCCEEDED"')
assert [job.resource_name for job in found] == [first.resource_name]
assert aiplatform.PipelineJob.list(filter='display_name="no-such-job"') == []
simple = aiplatform.PipelineJob.list(
    filter='pipeline_name="arithmetic"', order_by="create_time desc", enable_simple_view=True
)
assert simple[0].resource_name == first.resource_name
try:
    aiplatform.PipelineJob.get("no-such-job")
    raise AssertionError("a job that is not there was found")
except exceptions.NotFound:
    pass
passed("get, list with filters")

# enable_caching: the second of two equal runs computes nothing
for _ in range(2):
    cached = aiplatform.PipelineJob(
        job_id=unique("cached"), display_name=unique("cached"), template_path=compiled(arithmetic), pipeline_root=BUCKET + "/root",  # noqa: E501
        parameter_values={"numbers": [7], "factor": int(label[-7:])}, enable_caching=True,
    )  # fmt: skip
    cached.submit()
    ended(cached)
    assert cached.state == SUCCEEDED
states = {name: task.state for name, task in tasks_of(cached).items()}
assert states["total"] == PipelineTaskDetail.State.SKIPPED, states
assert states["measure"] == PipelineTaskDetail.State.SKIPPED, states
assert dict(tasks_of(cached)["total"].execution.metadata).get("output:Output") == 7 * int(label[-7:])
passed("enable_caching")

# clone
clone = first.clone(display_name=unique("clone"), parameter_values={"numbers": [1], "factor": 10}, enable_caching=False)
clone.submit()
ended(clone)
assert clone.state == SUCCEEDED
assert dict(tasks_of(clone)["total"].execution.metadata).get("output:Output") == 10
passed("clone")

# from_pipeline_func. With kfp 2 it fails in the client itself, before any request: it asks a pipeline for its __name__,
# and hands mkstemp's pair to the compiler as a path (1.165 and 2.7). Both are made up for here, for the server's sake.
arithmetic.__name__ = "arithmetic"
with mock.patch("tempfile.mkstemp", lambda suffix: os.path.join(folder, "function" + suffix)):
    job = aiplatform.PipelineJob.from_pipeline_func(
        arithmetic,
        job_id=unique("function"),
        parameter_values={"numbers": [1, 1], "factor": 5},
        output_artifacts_gcs_dir=BUCKET + "/functions",
    )
job.submit()
ended(job)
assert job.state == SUCCEEDED
assert dict(tasks_of(job)["total"].execution.metadata).get("output:Output") == 10
passed("from_pipeline_func")

# no pipeline_root: the client makes a bucket of its own
if MODE == "shim":
    rootless = aiplatform.PipelineJob(
        job_id=unique("rootless"), display_name=unique("rootless"), template_path=compiled(arithmetic)
    )
    rootless.submit()
    ended(rootless)
    assert rootless.state == SUCCEEDED, rootless.gca_resource.error
    passed("no pipeline_root")

# a failure is told as one
bad = aiplatform.PipelineJob(
    job_id=unique("bad"), display_name=unique("bad"), template_path=compiled(failing), pipeline_root=BUCKET + "/root",
    parameter_values={"message": "boom " + label},
)  # fmt: skip
bad.submit()
try:
    bad.wait()
    raise AssertionError("the failure was not told")
except RuntimeError as error:
    assert "fail" in str(error).lower(), error  # noqa: PT017
assert bad.state == PipelineState.PIPELINE_STATE_FAILED and bad.has_failed
failed = tasks_of(bad)["fail"]
assert failed.state == PipelineTaskDetail.State.FAILED
assert failed.error.code and failed.error.message, failed.error
assert bad.gca_resource.error.message, "the job has no error"
passed("failure")

# failure_policy
states = {}
for policy in ("slow", "fast"):
    job = aiplatform.PipelineJob(
        job_id=unique(policy), display_name=unique(policy), template_path=compiled(half_failing), pipeline_root=BUCKET + "/root",  # noqa: E501
        enable_caching=False, failure_policy=policy,
    )  # fmt: skip
    job.submit()
    ended(job)
    assert job.state == PipelineState.PIPELINE_STATE_FAILED
    states[policy] = {name: task.state.name for name, task in tasks_of(job).items()}
assert states["slow"]["wait"] == "SUCCEEDED" and states["slow"]["wait-2"] == "SUCCEEDED", states
assert states["fast"].get("wait-2") != "SUCCEEDED", states
passed("failure_policy")

# input_artifacts: one that a run has put out
number = report.name.split("/")[-1]
given = aiplatform.PipelineJob(
    job_id=unique("given"), display_name=unique("given"), template_path=compiled(measuring), pipeline_root=BUCKET + "/root",  # noqa: E501
    input_artifacts={"report": number}, enable_caching=False,
)  # fmt: skip
given.submit()
ended(given)
assert given.state == SUCCEEDED, given.gca_resource.error
assert dict(tasks_of(given)["measure"].execution.metadata).get("output:Output") == len("value=45")
passed("input_artifacts")

# cancel
long = aiplatform.PipelineJob(
    job_id=unique("long"),
    display_name=unique("long"),
    template_path=compiled(sleeping),
    pipeline_root=BUCKET + "/root",
    enable_caching=False,
)
long.submit()
until(lambda: long.state == PipelineState.PIPELINE_STATE_RUNNING)
long.cancel()
ended(long, 30)
assert long.state == PipelineState.PIPELINE_STATE_CANCELLED, long.state
passed("cancel")

# delete
name = long.resource_name
long.delete()
try:
    aiplatform.PipelineJob.get(name)
    raise AssertionError("the deleted job is still there")
except exceptions.NotFound:
    pass
assert name not in [job.resource_name for job in aiplatform.PipelineJob.list()]
passed("delete")
sys.stdout.flush()
