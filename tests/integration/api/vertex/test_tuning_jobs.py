"""Hyperparameter tuning jobs over REST, with trials that really run."""

import time

import pytest

PLACE = "projects/tuned/locations/us-central1"
JOBS = f"/v1/{PLACE}/hyperparameterTuningJobs"
ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")
# what cloudml-hypertune writes; the last argument is --x=VALUE
REPORT = (
    'x=$(for word in "$@"; do case $word in --x=*) echo ${word#--x=};; esac; done); mkdir -p '
    '$(dirname $CLOUD_ML_HP_METRIC_FILE); echo "{\\"score\\": $x, \\"global_step\\": \\"1\\", \\"checkpoint_path\\": '
    '\\"\\", '
    '\\"trial\\": \\"$CLOUD_ML_TRIAL_ID\\"}" > $CLOUD_ML_HP_METRIC_FILE; echo trial $CLOUD_ML_TRIAL_ID'
)
STUDY = {
    "metrics": [{"metricId": "score", "goal": "MAXIMIZE"}],
    "parameters": [{"parameterId": "x", "doubleValueSpec": {"minValue": 1, "maxValue": 2}}],
    "algorithm": "RANDOM_SEARCH",
}


def job_of(script, *, trials=3, parallel=2, name="tuned", **more):
    pool = {
        "machineSpec": {"machineType": "e2-standard-2"},
        "replicaCount": "1",
        "containerSpec": {"imageUri": "python:3.12", "command": ["sh", "-c", script, "sh"]},
    }
    return {
        "displayName": name,
        "studySpec": STUDY,
        "maxTrialCount": trials,
        "parallelTrialCount": parallel,
        "trialJobSpec": {"workerPoolSpecs": [pool]},
        **more,
    }


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


def test_trials_are_told_with_what_they_measured_and_their_jobs(shared_server, create, ended):
    given = job_of(REPORT, name="measured", labels={"suite": "measured"})
    made = create(given)
    assert made["name"].rpartition("/")[2].isdecimal()
    job = ended(made["name"])
    assert job["state"] == "JOB_STATE_SUCCEEDED", job
    assert {field: job[field] for field in given} == given
    assert [trial["id"] for trial in job["trials"]] == ["1", "2", "3"]
    for trial in job["trials"]:
        assert trial["state"] == "SUCCEEDED"
        (parameter,) = trial["parameters"]
        assert parameter["parameterId"] == "x" and 1 <= parameter["value"] <= 2
        (metric,) = trial["finalMeasurement"]["metrics"]
        assert metric["metricId"] == "score" and metric["value"] == pytest.approx(parameter["value"])
        assert job["startTime"] <= trial["startTime"] <= trial["endTime"] <= job["endTime"]
        backing = shared_server.get(f"/v1/{trial['customJob']}").json
        assert backing["state"] == "JOB_STATE_SUCCEEDED"
        run = trial["customJob"].rpartition("/")[2]
        assert shared_server.get(f"/cairn/v1/runs/{run}/logs").content.decode() == f"trial {trial['id']}\n"
    listed = shared_server.get(JOBS, filter="labels.suite=measured").json["hyperparameterTuningJobs"]
    assert [one["name"] for one in listed] == [job["name"]] and "trials" not in listed[0]
    assert "customJobs" not in shared_server.get(f"/v1/{PLACE}/customJobs", filter='display_name:"measured*"').json
    assert shared_server.delete(f"/v1/{job['name']}").json["done"]
    for gone in (job["name"], *(trial["customJob"] for trial in job["trials"])):
        assert shared_server.get(f"/v1/{gone}").status == 404


def test_deleting_its_run_deletes_its_study_and_trials(shared_server, create, ended):
    job = ended(create(job_of(REPORT, trials=2, name="gone"))["name"])
    trials = [trial["customJob"] for trial in job["trials"]]
    study = job["trials"][0]["name"].partition("/trials/")[0]
    assert shared_server.get(f"/v1/{study}").json["displayName"]
    assert shared_server.delete(f"/cairn/v1/runs/{job['name'].rpartition('/')[2]}").status == 200
    for gone in (job["name"], study, *trials):
        assert shared_server.get(f"/v1/{gone}").status == 404


def test_requests_with_one_id_make_one_tuning_job(create):
    job = job_of("exit 1", trials=1)
    assert create(job, requestId="again")["name"] == create(job, requestId="again")["name"]


def test_a_tuning_job_is_cancelled_with_its_trials(shared_server, create, ended):
    name = create(job_of("sleep 60", name="cancelled"))["name"]
    until = time.monotonic() + 30
    while time.monotonic() < until:
        trials = shared_server.get(f"/v1/{name}").json.get("trials", [])
        jobs = [trial["customJob"] for trial in trials if "customJob" in trial]
        if len(jobs) == 2 and all(state_of(shared_server, job) == "JOB_STATE_RUNNING" for job in jobs):
            break
        time.sleep(0.05)
    assert shared_server.delete(f"/v1/{name}").json["error"]["status"] == "FAILED_PRECONDITION"
    assert shared_server.post(f"/v1/{name}:cancel").json == {}
    assert ended(name)["state"] == "JOB_STATE_CANCELLED"
    assert {state_of(shared_server, job) for job in jobs} == {"JOB_STATE_CANCELLED"}


def test_a_server_that_is_killed_loses_neither_a_job_nor_a_trial(serve, tmp_path):
    home = tmp_path / "home"
    first = serve(home)
    pool = {"containerSpec": {"imageUri": "i", "command": ["sh", "-c", "sleep 2; echo survived"]}}
    given = {"displayName": "kept", "jobSpec": {"workerPoolSpecs": [pool]}}
    custom = first.post(f"/v1/{PLACE}/customJobs", given, requestId="kept").json["name"]
    tuned = first.post(JOBS, job_of(f"sleep 1; {REPORT}", trials=4, parallel=2)).json["name"]
    until = time.monotonic() + 30
    while len(first.get(f"/v1/{tuned}").json.get("trials", [])) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    first.kill()
    second = serve(home)
    assert second.post(f"/v1/{PLACE}/customJobs", given, requestId="kept").json["name"] == custom
    found = {}
    while any(found.get(name, {}).get("state") not in ENDED for name in (custom, tuned)) and time.monotonic() < until:
        found = {name: second.get(f"/v1/{name}").json for name in (custom, tuned)}
        time.sleep(0.05)
    assert {job["state"] for job in found.values()} == {"JOB_STATE_SUCCEEDED"}
    assert second.get(f"/cairn/v1/runs/{custom.rpartition('/')[2]}/logs").content == b"survived\n"
    trials = found[tuned]["trials"]
    assert [(trial["id"], trial["state"]) for trial in trials] == [(str(id_), "SUCCEEDED") for id_ in range(1, 5)]
    for trial in trials:
        job = second.get(f"/cairn/v1/runs/{trial['customJob'].rpartition('/')[2]}/logs", attempt="all")
        assert job.content.decode() == f"trial {trial['id']}\n"


def state_of(server, name):
    return server.get(f"/v1/{name}").json["state"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"displayName": ""}, "hyperparameterTuningJob.displayName"),
        ({"studySpec": {}}, "hyperparameterTuningJob.studySpec"),
        ({"studySpec": {**STUDY, "metrics": []}}, "hyperparameterTuningJob.studySpec.metrics"),
        ({"maxTrialCount": 0}, "hyperparameterTuningJob.maxTrialCount"),
        ({"parallelTrialCount": -1}, "hyperparameterTuningJob.parallelTrialCount"),
        ({"trialJobSpec": {}}, "hyperparameterTuningJob.trialJobSpec.workerPoolSpecs"),
        (
            {"trialJobSpec": {"workerPoolSpecs": [{"containerSpec": {"command": ["a"]}}]}},
            "hyperparameterTuningJob.trialJobSpec.workerPoolSpecs[0].containerSpec.imageUri",
        ),
    ],
)
def test_what_is_wrong_is_named(shared_server, change, said):
    answer = shared_server.post(JOBS, job_of("true") | change)
    assert answer.status == 400, answer
    assert said in answer.error
