"""Custom jobs over REST, with real steps."""

import time

import pytest

PLACE = "projects/jobs/locations/us-central1"
JOBS = f"/v1/{PLACE}/customJobs"
ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")


def spec_of(script, *, replicas=1, **more):
    """Of one pool that runs a shell script."""
    pool = {
        "machineSpec": {"machineType": "n1-standard-4"},
        "replicaCount": str(replicas),
        "containerSpec": {"imageUri": "python:3.12", "command": ["sh", "-c", script]},
    }
    return {"workerPoolSpecs": [pool], **more}


def job_of(script, display_name="a job", *, labels=None, **spec):
    return {"displayName": display_name, "jobSpec": spec_of(script, **spec), **({"labels": labels} if labels else {})}


@pytest.fixture
def create(shared_server):
    def create(job, **query):
        answer = shared_server.post(JOBS, job, **query)
        assert answer.status == 200, answer
        return answer.json

    return create


@pytest.fixture
def ended(shared_server):
    def ended(name, seconds=60):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            job = shared_server.get(f"/v1/{name}").json
            if job["state"] in ENDED:
                return job
            time.sleep(0.05)
        raise AssertionError(f"{name} does not end: {job}")

    return ended


def test_a_job_runs_and_is_told_back_as_it_was_given(shared_server, create, ended, tmp_path):
    out = tmp_path / "out"
    given = job_of(f"echo ran > {out}", "Telling", labels={"team": "a"}, enableWebAccess=True)
    made = create({**given, "name": "mine", "state": "JOB_STATE_FAILED"})
    assert made["name"].startswith(f"{PLACE}/customJobs/") and made["name"].rpartition("/")[2].isdecimal()
    assert made["state"] in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING")
    job = ended(made["name"])
    assert job["state"] == "JOB_STATE_SUCCEEDED" and out.read_text() == "ran\n"
    assert {name: job[name] for name in given} == given
    assert job["createTime"] <= job["startTime"] <= job["endTime"] <= job["updateTime"]
    assert "error" not in job and "webAccessUris" not in job


def test_what_has_no_effect_here_is_warned_about(shared_server):
    told = {"network": "projects/1/global/networks/n", "enableWebAccess": True, "persistentResourceId": "held"}
    answer = shared_server.post(JOBS, job_of("true", **told))
    assert answer.status == 200
    warning = answer.headers["x-cairn-warnings"]
    assert all(word in warning for word in ("the network", "web access", "the persistent resource")), warning
    assert {name: answer.json["jobSpec"][name] for name in told} == told


def test_a_job_that_fails_says_how(create, ended):
    job = ended(create(job_of("echo last words; exit 7"))["name"])
    assert job["state"] == "JOB_STATE_FAILED"
    assert "7" in job["error"]["message"] and job["error"]["code"]


def test_requests_with_one_id_make_one_job(shared_server, create):
    job = job_of("true", "once")
    first, second = create(job, requestId="again"), create(job, requestId="again")
    assert first["name"] == second["name"]
    other = shared_server.post(f"/v1/{PLACE}/trainingPipelines", training("true", "once"), requestId="again")
    assert other.json["name"].rpartition("/")[2] != first["name"].rpartition("/")[2]


def test_lists_are_filtered_paged_and_masked(shared_server, create, ended):
    for number in range(3):
        create(job_of("true", f"listed {number}", labels={"suite": "list", "number": str(number)}))
    failing = create(job_of("exit 1", "listed failing", labels={"suite": "list"}))
    ended(failing["name"])

    def names(text, **more):
        answer = shared_server.get(JOBS, filter=text, **more).json
        return [job["displayName"] for job in answer.get("customJobs", [])], answer.get("nextPageToken", "")

    assert names('labels.suite="list"')[0] == ["listed failing", "listed 2", "listed 1", "listed 0"]
    assert names('display_name="listed 1" OR display_name:"listed f*"')[0] == ["listed failing", "listed 1"]
    assert names('labels.suite=list AND state="JOB_STATE_FAILED"')[0] == ["listed failing"]
    assert names("labels.suite=list AND state=JOB_STATE_EXPIRED")[0] == []
    assert names(f'labels.suite=list AND create_time>="{failing["createTime"]}"')[0] == ["listed failing"]
    assert names("labels.number:*")[0] == ["listed 2", "listed 1", "listed 0"]
    first, token = names('labels.suite="list"', pageSize=3)
    second, end = names('labels.suite="list"', pageSize=3, pageToken=token)
    assert (len(first), second, end) == (3, ["listed 0"], "")
    masked = shared_server.get(JOBS, filter='display_name="listed 1"', readMask="name,state").json["customJobs"]
    assert set(masked[0]) == {"name", "state"}
    refused = shared_server.get(JOBS, filter="pipeline_name=x")
    assert refused.status == 400 and "display_name" in refused.error
    assert shared_server.get(JOBS, pageSize=-1).status == 400


def test_jobs_and_pipelines_are_not_each_other(shared_server, create):
    made = create(job_of("true", "no pipeline"))
    id_ = made["name"].rpartition("/")[2]
    assert shared_server.get(f"/v1/{PLACE}/pipelineJobs/{id_}").status == 404
    assert shared_server.get(f"/v1/{PLACE}/trainingPipelines/{id_}").status == 404
    assert shared_server.get(f"/v1/{PLACE}/pipelineJobs").json == {}
    assert shared_server.get(f"/v1/projects/other/locations/us-central1/customJobs/{id_}").status == 404


def test_a_job_is_cancelled_then_deleted(shared_server, create, ended):
    name = create(job_of("sleep 60"))["name"]
    while shared_server.get(f"/v1/{name}").json["state"] != "JOB_STATE_RUNNING":
        time.sleep(0.05)
    refused = shared_server.delete(f"/v1/{name}")
    assert refused.status == 400 and refused.json["error"]["status"] == "FAILED_PRECONDITION"
    assert "cancel it" in refused.error
    assert shared_server.post(f"/v1/{name}:cancel").json == {}
    job = ended(name)
    assert (job["state"], job["error"]["code"]) == ("JOB_STATE_CANCELLED", 1)
    assert shared_server.post(f"/v1/{name}:cancel").json["error"]["status"] == "FAILED_PRECONDITION"
    operation = shared_server.delete(f"/v1/{name}").json
    assert operation["done"] and operation["response"]["@type"].endswith("google.protobuf.Empty")
    assert shared_server.get(f"/v1/{name}").status == 404


def without(job, *path):
    inner = job
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return job


def packaged(uri):
    job = job_of("true")
    package = {"executorImageUri": "i", "packageUris": [uri], "pythonModule": "m"}
    job["jobSpec"]["workerPoolSpecs"][0] = {"pythonPackageSpec": package}
    return job


def with_machine(machine_type):
    job = job_of("true")
    job["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["machineType"] = machine_type
    return job


@pytest.mark.parametrize(
    ("job", "field"),
    [
        (without(job_of("true"), "displayName"), "customJob.displayName"),
        (job_of("true", "x" * 129), "customJob.displayName"),
        (job_of("true", labels={"Team": "a"}), "customJob.labels.Team"),
        (without(job_of("true"), "jobSpec"), "customJob.jobSpec"),
        (without(job_of("true"), "jobSpec", "workerPoolSpecs"), "customJob.jobSpec.workerPoolSpecs"),
        (job_of("true", experiment="mine"), "customJob.jobSpec.experiment"),
        (job_of("true", experimentRun="mine"), "customJob.jobSpec.experimentRun"),
        (job_of("true", experiment=f"{PLACE}/metadataStores/default/contexts/none"), "customJob.jobSpec.experiment"),
        (job_of("true", scheduling={"timeout": "soon"}), "customJob.jobSpec.scheduling.timeout"),
        (job_of("true", surprise=1), "customJob.jobSpec.surprise"),
        (
            without(job_of("true"), "jobSpec", "workerPoolSpecs", 0, "containerSpec", "imageUri"),
            "customJob.jobSpec.workerPoolSpecs[0].containerSpec.imageUri: ",
        ),
        (
            job_of("true", baseOutputDirectory={"outputUriPrefix": "gs://b/{{$.pipeline_job_name}}"}),
            "customJob.jobSpec.baseOutputDirectory.outputUriPrefix: ",
        ),
        *(
            (
                job_of("true", baseOutputDirectory={"outputUriPrefix": prefix}),
                "customJob.jobSpec.baseOutputDirectory.outputUriPrefix: jobs cannot write to",
            )
            for prefix in ("http://169.254.169.254/", "relative")
        ),
        (job_of("true", replicas=-1), "customJob.jobSpec.workerPoolSpecs[0].replicaCount: "),
        (
            without(job_of("true"), "jobSpec", "workerPoolSpecs", 0, "containerSpec"),
            "customJob.jobSpec.workerPoolSpecs[0]: ",
        ),
        (with_machine("n1-standard-5"), "customJob.jobSpec: "),
        (packaged("gs://mine/train.json"), "customJob.jobSpec: /gcs/mine/train.json: "),
    ],
)
def test_what_is_wrong_is_named(shared_server, job, field):
    answer = shared_server.post(JOBS, job)
    assert answer.status in (400, 404), answer
    assert field in answer.error


def test_logs_of_a_job_are_read_by_its_id(shared_server, create, ended):
    name = ended(create(job_of("echo to out; echo to err >&2"))["name"])["name"]
    run = name.rpartition("/")[2]
    assert shared_server.get(f"/cairn/v1/runs/{run}/logs").content == b"to out\nto err\n"
    assert shared_server.get(f"/cairn/v1/runs/{run}/logs", stream="stderr").content == b"to err\n"
    shown = shared_server.get(f"/cairn/v1/runs/{run}").json
    assert shown["state"] == "SUCCEEDED" and run in shown["job_id"]


def test_a_job_of_an_experiment_is_given_a_run_of_it(shared_server, create, ended):
    contexts = f"/v1/{PLACE}/metadataStores/default/contexts"
    made = shared_server.post(contexts, {"schemaTitle": "system.Experiment"}, contextId="tried")
    assert made.status == 200, made
    name = made.json["name"]
    job = ended(create(job_of("echo $AIP_EXPERIMENT_NAME $AIP_EXPERIMENT_RUN_NAME", experiment=name))["name"])
    run = job["jobSpec"]["experimentRun"]
    assert run.startswith(f"{name}-job-")
    logs = shared_server.get(f"/cairn/v1/runs/{job['name'].rpartition('/')[2]}/logs").content.decode()
    assert logs == f"{name} {run}\n"
    found = shared_server.get(f"/v1/{run}").json
    assert (found["schemaTitle"], found["parentContexts"]) == ("system.ExperimentRun", [name])
    assert found["metadata"]["_state"] == "RUNNING"


def test_a_job_of_a_tensorboard_needs_one_and_a_place_for_its_logs(shared_server, create, ended):
    made = shared_server.post(f"/v1/{PLACE}/tensorboards", {"displayName": "watched"}).json["response"]["name"]
    output = {"outputUriPrefix": "gs://watched/out"}
    said = "echo $AIP_TENSORBOARD_RESOURCE_NAME $AIP_TENSORBOARD_LOG_DIR"
    job = ended(create(job_of(said, tensorboard=made, baseOutputDirectory=output))["name"])
    logs = shared_server.get(f"/cairn/v1/runs/{job['name'].rpartition('/')[2]}/logs").content.decode()
    assert logs == f"{made} gs://watched/out/logs/\n"
    for spec, field in (
        ({"tensorboard": made}, "customJob.jobSpec.baseOutputDirectory"),
        ({"tensorboard": made + "7", "baseOutputDirectory": output}, "customJob.jobSpec.tensorboard"),
        ({"tensorboard": made.replace("jobs", "other")}, "customJob.jobSpec.tensorboard"),
        ({"tensorboard": "mine"}, "customJob.jobSpec.tensorboard"),
    ):
        assert field in shared_server.post(JOBS, job_of("true", **spec)).error


# --- training pipelines ----------------------------------------------------------------------------------------------

PIPELINES = f"/v1/{PLACE}/trainingPipelines"
DEFINITION = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
SNAKE = {
    "worker_pool_specs": [
        {
            "machine_spec": {"machine_type": "n1-standard-4", "accelerator_type": "ACCELERATOR_TYPE_UNSPECIFIED"},
            "replica_count": 1.0,  # as a Struct has it
            "disk_spec": {"boot_disk_type": "pd-ssd", "boot_disk_size_gb": 100},
            "container_spec": {"image_uri": "python:3.12", "command": ["sh", "-c", "echo $TOLD"], "args": [],
                               "env": [{"name": "TOLD", "value": "told"}]},
        },
        {},
    ],
    "base_output_directory": {"output_uri_prefix": "gs://training/out"},
    "scheduling": {"timeout": "100s", "restart_job_on_worker_restart": False, "disable_retries": False,
                   "strategy": 4.0, "max_wait_duration": None},
}  # fmt: skip


def training(script, display_name="trained", **more):
    return {
        "displayName": display_name,
        "trainingTaskDefinition": DEFINITION,
        "trainingTaskInputs": spec_of(script),
        **more,
    }


@pytest.fixture
def trained(shared_server):
    def trained(given, seconds=60):
        answer = shared_server.post(PIPELINES, given)
        assert answer.status == 200, answer
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = shared_server.get(f"/v1/{answer.json['name']}").json
            if "endTime" in found:
                return found
            time.sleep(0.05)
        raise AssertionError(found)

    return trained


def test_a_training_pipeline_is_a_custom_job_too(shared_server, trained):
    found = trained({**training(""), "trainingTaskInputs": SNAKE, "labels": {"suite": "training"}})
    assert found["state"] == "PIPELINE_STATE_SUCCEEDED"
    assert found["trainingTaskInputs"] == SNAKE
    assert found["trainingTaskDefinition"] == DEFINITION
    backing = found["trainingTaskMetadata"]["backingCustomJob"]
    job = shared_server.get(f"/v1/{backing}").json
    assert (job["state"], job["displayName"]) == ("JOB_STATE_SUCCEEDED", "trained")
    assert job["jobSpec"]["baseOutputDirectory"] == {"outputUriPrefix": "gs://training/out"}
    assert job["jobSpec"]["scheduling"]["strategy"] == "SPOT"
    run = backing.rpartition("/")[2]
    assert shared_server.get(f"/cairn/v1/runs/{run}/logs").content == b"told\n"
    listed = shared_server.get(PIPELINES, filter=f'labels.suite=training AND training_task_definition="{DEFINITION}"')
    assert [one["name"] for one in listed.json["trainingPipelines"]] == [found["name"]]
    assert shared_server.get(PIPELINES, filter='training_task_definition:"*automl*"').json == {}
    both = shared_server.get(JOBS, filter="labels.suite=training").json["customJobs"]
    assert [one["name"] for one in both] == [backing]
    shared_server.delete(f"/v1/{found['name']}")
    assert shared_server.get(f"/v1/{backing}").status == 404


def test_a_training_pipeline_that_fails_or_is_cancelled(shared_server, trained):
    failed = trained(training("exit 3"))
    assert failed["state"] == "PIPELINE_STATE_FAILED" and "3" in failed["error"]["message"]
    name = shared_server.post(PIPELINES, training("sleep 60")).json["name"]
    assert shared_server.post(f"/v1/{name}:cancel").json == {}
    until = time.monotonic() + 30
    while "endTime" not in shared_server.get(f"/v1/{name}").json and time.monotonic() < until:
        time.sleep(0.05)
    assert shared_server.get(f"/v1/{name}").json["state"] == "PIPELINE_STATE_CANCELLED"


def test_data_that_lies_where_an_export_would_is_found(shared_server, trained):
    folder = shared_server.home / "buckets" / "gs" / "lake" / "exports" / "dataset-77-tables-2026-01-01"
    folder.mkdir(parents=True)
    (folder / "training-00.csv").write_text("1\n")
    (folder / "test-00.csv").write_text("2\n")
    config = {"datasetId": "77", "gcsDestination": {"outputUriPrefix": "gs://lake/exports"}}
    script = 'echo $AIP_DATA_FORMAT "$AIP_TRAINING_DATA_URI" "$AIP_TEST_DATA_URI" $AIP_VALIDATION_DATA_URI'
    found = trained(training(script, inputDataConfig=config))
    assert found["inputDataConfig"] == config
    run = found["name"].rpartition("/")[2]
    base = "gs://lake/exports/dataset-77-tables-2026-01-01"
    told = shared_server.get(f"/cairn/v1/runs/{run}/logs").content.decode()
    assert told == f"csv {base}/training-*.csv {base}/test-*.csv\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trainingTaskDefinition": DEFINITION.replace("custom_task", "automl_tabular")}, "automl_tabular"),
        ({"trainingTaskDefinition": "custom"}, "trainingPipeline.trainingTaskDefinition"),
        ({"modelToUpload": {"displayName": "m", "containerSpec": {"imageUri": "i"}}}, "trainingPipeline.modelToUpload"),
        ({"trainingTaskInputs": {}}, "trainingPipeline.trainingTaskInputs"),
        ({"trainingTaskInputs": {"worker_pool_specs": [], "unknown": 1}}, "trainingTaskInputs.unknown"),
        ({"trainingTaskInputs": {"scheduling": {}}}, "trainingTaskInputs"),
        ({"displayName": ""}, "trainingPipeline.displayName"),
        ({"inputDataConfig": {"datasetId": "1"}}, "trainingPipeline.inputDataConfig.gcsDestination"),
        ({"inputDataConfig": {"datasetId": "1", "gcsDestination": {"outputUriPrefix": "gs://lake"}}}, "dataset-1/"),
        ({"inputDataConfig": {"datasetId": "1", "bigqueryDestination": {"outputUri": "bq://p"}}}, "BigQuery"),
    ],
)
def test_what_is_wrong_with_a_training_pipeline_is_named(shared_server, change, said):
    answer = shared_server.post(PIPELINES, training("true", **change))
    assert answer.status in (400, 404, 501), answer
    assert said in answer.error


def test_logs_of_replicas(shared_server, create, ended):
    said = 'echo $CLUSTER_SPEC | sed \'s/.*"type": "\\([a-z0-9]*\\)", "index": \\([0-9]\\).*/\\1-\\2/\''
    spec = spec_of(said)
    spec["workerPoolSpecs"] += spec_of(said, replicas=2)["workerPoolSpecs"]
    job = ended(create({"displayName": "several", "jobSpec": spec})["name"])
    assert job["state"] == "JOB_STATE_SUCCEEDED"
    logs = f"/cairn/v1/runs/{job['name'].rpartition('/')[2]}/logs"
    assert shared_server.get(logs).content == b"workerpool0-0\nworkerpool1-0\nworkerpool1-1\n"
    assert shared_server.get(logs, replica="workerpool1-1").content == b"workerpool1-1\n"
    assert shared_server.get(logs, replica="workerpool7-0").status == 404
    events = shared_server.get(logs.replace("/logs", "/events"), logs="true").content.decode()
    assert '"replica":"workerpool1-0","stream":"stdout","text":"workerpool1-0' in events
