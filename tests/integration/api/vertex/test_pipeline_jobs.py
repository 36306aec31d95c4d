"""Pipeline jobs over REST, with real steps."""

import concurrent.futures
import json
import os
import subprocess
import sys
import time

import pytest

PLACE = "projects/demo/locations/us-central1"
JOBS = f"/v1/{PLACE}/pipelineJobs"


@pytest.fixture
def submit(shared_server):
    def submit(spec, job_id="", place=PLACE, *, query=None, **job):
        asked = {"pipelineJobId": job_id} if job_id else {}
        return shared_server.post(f"/v1/{place}/pipelineJobs", {"pipelineSpec": spec, **job}, **asked, **(query or {}))

    return submit


@pytest.fixture
def done(shared_server, submit):
    """Submit and wait for the end."""

    def run(*arguments, **more):
        answer = submit(*arguments, **more)
        assert answer.status == 200, answer
        return shared_server.ended(answer.json["name"])

    return run


def with_parameters(spec, **types):
    spec["root"]["inputDefinitions"] = {"parameters": {name: {"parameterType": kind} for name, kind in types.items()}}
    for name, kind in types.items():
        for task in spec["root"]["dag"]["tasks"].values():
            task.setdefault("inputs", {}).setdefault("parameters", {})[name] = {"componentInputParameter": name}
        for component in spec["components"].values():
            component.setdefault("inputDefinitions", {}).setdefault("parameters", {})[name] = {"parameterType": kind}
    return spec


def test_a_job_runs_and_tells_what_it_did(done, pipeline_of, tmp_path):
    out = tmp_path / "out"
    spec = pipeline_of("telling", write=f"echo $0 > {out}", fail="exit 3")
    job = done(spec, "telling-1", displayName="Telling", labels={"team": "a"})
    assert out.exists()
    assert job["name"] == f"{PLACE}/pipelineJobs/telling-1"
    assert (job["displayName"], job["labels"], job["state"]) == ("Telling", {"team": "a"}, "PIPELINE_STATE_FAILED")
    assert job["pipelineSpec"] == spec
    assert job["createTime"] <= job["startTime"] <= job["endTime"] <= job["updateTime"]
    assert "fail" in job["error"]["message"]
    write, fail = job["jobDetail"]["taskDetails"]
    assert (write["taskName"], write["state"], fail["taskName"], fail["state"]) == (
        "write",
        "SUCCEEDED",
        "fail",
        "FAILED",
    )
    assert "3" in fail["error"]["message"] and "error" not in write
    assert [one["state"] for one in fail["pipelineTaskStatus"]] == ["PENDING", "RUNNING", "FAILED"]
    assert write["createTime"] <= write["startTime"] <= write["endTime"] <= fail["startTime"]
    assert write["execution"]["state"] == "COMPLETE" and fail["execution"]["state"] == "FAILED"
    assert job["jobDetail"]["pipelineRunContext"]["name"].endswith("/metadataStores/default/contexts/telling-1")


def test_the_contexts_and_executions_that_a_job_names_are_in_the_metadata_store(done, shared_server, pipeline_of):
    job = done(pipeline_of("linked", a="true"), "linked-1")
    detail = job["jobDetail"]
    for named in (detail["pipelineContext"], detail["pipelineRunContext"], detail["taskDetails"][0]["execution"]):
        there = shared_server.get(f"/v1/{named['name']}")
        assert there.status == 200 and there.json["schemaTitle"] == named["schemaTitle"], there


def test_parameters_of_both_kinds_reach_the_steps(done, pipeline_of, tmp_path):
    out = tmp_path / "out"
    for kind, given in (
        ("parameterValues", {"n": 3.0, "x": 2, "text": "a b", "l": [1.0, 2.5, {"k": 2.0}]}),
        ("parameters", {"n": {"intValue": "3"}, "x": {"doubleValue": 2}, "text": {"stringValue": "a b"}}),
    ):
        spec = pipeline_of("parameters", write="unused")
        types = {"n": "NUMBER_INTEGER", "x": "NUMBER_DOUBLE", "text": "STRING"}
        with_parameters(spec, **types, **({"l": "LIST"} if "l" in given else {}))
        shown = " ".join("{{$.inputs.parameters['" + name + "']}}" for name in given)
        container = spec["deploymentSpec"]["executors"]["exec-write"]["container"]
        container["command"] = ["sh", "-c", f'echo "$0" > {out}', shown]
        job = done(spec, runtimeConfig={kind: given})
        assert job["state"] == "PIPELINE_STATE_SUCCEEDED", job
        assert out.read_text().startswith("3 2.0 a b")
        if "l" in given:
            assert json.loads(out.read_text().split(" ", 4)[4]) == [1, 2.5, {"k": 2}]
        assert job["runtimeConfig"]["parameterValues"]["n"] == 3


def test_what_has_no_effect_is_accepted_with_a_warning_and_told_back(submit, shared_server, pipeline_of):
    told = {
        "serviceAccount": "a@b",
        "network": "projects/1/global/networks/n",
        "reservedIpRanges": ["r"],
        "encryptionSpec": {"kmsKeyName": "k"},
    }
    answer = submit(pipeline_of("warned", a="true"), **told)
    assert {key: answer.json[key] for key in told} == told
    assert "service account has no effect" in answer.headers["x-cairn-warnings"]
    job = shared_server.ended(answer.json["name"])
    assert {key: job[key] for key in told} == told


@pytest.mark.parametrize(
    ("job", "job_id", "words"),
    [
        ({"pipelineSpec": {}}, "", "pipelineSpec"),
        ({"pipelineSpec": {"root": {}}}, "", "pipelineSpec"),
        ({"pipelineSpecs": {}}, "", "pipelineSpecs"),
        ({"templateUri": "https://us-central1-kfp.pkg.dev/p/r/t/v1"}, "", "registry"),
        ({"templateUri": "gs://nothing/here.json"}, "", "no object"),
        ({"labels": {"Team": "x"}}, "", "labels"),
        ({"labels": {"team": "x" * 65}}, "", "labels"),
        ({"displayName": "x" * 129}, "", "displayName"),
        ({"runtimeConfig": {"parameterValues": {"nme": 1}}}, "", "nme"),
        ({"runtimeConfig": {"inputArtifacts": {"a": {"artifactId": "404"}}}}, "", "inputArtifacts.a"),
        ({}, "Upper", "pipelineJobId"),
        ({}, "x" * 129, "pipelineJobId"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_runs(shared_server, pipeline_of, job, job_id, words):
    place = "projects/refused/locations/us-central1"
    asked = {"pipelineJobId": job_id} if job_id else {}
    body = {"pipelineSpec": pipeline_of("refused", a="true"), **job}
    if "templateUri" in job:
        del body["pipelineSpec"]
    answer = shared_server.post(f"/v1/{place}/pipelineJobs", body, **asked)
    assert 400 <= answer.status < 500 and words in answer.error, answer
    assert shared_server.get(f"/v1/{place}/pipelineJobs").json == {}


def test_a_template_in_a_bucket_is_read(done, shared_server, pipeline_of):
    spec = pipeline_of("template", a="true")
    stored = shared_server.home / "buckets" / "gs" / "templates"
    stored.mkdir(parents=True, exist_ok=True)
    (stored / "t.json").write_text(json.dumps(spec))
    assert shared_server.post(JOBS, {"templateUri": "gs://templates/t.json"}).status == 200


def test_an_id_is_taken_once(submit, pipeline_of):
    spec = pipeline_of("taken", a="true")
    assert submit(spec, "taken-1").status == 200
    again = submit(spec, "taken-1")
    assert (again.status, again.json["error"]["status"]) == (409, "ALREADY_EXISTS")
    assert submit(spec, "taken-1", "projects/other/locations/us-central1").status == 200


def test_submits_with_one_request_id_are_one_run(submit, shared_server, pipeline_of, tmp_path):
    out = tmp_path / "out"
    spec = pipeline_of("repeated", a=f"echo x >> {out}")
    place = "projects/repeated/locations/us-central1"
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: submit(spec, place=place, query={"requestId": "r-1"}), range(60)))
    assert {answer.status for answer in answers} == {200}
    [name] = {answer.json["name"] for answer in answers}
    assert shared_server.ended(name)["state"] == "PIPELINE_STATE_SUCCEEDED"
    assert len(shared_server.get(f"/v1/{place}/pipelineJobs").json["pipelineJobs"]) == 1
    assert out.read_text() == "x\n"
    header = shared_server.request(
        "POST", f"/v1/{place}/pipelineJobs", {"pipelineSpec": spec}, headers={"X-Goog-Request-Id": "r-1"}
    )
    assert header.json["name"] == name


def test_a_running_job_is_cancelled_and_only_then_deleted(submit, shared_server, pipeline_of):
    name = submit(pipeline_of("cancelled", wait="sleep 60", never="true")).json["name"]
    until = time.monotonic() + 20
    while not (tasks := shared_server.get(f"/v1/{name}").json["jobDetail"]["taskDetails"]):
        assert time.monotonic() < until
        time.sleep(0.05)
    [task] = tasks
    assert (task["taskName"], task["state"]) == ("wait", "RUNNING")
    refused = shared_server.delete(f"/v1/{name}")
    assert (refused.status, refused.json["error"]["status"]) == (400, "FAILED_PRECONDITION")
    assert shared_server.post(f"/v1/{name}:cancel").json == {}
    job = shared_server.ended(name)
    assert job["state"] == "PIPELINE_STATE_CANCELLED" and job["error"]["code"] == 1
    assert {one["taskName"]: one["state"] for one in job["jobDetail"]["taskDetails"]}["wait"] == "CANCELLED"
    assert task["taskId"] in {one["taskId"] for one in job["jobDetail"]["taskDetails"]}
    assert shared_server.post(f"/v1/{name}:cancel").json["error"]["status"] == "FAILED_PRECONDITION"
    operation = shared_server.delete(f"/v1/{name}").json
    assert operation["done"] and operation["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}
    assert shared_server.get(f"/v1/{operation['name']}").json == operation
    assert shared_server.get(f"/ui/{operation['name']}").json == operation
    assert operation in shared_server.get(f"/v1/{PLACE}/operations").json["operations"]
    assert shared_server.post(f"/v1/{operation['name']}:wait").json == operation
    assert shared_server.delete(f"/v1/{operation['name']}").status == 200
    assert shared_server.get(f"/v1/{operation['name']}").status == 404
    assert shared_server.get(f"/v1/{name}").status == 404
    assert shared_server.delete(f"/v1/{name}").status == 404


def test_deleting_a_job_leaves_what_lies_in_a_bucket(done, shared_server, pipeline_of):
    spec = pipeline_of("kept", a="unused")
    spec["components"]["comp-a"]["outputDefinitions"] = {
        "artifacts": {"data": {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}}
    }
    spec["deploymentSpec"]["executors"]["exec-a"]["container"]["command"] = [
        "sh", "-c", 'mkdir -p "$(dirname "$0")" && echo kept > "$0"', "{{$.outputs.artifacts['data'].path}}",
    ]  # fmt: skip
    job = done(spec, runtimeConfig={"gcsOutputDirectory": "gs://kept/root"})
    assert job["state"] == "PIPELINE_STATE_SUCCEEDED", job
    [data] = job["jobDetail"]["taskDetails"][0]["outputs"]["data"]["artifacts"]
    assert data["uri"].startswith("gs://kept/root/")
    assert shared_server.get(f"/v1/{data['name']}").json["uri"] == data["uri"]
    assert shared_server.delete(f"/v1/{job['name']}").status == 200
    found = [path for path in shared_server.home.rglob("*") if path.is_file() and path.read_bytes() == b"kept\n"]
    assert len(found) == 1, found


def test_batches_are_all_or_none(submit, shared_server, pipeline_of):
    names = [submit(pipeline_of("batch", a="sleep 60")).json["name"] for _ in range(2)]
    missing = f"{PLACE}/pipelineJobs/missing"
    assert shared_server.post(f"{JOBS}:batchCancel", {"names": [*names, missing]}).status == 404
    assert shared_server.post(f"{JOBS}:batchDelete", {"names": names}).status == 400
    elsewhere = "projects/other/locations/us-central1/pipelineJobs/x"
    assert shared_server.post(f"{JOBS}:batchDelete", {"names": [elsewhere]}).status == 400
    operation = shared_server.post(f"{JOBS}:batchCancel", {"names": names}).json
    assert [job["name"] for job in operation["response"]["pipelineJobs"]] == names
    for name in names:
        assert shared_server.ended(name)["state"] == "PIPELINE_STATE_CANCELLED"
    operation = shared_server.post(f"{JOBS}:batchDelete", {"names": names}).json
    assert len(operation["response"]["pipelineJobs"]) == 2
    assert [shared_server.get(f"/v1/{name}").status for name in names] == [404, 404]


def test_lists_are_filtered_ordered_and_paged(submit, shared_server, pipeline_of):
    place = "projects/lists/locations/us-central1"
    jobs = f"/v1/{place}/pipelineJobs"
    for number in range(7):
        answer = submit(
            pipeline_of("listed" if number % 2 else "other", a="exit 1" if number == 3 else "true"),
            f"job-{number}",
            place,
            displayName=f"name {number}",
            labels={"turn": str(number % 3)},
        )
        shared_server.ended(answer.json["name"])

    def listed(**query):
        answer = shared_server.get(jobs, **query)
        assert answer.status == 200, answer
        return [int(job["name"].rpartition("-")[2]) for job in answer.json.get("pipelineJobs", [])]

    everything = shared_server.get(jobs).json
    assert listed() == [6, 5, 4, 3, 2, 1, 0] and "nextPageToken" not in everything
    assert all("jobDetail" not in job and "pipelineSpec" in job for job in everything["pipelineJobs"])
    assert listed(filter='pipeline_name="listed"') == [5, 3, 1]
    assert listed(filter='display_name="name 2" OR labels.turn=0') == [6, 3, 2, 0]
    assert listed(filter='state="PIPELINE_STATE_FAILED"') == listed(filter="state=5") == [3]
    assert listed(filter='state!="PIPELINE_STATE_FAILED" AND labels.turn:*') == [6, 5, 4, 2, 1, 0]
    assert listed(filter='state="PIPELINE_STATE_PAUSED"') == []
    assert listed(filter='pipeline_job_user_id:"*b-4"') == [4]
    assert listed(filter='displayName="name 4"') == [4]
    middle = everything["pipelineJobs"][3]["createTime"]
    assert listed(filter=f'create_time>"{middle}"') == [6, 5, 4]
    assert listed(filter=f'create_time<="{middle}" AND NOT labels.turn=0') == [2, 1]
    assert listed(orderBy="create_time") == [0, 1, 2, 3, 4, 5, 6]
    assert listed(orderBy="end_time desc") == [6, 5, 4, 3, 2, 1, 0]
    masked = shared_server.get(jobs, readMask="name,pipelineSpec.pipelineInfo,jobDetail.pipelineRunContext.name").json
    assert masked["pipelineJobs"][0].keys() == {"name", "pipelineSpec", "jobDetail"}
    assert masked["pipelineJobs"][0]["pipelineSpec"] == {"pipelineInfo": {"name": "other"}}

    seen, token = [], ""
    while True:
        page = shared_server.get(jobs, pageSize="3", pageToken=token, filter="labels.turn:*").json
        seen += [job["name"] for job in page["pipelineJobs"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
        first = token
    assert seen == [job["name"] for job in everything["pipelineJobs"]]
    assert shared_server.get(jobs, pageSize="3", pageToken=first).status == 400, "a token is bound to its query"
    for query in ({"filter": "nothing=1"}, {"filter": "state=="}, {"orderBy": "labels"}, {"pageSize": "-1"},
                  {"pageToken": "x"}, {"readMask": "nme"}):  # fmt: skip
        assert shared_server.get(jobs, **query).status == 400, query


def test_what_arrives_written_otherwise_takes_the_same_cached_results(serve, tmp_path, pipeline_of):
    """Clients send a spec with its keys in another order and every number a float."""
    server = serve(tmp_path / "home")
    spec = pipeline_of("cached", a=f"echo x >> {tmp_path}/out")
    spec["root"]["dag"]["tasks"]["a"]["cachingOptions"] = {"enableCache": True, "cacheKey": "mine"}
    with_parameters(spec, l="LIST")
    states = []
    for turn in (spec, floats(reverse(spec))):
        answer = server.post(JOBS, {"pipelineSpec": turn, "runtimeConfig": {"parameterValues": {"l": [1, 2.0]}}})
        job = server.ended(answer.json["name"])
        states.append(job["jobDetail"]["taskDetails"][0]["state"])
    assert states == ["SUCCEEDED", "SKIPPED"]
    assert (tmp_path / "out").read_text() == "x\n"


def test_a_pipeline_that_the_command_line_ran_is_found_in_the_cache(serve, tmp_path, pipeline_of):
    server = serve(tmp_path / "home")
    spec = pipeline_of("shared", a=f"echo x >> {tmp_path}/out")
    spec["root"]["dag"]["tasks"]["a"]["cachingOptions"] = {"enableCache": True, "cacheKey": "mine"}
    with_parameters(spec, l="LIST", x="NUMBER_DOUBLE")
    spec["root"]["inputDefinitions"]["parameters"]["l"]["defaultValue"] = [1, 2]
    file = tmp_path / "shared.json"
    file.write_text(json.dumps(spec))
    done = subprocess.run(
        [sys.executable, "-m", "cairn", "run", str(file), "x=2", "--json"],
        env={**os.environ, "CAIRN_HOME": str(server.home)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = server.post(
        "/v1/projects/default/locations/local/pipelineJobs",
        {"pipelineSpec": floats(reverse(spec)), "runtimeConfig": {"parameterValues": {"x": 2}}},
    )
    job = server.ended(answer.json["name"])
    assert job["jobDetail"]["taskDetails"][0]["state"] == "SKIPPED"
    assert (tmp_path / "out").read_text() == "x\n"


def reverse(value):
    if isinstance(value, dict):
        return {key: reverse(value[key]) for key in reversed(value)}
    return value


def floats(value):
    if isinstance(value, dict):
        return {key: floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [floats(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def test_a_server_that_is_killed_loses_no_job(serve, tmp_path, pipeline_of):
    home = tmp_path / "home"
    server = serve(home)
    name = server.post(JOBS, {"pipelineSpec": pipeline_of("killed", a="sleep 1", b="true")}).json["name"]
    server.kill()
    assert serve(home).ended(name)["state"] == "PIPELINE_STATE_SUCCEEDED"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_project_has_one_number(shared_server, number):
    path = ("/v1/projects/demo", "/v3/projects/demo", None)[number]
    project = shared_server.get(path or shared_server.get("/v3/projects/demo").json["name"].join(("/v3/", ""))).json
    assert project["projectId"] == "demo" if path else project["name"]
    assert project["name"] == shared_server.get("/v1/projects/demo").json["name"]


def test_locations_are_those_in_use(shared_server, submit, pipeline_of):
    submit(pipeline_of("placed", a="true"), place="projects/placed/locations/europe-west4")
    found = shared_server.get("/v1/projects/placed/locations").json["locations"]
    assert [one["locationId"] for one in found] == ["europe-west4", "local"]
    assert shared_server.get(f"/ui/{PLACE}").json["name"] == PLACE


def test_what_this_version_lacks_is_unimplemented(shared_server):
    for answer in (
        shared_server.post(f"/v1/{PLACE}/batchPredictionJobs", {"displayName": "x"}),
        shared_server.get(f"/v1/{PLACE}/models/7"),
        shared_server.post(f"/v1/{PLACE}/endpoints/7:predict", {"instances": []}),
    ):
        assert (answer.status, answer.json["error"]["status"]) == (501, "UNIMPLEMENTED")
        assert "not in this version" in answer.error
