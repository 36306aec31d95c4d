"""What is secret stays out of the records, the logs and the cache: planted words are looked for in every file."""

import json
import time

import pytest

from cairn.api.accounts.registry import create_token
from cairn.api.accounts.service_accounts import default_account
from cairn.api.kfp.pipelines import _recorded
from cairn.wiring import open_cairn

IN_A_SECRET = "canary-of-a-secret-5d1f"
IN_THE_ENVIRONMENT = "canary-of-the-environment-77aa"
IN_A_QUERY = "canary-of-a-query-90be"
WRONG_TOKEN = "canary-of-a-wrong-token-1c2d"


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    (home / "secrets" / "credentials").mkdir(parents=True, mode=0o700)
    (home / "secrets" / "credentials" / "password").write_text(IN_A_SECRET)
    return home


def submission(pipeline):
    """Of KFP, with the password as a variable of the step."""
    named = {"secretName": "credentials", "keyToEnv": [{"secretKey": "password", "envVar": "PASSWORD"}]}
    executors = {"exec-check": {"secretAsEnv": [named]}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
    return {"display_name": "secret", "pipeline_spec": {"pipeline_spec": pipeline, "platform_spec": platform}}


def ended(server, run_id, timeout=60):
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        run = server.get(f"/apis/v2beta1/runs/{run_id}").json
        if run["state"] in ("SUCCEEDED", "FAILED", "CANCELED"):
            return run
        time.sleep(0.05)
    raise AssertionError(run)


def files_with(home, word):
    """Every file below the home that has it, but for where the user has put it himself."""
    own = home / "secrets"
    found = [path for path in home.rglob("*") if path.is_file() and own not in path.parents]
    assert len(found) > 10
    return [str(path) for path in found if word.encode() in path.read_bytes()]


@pytest.mark.parametrize("authentication", ["required", "auto"])
def test_what_is_planted_is_found_nowhere(serve, home, pipeline_of, authentication):
    with open_cairn(str(home)) as cairn:
        _, token = create_token(cairn.records, "ann", {"*": "admin"})
    server = serve(home, CAIRN_SERVER_AUTHENTICATION=authentication, SOME_PASSWORD=IN_THE_ENVIRONMENT)
    server.headers = {"Authorization": f"Bearer {token}"}
    size = len(IN_A_SECRET)
    pipeline = pipeline_of("secretive", check=f'test "${{#PASSWORD}}" = {size} && test -n "$SOME_PASSWORD"')
    made = server.post("/apis/v2beta1/runs", submission(pipeline), access_token=IN_A_QUERY)
    assert made.status == 200, made
    assert ended(server, made.json["run_id"])["state"] == "SUCCEEDED"  # the step has seen it
    job = server.post(
        "/v1/projects/p/locations/l/pipelineJobs", {"pipelineSpec": pipeline_of("q", a="true")}, access_token=IN_A_QUERY
    )
    assert job.status in (200, 400), job  # a parameter that the method does not have
    for path in ("/v1/projects/p/locations/l/pipelineJobs", "/storage/v1/b", "/cairn/v1/runs", "/nothing"):
        server.get(path, key=IN_A_QUERY, access_token=IN_A_QUERY)
        server.request("GET", path, headers={"Authorization": f"Bearer {WRONG_TOKEN}"})
    server.request("GET", "/nothing", headers={"Authorization": f"Bearer {WRONG_TOKEN}", "Cookie": WRONG_TOKEN})
    server.stop()
    assert (home / "server.log").stat().st_size > 0
    for word in (IN_A_SECRET, IN_THE_ENVIRONMENT, IN_A_QUERY, WRONG_TOKEN, token):
        assert files_with(home, word) == []
    of_steps = list(home.rglob("google-credentials.json"))
    assert of_steps
    for path in of_steps:
        assert path.stat().st_mode & 0o077 == 0
        assert files_with(home, json.loads(path.read_text())["refresh_token"]) == [str(path)]


def test_only_a_steps_token_may_stand_in_a_path(serve, home):
    with open_cairn(str(home)) as cairn:
        _, token = create_token(cairn.records, "ann", {"*": "admin"})
    server = serve(home, CAIRN_SERVER_AUTHENTICATION="required")
    assert server.get(f"/steps/{token}/cairn/v1/runs").status == 401
    assert server.get("/steps/x/cairn/v1/runs").status == 401
    assert token not in (home / "server.log").read_text()


def test_a_private_key_is_in_its_file_and_nowhere_else(serve, home):
    server = serve(home)
    with open_cairn(str(home)) as cairn:
        path = default_account(cairn.home, cairn.records, server.url)
    middle = path.read_text().split("PRIVATE KEY-----\\n")[1][200:260]
    server.stop()
    assert files_with_key(home, middle) == [str(path)]


def files_with_key(home, word):
    return [str(path) for path in home.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("url", "recorded"),
    [
        ("https://ann:password@example.com/p.yaml", "https://example.com/p.yaml"),
        ("https://example.com:8443/p.yaml?X-Signature=x#y", "https://example.com:8443/p.yaml"),
        ("gs://bucket/folder/p.yaml", "gs://bucket/folder/p.yaml"),
    ],
)
def test_a_packages_url_is_recorded_without_credentials(url, recorded):
    assert _recorded(url) == recorded
