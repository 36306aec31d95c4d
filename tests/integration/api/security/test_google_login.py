"""google-auth itself logs in with what we generate."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from cairn.api.accounts.service_accounts import create_account, default_account, write_account
from cairn.wiring import open_cairn

SCRIPT = str(Path(__file__).parent / "google_login.py")


def log_in(python, url, key_file):
    own = {name: value for name, value in os.environ.items() if not name.startswith(("CAIRN_", "GOOGLE_", "PYTHON"))}
    done = subprocess.run(
        [python, SCRIPT, url],
        env={**own, "GOOGLE_APPLICATION_CREDENTIALS": str(key_file), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_an_accounts_key_file_logs_in_in_every_way(serve, home, tmp_path, google_python):
    server = serve(home, CAIRN_SERVER_AUTHENTICATION="required")
    key_file = tmp_path / "key.json"
    with open_cairn(str(home)) as cairn:
        credential, account = create_account(cairn.records, "ci", server.url, {"p": "editor"}, project="p")
        write_account(key_file, account)
        told = log_in(google_python, server.url, key_file)
        assert told == {
            "project": "p",
            "email": "ci@p.iam.gserviceaccount.com",
            "self_signed": 200,
            "for_a_host": 200,
            "for_another_host": 401,
            "exchanged": 200,
            "token": 2,
            "valid": True,
            "identity": 200,
            "identity_elsewhere": 401,
            "nobody": 401,
        }
        assert cairn.records.credential(credential.id).use_time > 0
        cairn.records.delete_credential(credential.id)
    time.sleep(5)
    told = log_in_refused(google_python, server.url, key_file)
    assert "invalid_grant" in told and "not known" in told


def log_in_refused(python, url, key_file):
    text = (
        "import google.auth, sys; from google.auth.transport.requests import Request\n"
        "c, _ = google.auth.default(scopes=['x'])\n"
        "try: c.refresh(Request())\n"
        "except Exception as error: print(error)"
    )
    own = {name: value for name, value in os.environ.items() if not name.startswith(("CAIRN_", "GOOGLE_", "PYTHON"))}
    done = subprocess.run(
        [python, "-c", text, url],
        env={**own, "GOOGLE_APPLICATION_CREDENTIALS": str(key_file)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


def test_the_homes_account_works_where_no_logins_are_needed(serve, home, google_python):
    server = serve(home)
    with open_cairn(str(home)) as cairn:
        key_file = default_account(cairn.home, cairn.records, server.url)
    told = log_in(google_python, server.url, key_file)
    ways = ("self_signed", "for_a_host", "exchanged", "identity", "nobody")
    assert [told[way] for way in ways] == [200] * 5
    assert told["project"] == "default"


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [
        (b"grant_type=password&username=a&password=b", 400, "unsupported_grant_type"),
        (b"", 400, "unsupported_grant_type"),
        (b"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer", 400, "invalid_grant"),
        (b"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=a.b.c", 400, "invalid_grant"),
        (b"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=" + b"a" * 30_000, 400, "invalid_grant"),
        (b"\xff\xfe", 400, "invalid_request"),
        (b"a=b&" * 1000, 400, "invalid_request"),
        (b"x" * 70_000, 413, "invalid_request"),
    ],
)
def test_the_token_endpoint_refuses_in_the_words_of_oauth(shared_server, content, status, error):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = shared_server.request("POST", "/accounts/token", content, headers=headers)
    assert answer.status == status, answer
    assert answer.json["error"] == error and isinstance(answer.json["error_description"], str)
