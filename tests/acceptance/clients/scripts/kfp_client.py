"""kfp.Client: upload, versions, run, wait, list, terminate, retry, recurring runs."""

import json
import os
import tempfile
import time

import google.auth
import kfp
from google.auth.transport.requests import AuthorizedSession
from kfp import compiler, dsl

stamp = str(time.time_ns() // 1000)
folder = tempfile.mkdtemp()


def passed(name):
    print("passed:", name, flush=True)


@dsl.component
def add(a: int, b: int) -> int:
    return a + b


@dsl.component
def pause(seconds: float):
    import time

    time.sleep(seconds)


@dsl.component
def need(path: str) -> str:
    with open(path) as file:
        return file.read()


@dsl.pipeline(name="adding")
def adding(a: int = 1, b: int = 2) -> int:
    first = add(a=a, b=b)
    return add(a=first.output, b=10).output


@dsl.pipeline(name="pausing")
def pausing(seconds: float = 60.0):
    pause(seconds=seconds)


@dsl.pipeline(name="needing")
def needing(path: str) -> str:
    return need(path=path).set_caching_options(False).output


def compiled(pipeline, name=""):
    path = os.path.join(folder, (name or pipeline.name) + ".yaml")
    compiler.Compiler().compile(pipeline, path)
    return path


def result(run_id):
    """What a run has computed: KFP's API has no place for it, Cairn's own has."""
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    answer = AuthorizedSession(credentials).get(f"{os.environ['CAIRN_URL']}/cairn/v1/runs/{run_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"]["Output"]


client = kfp.Client()
assert client.get_kfp_healthz() is not None
passed("healthz")

# pipelines and versions
pipeline = client.upload_pipeline(compiled(adding), pipeline_name="adding-" + stamp, description="adds")
assert pipeline.display_name == "adding-" + stamp
second = client.upload_pipeline_version(
    compiled(adding), pipeline_version_name="two-" + stamp, pipeline_id=pipeline.pipeline_id
)
assert client.get_pipeline_id("adding-" + stamp) == pipeline.pipeline_id
versions = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions
assert len(versions) == 2 and "two-" + stamp in [each.display_name for each in versions]
assert pipeline.pipeline_id in [each.pipeline_id for each in client.list_pipelines(page_size=100).pipelines]
assert client.get_pipeline(pipeline.pipeline_id).display_name == pipeline.display_name
passed("pipelines, versions")

# an experiment and a run from a package
experiment = client.create_experiment("experiment-" + stamp)
assert client.get_experiment(experiment_name="experiment-" + stamp).experiment_id == experiment.experiment_id
run = client.create_run_from_pipeline_package(
    compiled(adding), arguments={"a": 5, "b": 6}, run_name="run-" + stamp, experiment_name="experiment-" + stamp,
    enable_caching=False,
)  # fmt: skip
ended = client.wait_for_run_completion(run.run_id, timeout=120, sleep_duration=1)
assert ended.state == "SUCCEEDED", ended
assert ended.display_name == "run-" + stamp and ended.experiment_id == experiment.experiment_id
assert ended.finished_at >= ended.created_at
details = {task.display_name: task.state for task in ended.run_details.task_details}
assert details.get("add") == "SUCCEEDED" and details.get("add-2") == "SUCCEEDED", details
assert result(run.run_id) == 5 + 6 + 10
passed("run, wait")

# from the uploaded version, and from the function
again = client.run_pipeline(
    experiment.experiment_id, "job-" + stamp, pipeline_id=pipeline.pipeline_id, version_id=second.pipeline_version_id,
    params={"a": 1, "b": 1},
)  # fmt: skip
assert client.wait_for_run_completion(again.run_id, 120, 1).state == "SUCCEEDED"
assert result(again.run_id) == 1 + 1 + 10
named = client.get_run(again.run_id).pipeline_version_reference
assert (named.pipeline_id, named.pipeline_version_id) == (pipeline.pipeline_id, second.pipeline_version_id)
third = client.create_run_from_pipeline_func(adding, arguments={"a": 2}, experiment_name="experiment-" + stamp)
assert client.wait_for_run_completion(third.run_id, 120, 1).state == "SUCCEEDED"
assert result(third.run_id) == 2 + 2 + 10
passed("run of a version, of a function")

# list
runs = client.list_runs(experiment_id=experiment.experiment_id, page_size=2, sort_by="created_at desc")
assert len(runs.runs) == 2 and runs.next_page_token
rest = client.list_runs(experiment_id=experiment.experiment_id, page_size=2, page_token=runs.next_page_token)
named = {each.run_id for each in runs.runs} | {each.run_id for each in rest.runs}
assert named >= {run.run_id, again.run_id, third.run_id}


def found(*predicates):
    """Ids of the runs that meet all of (operation, key, value)."""
    wanted = [{"operation": operation, "key": key, "stringValue": value} for operation, key, value in predicates]
    return {each.run_id for each in client.list_runs(filter=json.dumps({"predicates": wanted})).runs or []}


own = ("IS_SUBSTRING", "display_name", stamp)
assert found(("EQUALS", "display_name", "run-" + stamp)) == {run.run_id}
assert found(own, ("EQUALS", "state", "SUCCEEDED")) == {run.run_id, again.run_id}
assert found(own, ("NOT_EQUALS", "display_name", "run-" + stamp)) == {again.run_id}
assert found(own, ("EQUALS", "state", "FAILED")) == set()
passed("list")

# terminate
long = client.create_run_from_pipeline_package(compiled(pausing), experiment_name="experiment-" + stamp)
while client.get_run(long.run_id).state != "RUNNING":
    time.sleep(0.2)
client.terminate_run(long.run_id)
end = time.monotonic() + 10
while client.get_run(long.run_id).state != "CANCELED" and time.monotonic() < end:
    time.sleep(0.2)  # wait_for_run_completion does not take CANCELED for an end
assert client.get_run(long.run_id).state == "CANCELED"
passed("terminate")

# retry: what failed is run again once its reason is gone
place = os.path.join(folder, "needed.txt")
failing = client.create_run_from_pipeline_package(compiled(needing), arguments={"path": place})
assert client.wait_for_run_completion(failing.run_id, 120, 1).state == "FAILED"
with open(place, "w") as file:
    file.write("here")
client.runs.run_service_retry_run(failing.run_id)
end = time.monotonic() + 60
while client.get_run(failing.run_id).state != "SUCCEEDED" and time.monotonic() < end:
    time.sleep(0.3)
assert client.get_run(failing.run_id).state == "SUCCEEDED"
assert result(failing.run_id) == "here"
passed("retry")

# archive, unarchive, delete
client.archive_run(again.run_id)
assert client.get_run(again.run_id).storage_state == "ARCHIVED"
client.unarchive_run(again.run_id)
assert client.get_run(again.run_id).storage_state == "AVAILABLE"
client.delete_run(again.run_id)
assert again.run_id not in [each.run_id for each in client.list_runs(page_size=100).runs]
passed("archive, delete")

# recurring runs
recurring = client.create_recurring_run(
    experiment.experiment_id, "recurring-" + stamp, interval_second=2, max_concurrency=1, no_catchup=True,
    pipeline_package_path=compiled(adding), params={"a": 3, "b": 4}, enable_caching=False,
)  # fmt: skip
end = time.monotonic() + 60
ticked = []
while not ticked and time.monotonic() < end:
    time.sleep(0.5)
    ticked = [
        each
        for each in client.list_runs(experiment_id=experiment.experiment_id, page_size=100).runs
        if each.recurring_run_id == recurring.recurring_run_id
    ]
assert ticked, "no tick in a minute"
client.disable_recurring_run(recurring.recurring_run_id)
assert client.get_recurring_run(recurring.recurring_run_id).status == "DISABLED"
client.enable_recurring_run(recurring.recurring_run_id)
assert client.get_recurring_run(recurring.recurring_run_id).status == "ENABLED"
assert client.wait_for_run_completion(ticked[-1].run_id, 120, 1).state == "SUCCEEDED"
assert result(ticked[-1].run_id) == 3 + 4 + 10
listed = client.list_recurring_runs(experiment_id=experiment.experiment_id).recurring_runs
assert [each.recurring_run_id for each in listed] == [recurring.recurring_run_id]
client.delete_recurring_run(recurring.recurring_run_id)
assert not client.list_recurring_runs(experiment_id=experiment.experiment_id).recurring_runs
passed("recurring runs")

client.delete_pipeline_version(pipeline.pipeline_id, second.pipeline_version_id)
for version in client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions or []:
    client.delete_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id)
client.delete_pipeline(pipeline.pipeline_id)
assert client.get_pipeline_id("adding-" + stamp) is None
client.archive_experiment(experiment.experiment_id)
passed("deletes")
