"""What runs in a step finds the server that hosts its engine, as itself and nobody else."""

import json
import sys
import time

import pytest

LOGIN = {"CAIRN_SERVER_AUTHENTICATION": "required"}

ASK = """
import json, os, sys, urllib.error, urllib.request

def ask(path, base=os.environ["CAIRN_URL"], **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(base + path, headers=headers)) as answer:
            return [answer.status, json.load(answer)]
    except urllib.error.HTTPError as error:
        return [error.code, None]

with open(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]) as file:
    account = json.load(file)
token = account["refresh_token"]
plain = "http://" + os.environ["CAIRN_URL"].split("/")[2]
said = {
    "own": ask("/v1/projects/mine/locations/us-central1/pipelineJobs")[0],
    "other": ask("/v1/projects/theirs/locations/us-central1/pipelineJobs", Authorization="Bearer " + token)[0],
    "metrics": ask("/metrics", Authorization="Bearer " + token)[0],
    "no token": ask("/v1/projects/mine/locations/us-central1/pipelineJobs", plain)[0],
    "wrong token": ask("/steps/nonsense/v1/projects/mine/locations/us-central1/pipelineJobs", plain)[0],
    "project": os.environ["GOOGLE_CLOUD_PROJECT"],
    "mode": oct(os.stat(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]).st_mode & 0o077),
    "shim": any(type(finder).__module__ == "cairn_finder" for finder in sys.meta_path),
    "token": token,
}
print(json.dumps(said))
"""


@pytest.fixture
def said_by(serve, pipeline_of, tmp_path):
    """What ASK prints in a step of a server; (server, said)."""
    script = tmp_path / "ask.py"
    script.write_text(ASK)

    def run(token="", **variables):
        server = serve(tmp_path / "home", **variables)
        server.headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = {"pipeline": pipeline_of("asking", ask=f"{sys.executable} {script}"), "project": "mine"}
        made = server.post("/cairn/v1/runs", body)
        assert made.status == 200, made
        path = f"/cairn/v1/runs/{made.json['run_id']}"
        deadline = time.monotonic() + 30
        while server.get(path).json["state"] not in ("SUCCEEDED", "FAILED"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        log = server.get(f"{path}/logs", task="ask").content.decode()
        return server, json.loads(log.strip().splitlines()[-1])

    return run


def test_a_step_is_let_in_as_itself_where_logins_are_wanted(said_by, tmp_path):
    from cairn.api.accounts.registry import create_token
    from cairn.wiring import open_cairn

    (tmp_path / "home").mkdir()
    with open_cairn(str(tmp_path / "home")) as cairn:
        _, token = create_token(cairn.records, "alice", {"*": "admin"})
    server, said = said_by(token, **LOGIN)
    assert said["project"] == "mine"
    assert said["shim"]
    assert said["mode"] == "0o0"
    found = {name: said[name] for name in ("own", "other", "metrics", "no token", "wrong token")}
    assert found == {"own": 200, "other": 404, "metrics": 403, "no token": 401, "wrong token": 401}
    # The attempt has ended, and the token with it, within the seconds for which a good one is remembered.
    server.headers = {}
    deadline = time.monotonic() + 10
    path = f"/steps/{said['token']}/v1/projects/mine/locations/us-central1/pipelineJobs"
    while (answer := server.get(path)).status == 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert answer.status == 401


def test_a_step_is_confined_to_its_project_by_its_token_on_loopback_too(said_by):
    _, said = said_by()
    found = {name: said[name] for name in ("own", "other", "metrics", "no token", "wrong token")}
    assert found == {"own": 200, "other": 404, "metrics": 403, "no token": 200, "wrong token": 200}


def test_steps_can_be_left_alone(serve, pipeline_of, tmp_path):
    server = serve(tmp_path / "home", CAIRN_SERVER_STEP_CLIENTS="untouched")
    command = f"env > {tmp_path}/variables"
    run = server.post("/cairn/v1/runs", {"pipeline": pipeline_of("alone", a=command)}).json
    deadline = time.monotonic() + 30
    while server.get(f"/cairn/v1/runs/{run['run_id']}").json["state"] != "SUCCEEDED":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    variables = (tmp_path / "variables").read_text()
    assert "STORAGE_EMULATOR_HOST" not in variables
    assert "CAIRN_URL" not in variables
    assert "cairn/client/shim" not in variables
