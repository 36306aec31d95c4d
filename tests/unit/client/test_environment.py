"""What points clients at a server, and how it is taken back."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from cairn.client.environment import SHIM, assignments, before, restoring, variables

URL = "http://127.0.0.1:41234"
CREDENTIALS = Path("/home/me/.cairn/server/credentials.json")


def pointed(**environ):
    return variables(URL, CREDENTIALS, environ=environ)


def test_clients_are_pointed_at_the_server():
    found = pointed()
    for name in ("CAIRN_URL", "STORAGE_EMULATOR_HOST", "KF_PIPELINES_ENDPOINT"):
        assert found[name] == URL
    assert found["GOOGLE_APPLICATION_CREDENTIALS"] == str(CREDENTIALS)
    assert found["PYTHONPATH"] == str(SHIM)
    assert (found["GOOGLE_CLOUD_PROJECT"], found["GOOGLE_CLOUD_REGION"]) == ("default", "us-central1")


def test_what_the_user_has_chosen_stays():
    found = pointed(CLOUD_ML_PROJECT_ID="mine", CLOUD_ML_REGION="europe-west4", PYTHONPATH="/a:/b", NO_PROXY="corp")
    assert found["GOOGLE_CLOUD_PROJECT"] == "mine"
    assert "GOOGLE_CLOUD_REGION" not in found
    assert found["PYTHONPATH"] == f"{SHIM}:/a:/b"
    assert found["no_proxy"] == found["NO_PROXY"] == "corp,127.0.0.1,localhost,::1"


def test_pointing_twice_is_pointing_once():
    once = {"PYTHONPATH": "/a", **pointed(PYTHONPATH="/a")}
    assert variables(URL, CREDENTIALS, environ=once) == pointed(PYTHONPATH="/a")
    elsewhere = variables("http://127.0.0.1:9", CREDENTIALS, environ=once)
    assert elsewhere["PYTHONPATH"] == f"{SHIM}:/a"
    assert before({**once, **elsewhere}) == {"PYTHONPATH": "/a"}


def test_a_server_that_asks_for_logins_is_told_who_calls():
    own = {"STORAGE_EMULATOR_HOST": "http://mine", "SSL_CERT_FILE": "/mine.pem", "HOME": "/home/me"}
    roots = Path("/roots.pem")
    secure = variables("https://there:8080", CREDENTIALS, roots_file=roots, login=True, environ=own)
    assert secure["CAIRN_LOGIN"] == "1" and secure["STORAGE_EMULATOR_HOST"] is None
    assert secure["REQUESTS_CA_BUNDLE"] == secure["SSL_CERT_FILE"] == str(roots)
    assert "CAIRN_LOGIN" not in pointed()
    shell = applied(own, secure)
    here = variables(URL, CREDENTIALS, environ=shell)
    assert here["CAIRN_LOGIN"] is None and here["REQUESTS_CA_BUNDLE"] is None and here["SSL_CERT_FILE"] == "/mine.pem"
    assert applied(shell, here) == applied(own, {**pointed(**own), "CAIRN_ENV_BEFORE": here["CAIRN_ENV_BEFORE"]})
    assert applied(applied(shell, here), restoring(applied(shell, here))) == own


def applied(environ, values):
    return {name: value for name, value in {**environ, **values}.items() if value is not None}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_shell_takes_it_and_gives_it_back(shell):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not on this machine")
    earlier = {"PATH": "/usr/bin:/bin", "GOOGLE_APPLICATION_CREDENTIALS": "/o'ne \\ two", "HOME": "/tmp"}
    lines = assignments(variables(URL, CREDENTIALS, environ=earlier), shell)
    show = "env -0"

    def after(text):
        out = subprocess.run([program, "-c", text], env=earlier, capture_output=True, check=True).stdout
        return dict(each.split("=", 1) for each in out.decode().split("\0") if "=" in each)

    taken = after("\n".join([*lines, show]))
    assert taken["CAIRN_URL"] == URL and taken["GOOGLE_APPLICATION_CREDENTIALS"] == str(CREDENTIALS)
    given_back = after("\n".join([*lines, *assignments(restoring(taken), shell), show]))
    ignored = {"PWD", "SHLVL", "_", "OLDPWD"}
    assert {name: value for name, value in given_back.items() if name not in ignored} == earlier


def test_what_was_saved_is_read_with_care():
    assert restoring({"CAIRN_ENV_BEFORE": "no json"}) == {}
    assert restoring({"CAIRN_ENV_BEFORE": json.dumps({"A": 1, "B": None, "C": "x"})}) == {
        "B": None, "C": "x", "CAIRN_ENV_BEFORE": None,
    }  # fmt: skip


def test_powershell_quotes_by_doubling():
    assert assignments({"A": "it's", "B": None}, "powershell") == [
        "$Env:A = 'it''s'",
        "Remove-Item -ErrorAction SilentlyContinue Env:B",
    ]
