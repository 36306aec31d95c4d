"""Jobs over the API of a server that runs them in containers."""

import time

import pytest

PLACE = "projects/jobs/locations/us-central1"
CONFIGURATION = '[run]\nexecutor = "docker"\n'
REPORT = """
import json, os, sys
(x,) = [word.partition("=")[2] for word in sys.argv if word.startswith("--x=")]
os.makedirs(os.path.dirname(os.environ["CLOUD_ML_HP_METRIC_FILE"]), exist_ok=True)
with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "w") as file:
    json.dump({"score": x, "global_step": "1", "trial": os.environ["CLOUD_ML_TRIAL_ID"]}, file)
"""
STUDY = {
    "metrics": [{"metricId": "score", "goal": "MAXIMIZE"}],
    "parameters": [{"parameterId": "x", "doubleValueSpec": {"minValue": 1, "maxValue": 2}}],
}


@pytest.fixture
def server(serve, tmp_path, container_engine):
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(CONFIGURATION)
    return serve(home, DOCKER_HOST=f"unix://{container_engine.socket}")


def ended(server, name):
    for _ in range(900):
        found = server.get(f"/v1/{name}").json
        if found["state"] in ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"):
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def test_a_job_and_a_tuning_job_run_in_their_images(server, container_engine):
    def spec(script):
        container = {"imageUri": container_engine.image, "command": ["python3", "-c", script]}
        return {"workerPoolSpecs": [{"replicaCount": "1", "containerSpec": container}]}

    script = (
        "import os; place = os.environ['AIP_MODEL_DIR'].replace('gs://', '/gcs/')"
        "; open(place + 'told', 'w').write(str(os.path.exists('/.dockerenv')))"
    )
    output = {"baseOutputDirectory": {"outputUriPrefix": "gs://models/a"}}
    job = {"displayName": "j", "jobSpec": {**spec(script), **output}}
    tuning = {
        "displayName": "t", "studySpec": STUDY, "maxTrialCount": 2, "parallelTrialCount": 2,
        "trialJobSpec": spec(REPORT),
    }  # fmt: skip
    made = [server.post(f"/v1/{PLACE}/customJobs", job), server.post(f"/v1/{PLACE}/hyperparameterTuningJobs", tuning)]
    assert [answer.status for answer in made] == [200, 200], made
    found = [ended(server, answer.json["name"]) for answer in made]
    assert [each["state"] for each in found] == ["JOB_STATE_SUCCEEDED"] * 2, found
    told = (server.home / "buckets/gs/models/a/model/told").read_text()
    assert told == "True"
    for trial in found[1]["trials"]:
        (x,) = [parameter["value"] for parameter in trial["parameters"]]
        assert trial["finalMeasurement"]["metrics"] == [{"metricId": "score", "value": x}]
    assert not container_engine.api.list(f"cairn.home={server.home}")
