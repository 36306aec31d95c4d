"""What people do with kfp.Client. Runs in an environment that has kfp: python scenarios.py URL.

A name per line comes in on standard input, its trace ("" for none) goes out as JSON.
"""

import datetime
import itertools
import json
import os
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from pathlib import Path

import kfp
import kfp_server_api
from kfp import compiler, dsl
from kfp.client.client import _FILTER_OPERATIONS

WORK = tempfile.mkdtemp()


@dsl.component
def add(a: int, b: int) -> int:
    return a + b


@dsl.component
def write(text: str, out: dsl.Output[dsl.Dataset]) -> str:
    with open(out.path, "w") as file:
        file.write(text)
    return text.upper()


@dsl.component
def read(data: dsl.Input[dsl.Dataset]) -> int:
    with open(data.path) as file:
        return len(file.read())


@dsl.component
def second_time(marker: str) -> str:
    import os

    if not os.path.exists(marker):
        with open(marker, "w"):
            pass
        raise RuntimeError("not yet")
    return "now"


@dsl.component
def note(path: str, line: str):
    with open(path, "a") as file:
        file.write(f"{line}\n")


@dsl.component
def sleep(seconds: int):
    import time

    time.sleep(seconds)


@dsl.pipeline(name="sums")
def sums(x: int = 1, y: int = 2) -> int:
    return add(a=add(a=x, b=y).output, b=10).output


@dsl.pipeline(name="files")
def files(text: str = "some words") -> int:
    return read(data=write(text=text).outputs["out"]).output


@dsl.pipeline(name="loops")
def loops():
    with dsl.ParallelFor([1, 2]) as item:
        add(a=item, b=1)


@dsl.pipeline(name="flaky")
def flaky(marker: str):
    second_time(marker=marker).set_caching_options(False)


@dsl.pipeline(name="noting")
def noting(path: str, line: str):
    note(path=path, line=line).set_caching_options(False)


@dsl.pipeline(name="sleeping")
def sleeping(seconds: int = 60):
    sleep(seconds=seconds)


def package(pipeline, name="pipeline.yaml"):
    path = os.path.join(tempfile.mkdtemp(dir=WORK), name)
    compiler.Compiler().compile(pipeline, path)
    return path


def named(noun):
    return f"{noun}-{time.time_ns()}"


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def ended(client, run_id):
    return until(lambda: (run := client.get_run(run_id)).state in ("SUCCEEDED", "FAILED", "CANCELED") and run, 90)


def predicates(*parts):
    return json.dumps({"predicates": list(parts)})


def refusal(function, *arguments, **more):
    """(status, message) of the error that the client raises."""
    try:
        function(*arguments, **more)
    except kfp_server_api.ApiException as error:
        body = json.loads(error.body)
        assert body["message"] == body["error"] and body["code"] > 0 and body["details"] == []
        return error.status, body["message"]
    raise AssertionError("it was not refused")


def tasks_of(run):
    return {task.display_name: task for task in run.run_details.task_details}


# --- scenarios -------------------------------------------------------------------------------------------------------


def health(client):
    assert client.get_kfp_healthz().multi_user is False
    assert client.get_user_namespace() == ""


def a_function_is_run(client):
    made = client.create_run_from_pipeline_func(files, arguments={"text": "three"}, enable_caching=False)
    run = made.wait_for_run_completion(60)
    assert run.state == "SUCCEEDED", run.error
    assert run.runtime_config.parameters == {"text": "three"}
    assert run.pipeline_spec["pipelineInfo"]["name"] == "files"
    assert run.created_at <= run.finished_at
    assert [one.state for one in run.state_history] == ["PENDING", "RUNNING", "SUCCEEDED"]
    tasks = tasks_of(run)
    assert set(tasks) == {"write", "read"}
    [artifact] = tasks["write"].outputs["out"].artifact_ids
    assert tasks["read"].inputs["data"].artifact_ids == [artifact]
    assert all(task.execution_id and task.start_time <= task.end_time for task in tasks.values())
    answer = client._run_api.api_client.call_api(
        f"/apis/v2beta1/artifacts/{artifact}",
        "GET",
        response_type="object",
        auth_settings=[],
        _return_http_data_only=True,
    )
    assert answer["type"] == "Dataset"
    with open(answer["uri"]) as file:
        assert file.read() == "three"


def what_a_cache_answers_is_skipped(client):
    arguments = {"x": time.time_ns() % 1_000_000_000}
    for states in ({"SUCCEEDED"}, {"SKIPPED"}):
        run = client.create_run_from_pipeline_func(sums, arguments=arguments).wait_for_run_completion(60)
        assert run.state == "SUCCEEDED"
        assert {task.state for task in run.run_details.task_details} == states


def loops_have_parents(client):
    run = ended(client, client.create_run_from_pipeline_func(loops).run_id)
    assert run.state == "SUCCEEDED", run.error
    by_id = {task.task_id: task for task in run.run_details.task_details}
    adding = [task for task in by_id.values() if task.display_name == "add"]
    assert len(adding) == 2
    for task in adding:
        loop = by_id[task.parent_task_id]
        assert loop.parent_task_id is None and loop.display_name.startswith("for-loop")
        assert task.task_id in [child.task_id for child in loop.child_tasks]


def pipelines_are_uploaded_and_run(client):
    name = named("sums")
    pipeline = client.upload_pipeline(package(sums), name, description="adds")
    assert (pipeline.name, pipeline.display_name, pipeline.description) == (name, name, "adds")
    assert client.get_pipeline_id(name) == pipeline.pipeline_id
    assert client.get_pipeline(pipeline.pipeline_id).created_at == pipeline.created_at
    assert client._pipelines_api.pipeline_service_get_pipeline_by_name(name).pipeline_id == pipeline.pipeline_id
    status, message = refusal(client.upload_pipeline, package(sums), name)
    assert status == 409 and name in message

    first = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions[0]
    second = client.upload_pipeline_version(package(files), "second", pipeline_name=name)
    assert second.pipeline_spec["pipelineInfo"]["name"] == "files"
    listed = client.list_pipeline_versions(pipeline.pipeline_id, sort_by="created_at desc")
    assert [one.name for one in listed.pipeline_versions] == ["second", name] and listed.total_size == 2
    experiment = client.create_experiment(named("of uploads")).experiment_id

    def of(version):
        made = client.run_pipeline(
            experiment, named("job"), pipeline_id=pipeline.pipeline_id, version_id=version.pipeline_version_id
        )
        return ended(client, made.run_id)

    run = of(first)
    assert run.pipeline_version_reference.pipeline_version_id == first.pipeline_version_id
    assert set(tasks_of(run)) == {"add", "add-2"} and run.state == "SUCCEEDED"
    body = kfp_server_api.V2beta1Run(
        experiment_id=experiment,
        display_name="newest",
        pipeline_version_reference=kfp_server_api.V2beta1PipelineVersionReference(pipeline_id=pipeline.pipeline_id),
    )
    run = ended(client, client._run_api.run_service_create_run(run=body).run_id)
    assert set(tasks_of(run)) == {"write", "read"} and run.state == "SUCCEEDED"

    status, message = refusal(client.delete_pipeline, pipeline.pipeline_id)
    assert status == 409 and "versions" in message
    client.delete_pipeline_version(pipeline.pipeline_id, first.pipeline_version_id)
    assert refusal(client.get_pipeline_version, pipeline.pipeline_id, first.pipeline_version_id)[0] == 404
    client._pipelines_api.pipeline_service_delete_pipeline(pipeline.pipeline_id, cascade=True)
    assert refusal(client.get_pipeline, pipeline.pipeline_id)[0] == 404
    assert refusal(client.get_pipeline_version, pipeline.pipeline_id, second.pipeline_version_id)[0] == 404
    assert set(tasks_of(client.get_run(run.run_id))) == {"write", "read"}, "a run outlives what it was made from"


def pipelines_are_described_anew(client):
    made = client.upload_pipeline(package(sums), named("described"))
    api = client._pipelines_api
    changed = api.pipeline_service_update_pipeline(
        made.pipeline_id, kfp_server_api.V2beta1Pipeline(display_name="nicer", tags={"team": "a"})
    )
    assert (changed.display_name, changed.name, changed.tags) == ("nicer", made.name, {"team": "a"})
    version = client.list_pipeline_versions(made.pipeline_id).pipeline_versions[0]
    changed = api.pipeline_service_update_pipeline_version(
        made.pipeline_id, version.pipeline_version_id, kfp_server_api.V2beta1PipelineVersion(description="why")
    )
    assert (changed.description, changed.name) == ("why", version.name)
    status, _ = refusal(
        api.pipeline_service_update_pipeline, made.pipeline_id, kfp_server_api.V2beta1Pipeline(name="other")
    )
    assert status == 400


def packages_are_opened(client):
    source = package(sums)
    packed = f"{source[:-5]}.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(source, "pipeline.yaml")
    tarred = f"{source[:-5]}.tar.gz"
    with tarfile.open(tarred, "w:gz") as archive:
        archive.add(source, "pipeline.yaml")
    text = package(sums, "pipeline.json")
    for path in (packed, tarred, text):
        version = client.upload_pipeline(path, named("packed"))
        found = client.list_pipeline_versions(version.pipeline_id).pipeline_versions[0]
        assert found.pipeline_spec["pipelineInfo"]["name"] == "sums"
    run = client.create_run_from_pipeline_package(packed, enable_caching=False).wait_for_run_completion(60)
    assert run.state == "SUCCEEDED"


def a_bad_package_is_refused_with_its_place(client):
    path = package(sums)
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.replace("name: comp-add-2", "name: comp-nothing"))
    status, message = refusal(client.upload_pipeline, path, named("bad"))
    assert status == 400 and "pipeline.yaml" in message and "comp-nothing" in message
    with open(path, "w") as file:
        file.write("\0")
    assert refusal(client.upload_pipeline, path, named("bad"))[0] == 400


def runs_are_found(client):
    experiment = client.create_experiment(named("found")).experiment_id
    names = [named(f"run-{number}") for number in range(5)]
    path = package(sums)
    made = [client.run_pipeline(experiment, name, path, {"x": 2}) for name in names]
    for one in made:
        ended(client, one.run_id)

    def listed(*parts, **more):
        return [
            run.display_name
            for run in client.list_runs(
                experiment_id=experiment, filter=predicates(*parts) if parts else None, **more
            ).runs
            or []
        ]

    assert listed() == names[::-1]
    assert listed(sort_by="created_at asc") == names
    assert listed(sort_by="name desc") == sorted(names, reverse=True)
    pages, token = [], ""
    while True:
        page = client.list_runs(experiment_id=experiment, page_size=2, page_token=token, sort_by="created_at asc")
        assert page.total_size == 5
        pages.append([run.display_name for run in page.runs])
        token = page.next_page_token
        if not token:
            break
    assert pages == [names[:2], names[2:4], names[4:]]
    first = client.list_runs(experiment_id=experiment, page_size=2)
    status, message = refusal(client.list_runs, page_token=first.next_page_token, page_size=2, sort_by="name")
    assert status == 400 and "page_token" in message

    middle = made[2].created_at.isoformat()
    expected = {
        "EQUALS": names[2:3],
        "NOT_EQUALS": names[:2] + names[3:],
        "GREATER_THAN": names[3:],
        "GREATER_THAN_EQUALS": names[2:],
        "LESS_THAN": names[:2],
        "LESS_THAN_EQUALS": names[:3],
    }
    for operation, wanted in expected.items():
        for written in (operation, _FILTER_OPERATIONS[operation]):
            part = {"operation": written, "key": "created_at", "timestampValue": middle}
            assert listed(part, sort_by="created_at asc") == wanted, operation
    either = {"operation": _FILTER_OPERATIONS["IN"], "key": "name", "stringValues": {"values": names[:2]}}
    assert sorted(listed(either)) == names[:2]
    part = {"operation": _FILTER_OPERATIONS["IS_SUBSTRING"], "key": "display_name", "stringValue": "run-3"}
    assert listed(part) == [names[3]]
    done = {"operation": "EQUALS", "key": "state", "stringValue": "SUCCEEDED"}
    assert listed(done, either, sort_by="name") == names[:2]
    assert listed({**done, "stringValue": "FAILED"}) == []
    status, message = refusal(listed, {**done, "stringValue": "DONE"})
    assert status == 400 and "DONE" in message
    status, message = refusal(listed, {**done, "key": "mood"})
    assert status == 400 and "mood" in message


def a_run_is_terminated_and_deleted(client):
    run_id = client.create_run_from_pipeline_func(sleeping).run_id
    until(lambda: "RUNNING" in [task.state for task in client.get_run(run_id).run_details.task_details or []])
    status, message = refusal(client.delete_run, run_id)
    assert status == 409 and "terminate" in message
    client.terminate_run(run_id)
    run = ended(client, run_id)
    assert run.state == "CANCELED"
    assert [task.state for task in run.run_details.task_details] == ["CANCELED"]
    assert refusal(client.terminate_run, run_id)[0] == 400
    client.delete_run(run_id)
    assert refusal(client.get_run, run_id)[0] == 404


def a_failed_run_is_retried(client):
    marker = os.path.join(WORK, named("marker"))
    run_id = client.create_run_from_pipeline_func(flaky, arguments={"marker": marker}).run_id
    run = client.wait_for_run_completion(run_id, 60, sleep_duration=1)
    assert run.state == "FAILED" and "second-time" in run.error.message
    client.runs.run_service_retry_run(run_id)
    run = client.wait_for_run_completion(run_id, 60, sleep_duration=1)
    assert run.state == "SUCCEEDED" and run.error is None
    [task] = run.run_details.task_details
    assert len(task.executor_detail.failed_main_jobs) == 1
    assert [one.state for one in run.state_history][-3:] == ["FAILED", "RUNNING", "SUCCEEDED"]
    status, message = refusal(client.runs.run_service_retry_run, run_id)
    assert status == 409 and "succeeded" in message


def runs_are_archived(client):
    run_id = client.create_run_from_pipeline_func(sleeping, arguments={"seconds": 1}).run_id
    client.archive_run(run_id)
    run = ended(client, run_id)
    assert run.storage_state == "ARCHIVED", "what an engine writes leaves it archived"
    archived = {"operation": "EQUALS", "key": "storage_state", "stringValue": "ARCHIVED"}
    assert run_id in [one.run_id for one in client.list_runs(page_size=100, filter=predicates(archived)).runs]
    client.unarchive_run(run_id)
    assert client.get_run(run_id).storage_state == "AVAILABLE"


def experiments_are_kept(client):
    name = named("experiment")
    made = client.create_experiment(name, description="why")
    assert client.create_experiment(name).experiment_id == made.experiment_id
    again = client._experiment_api.experiment_service_create_experiment(
        kfp_server_api.V2beta1Experiment(display_name=name)
    )
    assert again.experiment_id == made.experiment_id
    run_id = client.run_pipeline(made.experiment_id, "inside", package(sums)).run_id
    ended(client, run_id)
    found = client.get_experiment(experiment_name=name)
    assert found.last_run_created_at == client.get_run(run_id).created_at
    every = client.create_recurring_run(
        made.experiment_id, named("every"), cron_expression="0 0 0 1 1 *", pipeline_package_path=package(sums)
    )
    client.archive_experiment(made.experiment_id)
    assert client.get_experiment(made.experiment_id).storage_state == "ARCHIVED"
    assert client.get_run(run_id).storage_state == "ARCHIVED"
    assert client.get_recurring_run(every.recurring_run_id).status == "DISABLED"
    status, message = refusal(client.run_pipeline, made.experiment_id, "no", package(sums))
    assert status == 409 and "archived" in message
    client.unarchive_experiment(made.experiment_id)
    assert client.get_experiment(made.experiment_id).storage_state == "AVAILABLE"
    client.delete_experiment(made.experiment_id)
    assert refusal(client.get_experiment, made.experiment_id)[0] == 404
    assert client.get_run(run_id).state == "SUCCEEDED"


def a_run_without_an_experiment_is_in_the_default_one(client):
    with open(package(sums).replace(".yaml", ".json"), "w") as file:
        compiler.Compiler().compile(sums, file.name)
    with open(file.name) as source:
        body = kfp_server_api.V2beta1Run(display_name="alone", pipeline_spec=json.load(source))
    run = client._run_api.run_service_create_run(run=body)
    assert run.experiment_id == client.get_experiment(experiment_name="Default").experiment_id
    assert ended(client, run.run_id).state == "SUCCEEDED"


def what_has_no_effect_is_told(client):
    experiment = client.create_experiment(named("warned")).experiment_id
    run = client.run_pipeline(experiment, "warned", package(sums), service_account="robot")
    assert run.service_account == "robot"
    warnings = run.plugins_output["cairn"].entries["warnings"].value
    assert any("service account" in warning for warning in warnings)
    ended(client, run.run_id)


def a_wrong_parameter_is_refused(client):
    experiment = client.create_experiment(named("wrong")).experiment_id
    status, message = refusal(client.run_pipeline, experiment, "wrong", package(sums), {"z": 1})
    assert status == 400 and "'z'" in message
    status, message = refusal(client.run_pipeline, experiment, "wrong", package(sums), {"x": "one"})
    assert status == 400 and "parameter x" in message
    assert client.list_runs(experiment_id=experiment).runs is None


def a_recurring_run_fires(client):
    path = os.path.join(WORK, named("lines"))
    experiment = client.create_experiment(named("recurring")).experiment_id
    made = client.create_recurring_run(
        experiment, named("every second"), interval_second=1, max_concurrency=2,
        pipeline_package_path=package(noting), params={"path": path, "line": "[[Index]]"},
    )  # fmt: skip
    assert (made.status, made.max_concurrency) == ("ENABLED", "2")
    assert made.trigger.periodic_schedule.interval_second == "1"
    until(lambda: os.path.exists(path) and len(Path(path).read_text().split()) >= 3)
    client.disable_recurring_run(made.recurring_run_id)
    assert client.get_recurring_run(made.recurring_run_id).status == "DISABLED"
    mine = predicates({"operation": "EQUALS", "key": "recurring_run_id", "stringValue": made.recurring_run_id})
    runs = client.list_runs(experiment_id=experiment, filter=mine, page_size=50).runs
    for run in runs:
        assert ended(client, run.run_id).state == "SUCCEEDED"
        assert run.recurring_run_id == made.recurring_run_id
    with open(path) as file:
        lines = file.read().split()
    assert sorted(map(int, lines)) == list(range(1, len(runs) + 1)), "each once, numbered as KFP numbers them"
    times = sorted(run.scheduled_at for run in runs)
    assert {later - earlier for earlier, later in itertools.pairwise(times)} == {datetime.timedelta(seconds=1)}
    listed = client.list_recurring_runs(experiment_id=experiment).recurring_runs
    assert [one.recurring_run_id for one in listed] == [made.recurring_run_id]
    client.enable_recurring_run(made.recurring_run_id)
    until(lambda: len(client.list_runs(experiment_id=experiment, filter=mine, page_size=50).runs) > len(runs))
    client.delete_recurring_run(made.recurring_run_id)
    assert refusal(client.get_recurring_run, made.recurring_run_id)[0] == 404
    for run in client.list_runs(experiment_id=experiment, filter=mine, page_size=50).runs:
        ended(client, run.run_id)


def a_recurring_run_of_an_uploaded_pipeline(client):
    pipeline = client.upload_pipeline(package(sums), named("recurring"))
    version = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions[0]
    experiment = client.create_experiment(named("recurring")).experiment_id
    made = client.create_recurring_run(
        experiment, "every second", cron_expression="* * * * * *", enabled=False, no_catchup=True, params={"x": 5},
        pipeline_id=pipeline.pipeline_id, version_id=version.pipeline_version_id,
        start_time="2026-01-01T00:00:00Z",
    )  # fmt: skip
    found = client.get_recurring_run(made.recurring_run_id)
    assert (found.status, found.mode, found.no_catchup) == ("DISABLED", "DISABLE", True)
    assert found.trigger.cron_schedule.cron == "* * * * * *"
    assert found.trigger.cron_schedule.start_time == datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    assert found.pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
    assert client.list_runs(experiment_id=experiment).runs is None
    client.enable_recurring_run(made.recurring_run_id)
    runs = until(lambda: client.list_runs(experiment_id=experiment).runs)
    assert runs[0].runtime_config.parameters == {"x": 5}
    client.delete_recurring_run(made.recurring_run_id)
    for run in client.list_runs(experiment_id=experiment, page_size=50).runs:
        assert ended(client, run.run_id).state == "SUCCEEDED"
    status, message = refusal(
        client.create_recurring_run, experiment, "bad", cron_expression="not cron", pipeline_package_path=package(sums)
    )
    assert status == 400 and "cron" in message


def a_namespace_is_a_project(client):
    space = named("space")
    experiment = client.create_experiment("shared name", namespace=space)
    assert experiment.namespace == space
    assert client.create_experiment("shared name").experiment_id != experiment.experiment_id
    run = client.run_pipeline(experiment.experiment_id, "there", package(sums))
    ended(client, run.run_id)
    assert [one.run_id for one in client.list_runs(namespace=space).runs] == [run.run_id]
    assert run.run_id in [one.run_id for one in client.list_runs(page_size=100, sort_by="created_at desc").runs]
    assert client.list_runs(namespace=named("empty")).runs is None
    pipeline = client.upload_pipeline(package(sums), "shared name", namespace=space)
    assert pipeline.namespace == space
    assert "shared name" not in [one.name for one in client.list_pipelines(page_size=100).pipelines or []]


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the client prints links
    client = kfp.Client(host=sys.argv[1])
    for line in sys.stdin:
        try:
            globals()[line.strip()](client)
            trace = ""
        except Exception:
            trace = traceback.format_exc()
        answers.write(json.dumps(trace) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
