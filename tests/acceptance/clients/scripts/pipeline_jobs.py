"""PipelineJob, from submit to delete."""

import os
import tempfile
import time
from unittest import mock

from connection import BUCKET, MODE, asked, connect, passed, recorded, unique, until
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
assert recorded(first)["outputs"] == {"Output": len("value=45")}, recorded(first)
passed("submit, wait, state, task_details")

# what the engine wrote is what the storage client reads
bucket = storage.Client().bucket(BUCKET[5:])
blob = report.uri[len(BUCKET) + 1 :]
assert bucket.blob(blob).download_as_bytes() == b"value=45"
assert blob in [each.name for each in bucket.list_blobs(prefix="root/arithmetic/")]
passed("pipeline_root")

# service account and network are taken, and said not to be honoured: in the record, and to who reads the answer
raw = first.gca_resource
assert raw.service_account == "runner@demo.iam.gserviceaccount.com", raw.service_account
assert raw.network == "projects/1/global/networks/n", raw.network
assert dict(raw.labels)["suite"] == label
assert raw.runtime_config.gcs_output_directory == BUCKET + "/root"
assert dict(raw.runtime_config.parameter_values)["factor"] == 3
told = asked("/v1/" + first.resource_name).headers["x-cairn-warnings"]
for field in ("serviceAccount", "network"):
    [warning] = [each for each in recorded(first)["warnings"] if each.startswith(f"pipelineJob.{field}:")]
    assert "no effect" in warning and warning in told, (warning, told)
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

# enable_caching: the second of two equal runs computes nothing, and one that is not to be cached everything
number = int(label[-7:])
states = []
for caching in (True, True, False):
    job = aiplatform.PipelineJob(
        job_id=unique("cached"), display_name=unique("cached"), template_path=compiled(arithmetic), pipeline_root=BUCKET + "/root",  # noqa: E501
        parameter_values={"numbers": [7], "factor": number}, enable_caching=caching,
    )  # fmt: skip
    job.submit()
    assert ended(job).state == SUCCEEDED
    states.append({task.state.name for name, task in tasks_of(job).items() if name in ("total", "describe", "measure")})
    assert dict(tasks_of(job)["total"].execution.metadata).get("output:Output") == 7 * number
assert states == [{"SUCCEEDED"}, {"SKIPPED"}, {"SUCCEEDED"}], states
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

# failure_policy: with slow, what does not depend on the failure goes on; with fast, nothing more is begun
tasks = {}
for policy in ("slow", "fast"):
    job = aiplatform.PipelineJob(
        job_id=unique(policy), display_name=unique(policy), template_path=compiled(half_failing), pipeline_root=BUCKET + "/root",  # noqa: E501
        enable_caching=False, failure_policy=policy,
    )  # fmt: skip
    job.submit()
    ended(job)
    assert job.state == PipelineState.PIPELINE_STATE_FAILED
    tasks[policy] = tasks_of(job)
assert tasks["slow"]["wait"].state.name == tasks["slow"]["wait-2"].state.name == "SUCCEEDED", tasks
last = tasks["fast"].get("wait-2")
assert last is None or (last.state.name in ("NOT_TRIGGERED", "CANCELLED") and not last.start_time), last
passed("failure_policy")

# input_artifacts: one that a run has put out, and one that was recorded for an object of the storage client's
object_name = f"given/{label}.txt"
bucket.blob(object_name).upload_from_string("abcdefghijk")
letters = aiplatform.Artifact.create(schema_title="system.Dataset", uri=f"{BUCKET}/{object_name}")
for artifact, length in ((report.name.split("/")[-1], len("value=45")), (letters.name, 11)):
    given = aiplatform.PipelineJob(
        job_id=unique("given"), display_name=unique("given"), template_path=compiled(measuring), pipeline_root=BUCKET + "/root",  # noqa: E501
        input_artifacts={"report": artifact}, enable_caching=False,
    )  # fmt: skip
    given.submit()
    assert ended(given).state == SUCCEEDED, given.gca_resource.error
    measured = tasks_of(given)["measure"]
    assert dict(measured.execution.metadata).get("output:Output") == length, measured
    assert measured.inputs["report"].artifacts[0].name.endswith("/" + artifact), measured
assert [each.name for each in aiplatform.Artifact.list(filter=f'uri="{letters.uri}"')] == [letters.name]
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
until(lambda: "wait" in tasks_of(long) and tasks_of(long)["wait"].state.name == "RUNNING")
began = time.monotonic()
long.cancel()
ended(long)
assert time.monotonic() - began < 10
assert tasks_of(long)["wait"].state.name == "CANCELLED", tasks_of(long)
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
