"""Buckets that a request names in its body are held to the boundary between projects too."""

import json
import time

import pytest

from cairn.api.accounts.registry import create_token
from cairn.wiring import open_cairn

MINE = "mine"
ROOT = f"/v1/projects/{MINE}/locations/local"
CONFIGURATION = '[images]\n"*" = "host"\n[server]\nauthentication = "required"\n'
ROLES = {"mary": {MINE: "editor"}, "stranger": {"theirs": "admin"}, "viewer": {MINE: "viewer"}}
THEIRS = "/v1/projects/theirs/locations/local"
SECRET = "gs://mine-alone/pipeline.json"
KFP = "/apis/v2beta1"


@pytest.fixture
def guarded(serve, tmp_path, pipeline_of):
    """A bucket of `mine` with a pipeline in it, and `stranger`, who has nothing there."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(CONFIGURATION)
    with open_cairn(str(home)) as cairn:
        tokens = {name: create_token(cairn.records, name, roles)[1] for name, roles in ROLES.items()}
    server = serve(home)

    def ask(who, method, path, body=None, **query):
        headers = {"Authorization": f"Bearer {tokens[who]}"}
        return server.request(method, path, body, query=query, headers=headers)

    assert ask("mary", "POST", "/storage/v1/b", {"name": "mine-alone"}, project=MINE).status == 200
    content = json.dumps(pipeline_of("secret", greet="echo hi")).encode()
    upload = {"uploadType": "media", "name": "pipeline.json"}
    assert ask("mary", "POST", "/upload/storage/v1/b/mine-alone/o", content, **upload).status == 200
    return ask


def from_template(uri):
    return "pipelineJobs", {"templateUri": uri}


def scheduled(uri):
    job = {"pipelineJob": {"templateUri": uri}}
    cron = {"displayName": "s", "cron": "0 0 1 1 *", "maxConcurrentRunCount": "1"}
    return "schedules", {**cron, "createPipelineJobRequest": job}


@pytest.mark.parametrize("request_of", [from_template, scheduled])
def test_a_template_in_a_strangers_bucket_is_not_there(guarded, request_of):
    path, body = request_of(SECRET)
    refused = guarded("stranger", "POST", f"{THEIRS}/{path}", body)
    missing = guarded("stranger", "POST", f"{THEIRS}/{path}", request_of("gs://mine-alone/none.json")[1])
    assert refused.status == missing.status == 404
    assert refused.error == missing.error.replace("none.json", "pipeline.json")
    assert guarded("mary", "POST", f"{ROOT}/{path}", body).status == 200


def test_a_package_in_a_strangers_bucket_is_not_there(guarded):
    def made(who, uri, namespace):
        body = {"pipeline": {"name": who, "namespace": namespace}, "pipeline_version": {"package_url": uri}}
        return guarded(who, "POST", f"{KFP}/pipelines/create", body)

    assert made("stranger", {"pipeline_url": SECRET}, "theirs").status == 404
    assert made("stranger", {"pipeline_url": "gs://mine-alone/none"}, "theirs").status == 404
    assert made("mary", {"pipeline_url": SECRET}, MINE).status == 200


def test_no_outputs_go_to_a_strangers_bucket(guarded, pipeline_of):
    pipeline = pipeline_of("p", greet="echo hi")
    root = "gs://mine-alone/root"
    rooted = {**pipeline, "defaultPipelineRoot": root}
    for path, body in (
        (f"{THEIRS}/pipelineJobs", {"pipelineSpec": pipeline, "runtimeConfig": {"gcsOutputDirectory": root}}),
        (f"{THEIRS}/pipelineJobs", {"pipelineSpec": rooted}),
        (f"{KFP}/runs", {"display_name": "r", "pipeline_spec": rooted}),
        (f"{KFP}/runs", {"display_name": "r", "pipeline_spec": pipeline, "runtime_config": {"pipeline_root": root}}),
        ("/cairn/v1/runs", {"pipeline": pipeline, "pipeline_root": root, "project": "theirs"}),
    ):
        assert guarded("stranger", "POST", path, body).status == 404, (path, body)
    job = {"pipelineSpec": rooted}
    assert guarded("viewer", "POST", f"{ROOT}/pipelineJobs", job).status == 403
    assert guarded("mary", "POST", f"{ROOT}/pipelineJobs", job).status == 200
    new = {"pipelineSpec": {**pipeline, "defaultPipelineRoot": "gs://a-new-one/root"}}
    assert guarded("stranger", "POST", f"{THEIRS}/pipelineJobs", new).status == 200


CONTAINER = {"containerSpec": {"imageUri": "i", "command": ["true"]}}
PACKAGE = {
    "pythonPackageSpec": {"executorImageUri": "i", "packageUris": ["gs://mine-alone/train.tar.gz"], "pythonModule": "m"}
}
OUTPUT = {"baseOutputDirectory": {"outputUriPrefix": "gs://mine-alone/out"}}
STUDY = {
    "studySpec": {
        "metrics": [{"metricId": "m"}],
        "parameters": [{"parameterId": "x", "doubleValueSpec": {"maxValue": 1}}],
    },
    "maxTrialCount": 1,
    "parallelTrialCount": 1,
}


def job(spec):
    return "customJobs", {"displayName": "j", "jobSpec": spec}


def training(spec):
    task = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
    body = {"displayName": "t", "trainingTaskDefinition": task, "trainingTaskInputs": spec}
    return "trainingPipelines", body


def tuning(spec):
    return "hyperparameterTuningJobs", {"displayName": "h", "trialJobSpec": spec, **STUDY}


@pytest.mark.parametrize("request_of", [job, training, tuning])
@pytest.mark.parametrize("spec", [{"workerPoolSpecs": [CONTAINER], **OUTPUT}, {"workerPoolSpecs": [PACKAGE]}])
def test_no_job_reads_or_writes_a_strangers_bucket(guarded, request_of, spec):
    upload = {"uploadType": "media", "name": "train.tar.gz"}
    assert guarded("mary", "POST", "/upload/storage/v1/b/mine-alone/o", b"a package", **upload).status == 200
    path, body = request_of(spec)
    refused = guarded("stranger", "POST", f"{THEIRS}/{path}", body)
    assert refused.status == 404 and "there is no object" in refused.error
    mine = guarded("mary", "POST", f"{ROOT}/{path}", body)
    assert mine.status == 200 or "is no Python package" in mine.error  # which only who may read it learns
    assert guarded("viewer", "POST", f"{ROOT}/{path}", body).status == 403


@pytest.mark.parametrize(
    "words", ["/gcs/mine-alone/train.tar.gz", "/gcs/own/../mine-alone/train.tar.gz", "/etc/passwd"]
)
@pytest.mark.parametrize("packaged", [True, False])
def test_no_package_comes_from_elsewhere_however_it_is_named(guarded, words, packaged):
    upload = {"uploadType": "media", "name": "train.tar.gz"}
    assert guarded("mary", "POST", "/upload/storage/v1/b/mine-alone/o", b"a package", **upload).status == 200
    script = f"pip3 install --user {words} && python3 -m m"
    pool = {"containerSpec": {"imageUri": "i", "command": ["sh", "-c", script]}}
    if packaged:
        pool = {"pythonPackageSpec": {**PACKAGE["pythonPackageSpec"], "packageUris": [words]}}
    for pools in ([pool], [CONTAINER, pool]):
        refused = guarded("stranger", "POST", f"{THEIRS}/customJobs", job({"workerPoolSpecs": pools})[1])
        assert refused.status == 400, refused
        assert "there is no object" in refused.error or "leaves its root" in refused.error


@pytest.mark.parametrize("request_of", [job, training, tuning])
@pytest.mark.parametrize("prefix", ["/etc", "file:///etc"])
def test_no_job_writes_to_a_directory_of_the_server(guarded, request_of, prefix):
    output = {"baseOutputDirectory": {"outputUriPrefix": prefix}}
    path, body = request_of({"workerPoolSpecs": [CONTAINER], **output})
    refused = guarded("stranger", "POST", f"{THEIRS}/{path}", body)
    assert refused.status == 400 and "jobs cannot write to" in refused.error


LOOK = """ls /gcs 2>/dev/null; cat /gcs/mine-alone/pipeline.json 2>/dev/null || echo nothing of theirs
echo kept > /gcs/their-own/seen && cat /gcs/their-own/seen"""


def test_a_job_sees_the_buckets_of_its_project_alone(guarded):
    assert guarded("stranger", "POST", "/storage/v1/b", {"name": "their-own"}, project="theirs").status == 200
    look = {"containerSpec": {"imageUri": "i", "command": ["sh", "-c", LOOK]}}
    made = guarded("stranger", "POST", f"{THEIRS}/customJobs", job({"workerPoolSpecs": [look]})[1])
    ended = ended_job(guarded, "stranger", made.json["name"])
    assert ended["state"] == "JOB_STATE_SUCCEEDED", ended
    logs = guarded("stranger", "GET", f"/cairn/v1/runs/{ended['name'].rpartition('/')[2]}/logs").content.decode()
    assert logs.splitlines() == ["their-own", "nothing of theirs", "kept"]


def test_no_importer_takes_what_lies_in_a_strangers_bucket(guarded, pipeline_of):
    importer = {
        "importer": {
            "artifactUri": {"constant": SECRET},
            "typeSchema": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"},
        }
    }
    pipeline = pipeline_of("p", greet="echo hi")
    (label,) = pipeline["deploymentSpec"]["executors"]
    pipeline["deploymentSpec"]["executors"][label] = importer
    (component,) = pipeline["components"].values()
    component["outputDefinitions"] = {"artifacts": {"artifact": {"artifactType": {"schemaTitle": "system.Dataset"}}}}
    for who, place, state in (("stranger", THEIRS, "FAILED"), ("mary", ROOT, "SUCCEEDED")):
        made = guarded(who, "POST", f"{place}/pipelineJobs", {"pipelineSpec": pipeline})
        ended = ended_job(guarded, who, made.json["name"])
        assert ended["state"] == f"PIPELINE_STATE_{state}", ended


def ended_job(guarded, who, name):
    for _ in range(600):
        found = guarded(who, "GET", f"/v1/{name}").json
        if found["state"].rpartition("_")[2] in ("SUCCEEDED", "FAILED", "CANCELLED"):
            return found
        time.sleep(0.1)
    raise AssertionError(found)
