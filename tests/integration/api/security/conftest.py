"""A server that asks for logins, with three who may: the owner of everything, a stranger, who has a project of his own
and nothing in the one that is filled, and a viewer of the filled one."""

import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from cairn.api.accounts.registry import create_token
from cairn.wiring import open_cairn

MINE = "mine"  # the project that is filled
CANARY = "canary7c1e"  # stands in everything that is filled, and in nothing that a stranger is told
ROOT = f"/v1/projects/{MINE}/locations/local"


@dataclass
class Guarded:
    """`server` as nobody; `as_owner` and so on are headers. `known`: ids of what was filled in, by the names that the
    templates of routes have for them."""

    server: Any
    tokens: dict[str, str]
    known: dict[str, str] = field(default_factory=dict)

    def headers(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[who]}"} if who != "nobody" else {}

    def ask(self, who: str, method: str, path: str, body: Any = None, **query: Any):
        return self.server.request(method, path, body, query=query, headers=self.headers(who))


def tokens_of(home, **roles):
    with open_cairn(str(home)) as cairn:
        return {name: create_token(cairn.records, name, granted)[1] for name, granted in roles.items()}


def guarded_server(start, home):
    home.mkdir()
    (home / "config.toml").write_text(
        '[images]\n"*" = "host"\n[server]\nauthentication = "required"\nrequests_per_second = 100000\nburst = 100000\n'
    )
    everyone = {"someone": {"*": "admin"}, "stranger": {"theirs": "admin"}, "viewer": {MINE: "viewer"}}
    tokens = tokens_of(home, **everyone)
    return Guarded(start(home), {**tokens, "owner": tokens["someone"]})


@pytest.fixture
def filled_anew(serve, tmp_path, pipeline_of):
    """With one of everything in project `mine`, for a test that takes it apart."""
    guarded = guarded_server(serve, tmp_path / "home")
    guarded.known = fill(guarded, pipeline_of)
    return guarded


@pytest.fixture(scope="session")
def filled(request, tmp_path_factory, pipeline_of):
    """The same for all tests of a worker, which leave what is in `mine` as it is."""
    servers = request.config.pluginmanager.get_plugin(str(Path(__file__).parent.parent / "conftest.py"))
    guarded = guarded_server(servers.start_server, tmp_path_factory.mktemp("filled") / "home")
    guarded.known = fill(guarded, pipeline_of)
    yield guarded
    guarded.server.stop()
    guarded.server.process.stdout.close()


def fill(guarded, pipeline_of):
    def made(method, path, body, **query):
        answer = guarded.ask("owner", method, path, body, **query)
        assert answer.status == 200, (path, answer)
        return answer.json

    pipeline = pipeline_of(CANARY, greet=f"echo {CANARY}")
    job = made(
        "POST",
        f"{ROOT}/pipelineJobs",
        {"displayName": CANARY, "pipelineSpec": pipeline, "labels": {CANARY: CANARY}},
        pipelineJobId=f"{CANARY}-job",
    )
    guarded.server.headers = guarded.headers("owner")
    ended = guarded.server.ended(job["name"])
    guarded.server.headers = {}
    assert ended["state"] == "PIPELINE_STATE_SUCCEEDED", ended.get("error")
    runs = made("GET", "/apis/v2beta1/runs", None, namespace=MINE)["runs"]
    kfp = "/apis/v2beta1"
    experiment = made("POST", f"{kfp}/experiments", {"display_name": CANARY, "namespace": MINE})
    uploaded = made("POST", f"{kfp}/pipelines", {"display_name": CANARY, "name": CANARY, "namespace": MINE})
    recurring = made(
        "POST",
        f"{kfp}/recurringruns",
        {
            "display_name": CANARY,
            "experiment_id": experiment["experiment_id"],
            "pipeline_spec": pipeline,
            "max_concurrency": "1",
            "mode": "DISABLE",
            "trigger": {"cron_schedule": {"cron": "0 0 1 1 *"}},
        },
    )
    made("POST", "/storage/v1/b", {"name": f"{CANARY}-bucket"}, project=MINE)
    made("POST", f"/upload/storage/v1/b/{CANARY}-bucket/o", CANARY.encode(), uploadType="media", name=f"{CANARY}.txt")
    made("POST", f"{ROOT}/metadataStores", {}, metadataStoreId="default")
    for noun in ("artifact", "execution", "context"):
        body = {"displayName": CANARY, "schemaTitle": "system.Artifact"}
        made("POST", f"{ROOT}/metadataStores/default/{noun}s", body, **{f"{noun}Id": f"{CANARY}-{noun}"})
    board = made("POST", f"{ROOT}/tensorboards", {"displayName": CANARY})["response"]["name"]
    logged = {"displayName": CANARY, "valueType": "SCALAR"}
    trained = made("POST", f"/v1/{board}/experiments", {}, tensorboardExperimentId=CANARY)["name"]
    trained = made("POST", f"/v1/{trained}/runs", {"displayName": CANARY}, tensorboardRunId=CANARY)["name"]
    made("POST", f"/v1/{trained}/timeSeries", logged, tensorboardTimeSeriesId=CANARY)
    pools = {"workerPoolSpecs": [{"containerSpec": {"imageUri": "i", "command": ["echo", CANARY]}}]}
    definition = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
    task = {"trainingTaskDefinition": definition, "trainingTaskInputs": pools}
    trained_job = made("POST", f"{ROOT}/trainingPipelines", {"displayName": CANARY, **task})["name"]
    study = {"metrics": [{"metricId": "m"}], "parameters": [{"parameterId": "x", "doubleValueSpec": {"maxValue": 1}}]}
    tuned = {"displayName": CANARY, "studySpec": study, "maxTrialCount": 1, "parallelTrialCount": 1}
    tuned_job = made("POST", f"{ROOT}/hyperparameterTuningJobs", {**tuned, "trialJobSpec": pools})["name"]
    return {
        "customJobs": trained_job.rpartition("/")[2],
        "trainingPipelines": trained_job.rpartition("/")[2],
        "hyperparameterTuningJobs": tuned_job.rpartition("/")[2],
        "tensorboards": board.rpartition("/")[2],
        "tensorboard": board.rpartition("/")[2],
        "experiments": CANARY,
        "experiment": CANARY,
        "runs": CANARY,
        "timeSeries": CANARY,
        "location": "local",
        "run": runs[0]["run_id"],
        "run_id": runs[0]["run_id"],
        "experiment_id": experiment["experiment_id"],
        "pipeline_id": uploaded["pipeline_id"],
        "recurring_run_id": recurring["recurring_run_id"],
        "namespace": MINE,
        "bucket": f"{CANARY}-bucket",
        "object": f"{CANARY}.txt",
        "pipelineJobs": f"{CANARY}-job",
        "schedules": recurring["recurring_run_id"],
        "metadataStores": "default",
        "artifacts": f"{CANARY}-artifact",
        "executions": f"{CANARY}-execution",
        "contexts": f"{CANARY}-context",
        "uid": str(uuid.uuid4()),
    }


@pytest.fixture(scope="session")
def google_python(tmp_path_factory, missing_service):
    """The interpreter of an environment with google-auth as it is published."""
    place = tmp_path_factory.mktemp("google-auth")
    python = str(place / "bin" / "python")
    uv = find_uv_bin()
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)],
        [uv, "pip", "install", "--quiet", "--python", python, "google-auth[requests]"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            missing_service("google-auth", (done.stderr.strip() or "not installable")[-300:])
    return python
