"""Tensorboards are filled while steps train, by whichever server is there, and go on after it was killed."""

import time

import pytest
from event_logs import FILES, NAME, scalar_event

from cairn.tensorboards.event_files import framed

ROOT = "/v1/projects/default/locations/local"


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain: {condition()}")


def held(server):
    """experiment → run → tag → [(step, value)] of the default Tensorboard."""
    boards = server.get(f"{ROOT}/tensorboards", filter="is_default=true").json.get("tensorboards", [])
    found = {}
    for board in boards:
        for experiment in server.get(f"/v1/{board['name']}/experiments").json.get("tensorboardExperiments", []):
            runs = found.setdefault(experiment["name"].rpartition("/")[2], {})
            for run in server.get(f"/v1/{experiment['name']}/runs").json.get("tensorboardRuns", []):
                tags = runs.setdefault(run["displayName"], {})
                for one in server.get(f"/v1/{run['name']}/timeSeries").json.get("tensorboardTimeSeries", []):
                    data = server.get(f"/v1/{one['name']}:read", maxDataPoints="-1").json["timeSeriesData"]
                    tags[one["displayName"]] = [
                        (int(point.get("step", 0)), point.get("scalar", {}).get("value")) for point in data["values"]
                    ]
    return found


@pytest.fixture
def training(tmp_path):
    """A step's command: it logs five points, each once a file of its number is there; the second half in a new file."""
    for step in range(5):
        (tmp_path / f"point{step}").write_bytes(framed(scalar_event("loss", step, step / 2)))
    go = tmp_path / "go"
    go.mkdir()
    command = f"""mkdir -p "$CAIRN_LOG_DIRECTORY/net"; for i in 0 1 2 3 4; do
        while [ ! -e {go}/$i ]; do sleep 0.05; done
        cat {tmp_path}/point$i >> "$CAIRN_LOG_DIRECTORY/net/{NAME}$((i / 3))"; done"""

    def allow(*steps):
        for step in steps:
            (go / str(step)).touch()

    return command, allow


def submitted(server, pipeline_of, **steps):
    made = server.post(f"{ROOT}/pipelineJobs", {"pipelineSpec": pipeline_of("train", **steps)}, pipelineJobId="job-1")
    assert made.status == 200, made
    return made.json["name"]


def test_points_are_there_while_the_step_runs_and_after_a_kill_each_once(serve, tmp_path, pipeline_of, training):
    command, allow = training
    home = tmp_path / "home"
    server = serve(home)
    name = submitted(server, pipeline_of, fit=command)
    allow(0, 1)
    until(lambda: held(server).get("job-1", {}).get("fit/net", {}).get("loss") == [(0, 0.0), (1, 0.5)])
    assert server.get(f"/v1/{name}").json["state"] == "PIPELINE_STATE_RUNNING"
    server.kill()
    allow(2, 3)
    server = serve(home)
    until(lambda: len(held(server).get("job-1", {}).get("fit/net", {}).get("loss", [])) == 4)
    allow(4)
    assert server.ended(name)["state"] == "PIPELINE_STATE_SUCCEEDED"
    until(lambda: len(held(server)["job-1"]["fit/net"]["loss"]) == 5)
    assert held(server) == {"job-1": {"fit/net": {"loss": [(step, step / 2) for step in range(5)]}}}


def test_what_was_logged_while_no_server_was_there_is_caught_up(serve, tmp_path, pipeline_of, training):
    command, allow = training
    home = tmp_path / "home"
    server = serve(home)
    name = submitted(server, pipeline_of, fit=command)
    until(lambda: server.get(f"/v1/{name}").json["state"] == "PIPELINE_STATE_RUNNING")
    server.stop()  # the step goes on, and ends
    allow(0, 1, 2, 3, 4)
    time.sleep(1)
    server = serve(home)
    assert server.ended(name)["state"] == "PIPELINE_STATE_SUCCEEDED"
    until(lambda: len(held(server).get("job-1", {}).get("fit/net", {}).get("loss", [])) == 5)


def test_a_job_with_a_tensorboard_fills_that_one_under_its_own_id(serve, tmp_path):
    server = serve(tmp_path / "home")
    board = server.post(f"{ROOT}/tensorboards", {"displayName": "mine"}).json["response"]["name"]
    command = f'mkdir -p "$AIP_TENSORBOARD_LOG_DIR/run1"; cp {FILES}/torch/{NAME} "$AIP_TENSORBOARD_LOG_DIR/run1/"'
    pool = {
        "machineSpec": {"machineType": "n1-standard-4"},
        "replicaCount": "1",
        "containerSpec": {"imageUri": "shell", "command": ["sh", "-c", command]},
    }
    made = server.post(
        f"{ROOT}/customJobs",
        {
            "displayName": "train",
            "jobSpec": {
                "workerPoolSpecs": [pool],
                "baseOutputDirectory": {"outputUriPrefix": str(tmp_path / "out")},
                "tensorboard": board,
            },
        },
    )
    assert made.status == 200, made
    job = made.json["name"].rpartition("/")[2]
    runs = until(lambda: server.get(f"/v1/{board}/experiments/{job}/runs").json.get("tensorboardRuns"))
    assert [one["displayName"] for one in runs] == ["run1"]
    experiment = server.get(f"/v1/{board}/experiments/{job}").json
    assert experiment["displayName"] == "train" and experiment["source"].endswith(f"customJobs/{job}")
    listed = until(lambda: server.get(f"/v1/{runs[0]['name']}/timeSeries").json.get("tensorboardTimeSeries"))
    assert {one["displayName"] for one in listed} == {"loss", "new"}
    assert held(server) == {}  # the default one has nothing of it
