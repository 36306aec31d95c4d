"""CustomJob and the custom training jobs, as their users write them."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from connection import BUCKET, connect, log_text, passed, raises, unique, until
from google.api_core import exceptions
from google.cloud import aiplatform, storage
from google.cloud.aiplatform import jobs, training_jobs
from google.cloud.aiplatform_v1.types import JobState, PipelineState

# Only how long the client sleeps between two looks.
jobs._JOB_WAIT_TIME = training_jobs._JOB_WAIT_TIME = 0.2
connect()
SCRIPT = str(Path(__file__).with_name("training_task.py"))
IMAGE = "python:3.12"  # mapped to this machine
PREBUILT = "us-docker.pkg.dev/vertex-ai/training/sklearn-cpu.1-0:latest"
STAGING = BUCKET + "/staging"
client = storage.Client()


def read(uri):
    bucket, _, name = uri[5:].partition("/")
    return json.loads(client.bucket(bucket).blob(name).download_as_bytes())


def trained(job_or_directory):
    """What the training task has written, and the logs' first line."""
    return read(job_or_directory.rstrip("/") + "/model/model.json")


def pool(script, **more):
    return {
        "machine_spec": {"machine_type": "n1-standard-4"},
        "replica_count": 1,
        "container_spec": {"image_uri": IMAGE, "command": ["sh", "-c", script], "args": []},
        **more,
    }


try:
    client.create_bucket(BUCKET[5:])
except exceptions.Conflict:
    pass

# a container
suite = unique("suite")
output = BUCKET + "/" + suite
write = 'mkdir -p /gcs/${AIP_MODEL_DIR#gs://} && echo \'{"by": "container"}\' > /gcs/${AIP_MODEL_DIR#gs://}model.json'
job = aiplatform.CustomJob(
    display_name="container " + suite,
    worker_pool_specs=[pool(write)],
    base_output_dir=output,
    staging_bucket=STAGING,
    labels={"suite": suite},
)
job.run(
    service_account="runner@demo.iam.gserviceaccount.com",
    network="projects/1/global/networks/n",
    timeout=100,
    enable_web_access=True,
    restart_job_on_worker_restart=False,
)
assert job.state == JobState.JOB_STATE_SUCCEEDED, job.state
assert job.resource_name.split("/")[-1].isdecimal(), job.resource_name
assert trained(output) == {"by": "container"}
assert job.create_time <= job.start_time <= job.end_time
got = aiplatform.CustomJob.get(job.resource_name)
assert got.display_name == "container " + suite and got.labels == {"suite": suite}
assert got.job_spec.base_output_directory.output_uri_prefix == output
assert got.job_spec.scheduling.timeout.total_seconds() == 100
assert got.job_spec.service_account == "runner@demo.iam.gserviceaccount.com"
assert got.network == "projects/1/global/networks/n" and got.web_access_uris == {}
assert got.job_spec.worker_pool_specs[0].container_spec.image_uri == IMAGE
passed("CustomJob of a container")

# several replicas
words = 'echo "$CLUSTER_SPEC" | python3 -c "import json, sys; print(json.load(sys.stdin)[\'task\'])"'
several = aiplatform.CustomJob(
    display_name="several " + suite,
    worker_pool_specs=[pool(words), pool(words, replica_count=2)],
    staging_bucket=STAGING,
    labels={"suite": suite},
)
several.run()
assert several.state == JobState.JOB_STATE_SUCCEEDED, several.state
found = log_text(several)
assert found.count("'type': 'workerpool0'") == 1 and found.count("'type': 'workerpool1'") == 2, found
passed("CustomJob of several replicas")

# a TensorBoard, for which the client wants a service account
board = aiplatform.Tensorboard.create(display_name=suite)
watched = aiplatform.CustomJob(
    "watched " + suite,
    [pool("echo $AIP_TENSORBOARD_RESOURCE_NAME $AIP_TENSORBOARD_LOG_DIR")],
    base_output_dir=output + "/watched",
    staging_bucket=STAGING,
)
watched.run(tensorboard=board.resource_name, service_account="runner@demo.iam.gserviceaccount.com")
assert watched.job_spec.tensorboard == board.resource_name
assert log_text(watched) == f"{board.resource_name} {output}/watched/logs/\n", log_text(watched)
passed("CustomJob with a TensorBoard")

# failure: what it says, and that run() raises
failing = aiplatform.CustomJob("failing " + suite, [pool("echo last words; exit 7")], staging_bucket=STAGING)
with raises(RuntimeError, "7"):
    failing.run()
assert failing.state == JobState.JOB_STATE_FAILED and failing.error.code
assert "last words" in log_text(failing)
late = aiplatform.CustomJob("late " + suite, [pool("sleep 100")], staging_bucket=STAGING)
with raises(RuntimeError, "code: 4"):
    late.run(timeout=1)
passed("failure, time-out")

# submit, list, cancel, delete
long = aiplatform.CustomJob("long " + suite, [pool("sleep 100")], staging_bucket=STAGING, labels={"suite": suite})
long.submit()
until(lambda: long.state == JobState.JOB_STATE_RUNNING)
running = aiplatform.CustomJob.list(filter=f'labels.suite="{suite}" AND state="JOB_STATE_RUNNING"')
assert [each.resource_name for each in running] == [long.resource_name], running
all_ = aiplatform.CustomJob.list(filter=f"labels.suite={suite}", order_by="create_time")
assert [each.display_name for each in all_] == [f"{word} {suite}" for word in ("container", "several", "long")]
with raises(exceptions.GoogleAPICallError, "cancel it"):
    long.delete()
long.cancel()
until(lambda: long.state == JobState.JOB_STATE_CANCELLED)
assert long.error.code == 1, long.error
long.delete()
with raises(exceptions.NotFound):
    aiplatform.CustomJob.get(long.resource_name)
passed("submit, list, cancel, delete")

# a script that lies here; run in the background
script = aiplatform.CustomJob.from_local_script(
    display_name="script " + suite,
    script_path=SCRIPT,
    container_uri=PREBUILT,
    args=["--rate", "0.5"],
    environment_variables={"WORD": "hello"},
    base_output_dir=output + "/script",
    staging_bucket=STAGING,
)
script.run(sync=False)
script.wait_for_resource_creation()
script.wait()
assert script.state == JobState.JOB_STATE_SUCCEEDED
told = trained(output + "/script")
assert (told["rate"], told["word"]) == (0.5, "hello"), told
assert told["AIP_MODEL_DIR"] == output + "/script/model/", told
assert script.resource_name.rpartition("/")[2] in told["CLOUD_ML_JOB_ID"], told
assert "training with rate 0.5" in log_text(script)
own = aiplatform.CustomJob.from_local_script(
    "own image " + suite, SCRIPT, IMAGE, args=["--rate", "0.25"], base_output_dir=output + "/own",
    staging_bucket=STAGING,
)  # fmt: skip
own.run()
assert trained(output + "/own")["rate"] == 0.25
passed("CustomJob.from_local_script")

# training pipelines
training = aiplatform.CustomTrainingJob("script training " + suite, SCRIPT, PREBUILT, staging_bucket=STAGING,
                                        labels={"suite": suite})  # fmt: skip
model = training.run(args=["--rate", "2"], environment_variables={"WORD": "a"}, replica_count=1,
                     base_output_dir=output + "/training", timeout=100, enable_web_access=True)  # fmt: skip
assert model is None
assert training.state == PipelineState.PIPELINE_STATE_SUCCEEDED
told = trained(output + "/training")
assert (told["rate"], told["word"]) == (2, "a"), told
backing = aiplatform.CustomJob.get(training.gca_resource.training_task_metadata["backingCustomJob"])
assert backing.state == JobState.JOB_STATE_SUCCEEDED
assert "training with rate 2.0" in log_text(backing)
passed("CustomTrainingJob")

container = aiplatform.CustomContainerTrainingJob(
    "container training " + suite, IMAGE, command=["sh", "-c", write], staging_bucket=STAGING, labels={"suite": suite}
)
container.run(base_output_dir=output + "/boxed", replica_count=1, sync=False)
container.wait()
assert trained(output + "/boxed") == {"by": "container"}
passed("CustomContainerTrainingJob")

folder = Path(tempfile.mkdtemp())
(folder / "trainer").mkdir()
(folder / "trainer" / "__init__.py").write_text("")
(folder / "trainer" / "task.py").write_text(Path(SCRIPT).read_text())
(folder / "setup.py").write_text(
    "from setuptools import setup\nsetup(name='acceptance-trainer', version='1', packages=['trainer'])\n"
)
subprocess.run([sys.executable, "setup.py", "-q", "sdist"], cwd=folder, check=True, capture_output=True)
archive = next((folder / "dist").iterdir())
client.bucket(BUCKET[5:]).blob("packages/" + archive.name).upload_from_filename(str(archive))
package = aiplatform.CustomPythonPackageTrainingJob(
    "package training " + suite, f"{BUCKET}/packages/{archive.name}", "trainer.task", PREBUILT,
    staging_bucket=STAGING, labels={"suite": suite},
)  # fmt: skip
package.run(args=["--rate", "3"], base_output_dir=output + "/packaged", replica_count=1)
assert trained(output + "/packaged")["rate"] == 3
passed("CustomPythonPackageTrainingJob")

# what training jobs are asked besides
again = aiplatform.CustomTrainingJob("failing training " + suite, SCRIPT, PREBUILT, staging_bucket=STAGING)
with raises(RuntimeError, "7"):
    again.run(args=["--fail"], replica_count=1)
assert again.state == PipelineState.PIPELINE_STATE_FAILED
named = aiplatform.CustomTrainingJob.get(training.resource_name)
assert named.display_name == "script training " + suite
listed = aiplatform.CustomTrainingJob.list(filter=f'labels.suite="{suite}"')
assert {each.display_name.split(" ")[0] for each in listed} == {"script", "container", "package"}
endless = aiplatform.CustomContainerTrainingJob(
    "endless " + suite, IMAGE, command=["sleep", "100"], staging_bucket=STAGING
)
endless.run(replica_count=1, sync=False)
endless.wait_for_resource_creation()
endless.cancel()
until(lambda: endless.state == PipelineState.PIPELINE_STATE_CANCELLED)
named.delete()
with raises(exceptions.NotFound):
    aiplatform.CustomJob.get(backing.resource_name)
serving = aiplatform.CustomTrainingJob(
    "serving " + suite, SCRIPT, PREBUILT, staging_bucket=STAGING, model_serving_container_image_uri=IMAGE
)
with raises(exceptions.GoogleAPICallError, "model registry"):
    serving.run(replica_count=1)
passed("training jobs: failure, get, list, cancel, delete, upload")
