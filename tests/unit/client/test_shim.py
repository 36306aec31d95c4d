"""The shim, in interpreters of its own: what it sends where, and that it is in nobody's way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cairn.client.environment import SHIM

sys.path.append(str(SHIM))
import cairn_finder
import cairn_shim

BASE = "http://127.0.0.1:41234"


@pytest.fixture(autouse=True)
def _pointed(monkeypatch):
    monkeypatch.setenv("CAIRN_URL", BASE)
    monkeypatch.delenv("CAIRN_SHIM_ALLOW", raising=False)


def run(code, *options, path="", python=sys.executable, **variables):
    environment = {"PATH": os.environ["PATH"], "CAIRN_URL": BASE, "PYTHONPATH": os.pathsep.join([str(SHIM), str(path)])}
    return subprocess.run(
        [python, *options, "-c", code], env={**environment, **variables}, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://us-central1-aiplatform.googleapis.com/v1/projects/p/x?y=1", "/v1/projects/p/x?y=1"),
        ("https://europe-west4-aiplatform.googleapis.com:443/ui/projects/p", "/ui/projects/p"),
        ("https://aiplatform.googleapis.com/v1/a:rawPredict", "/v1/a:rawPredict"),
        ("https://US-central1-aiplatform.GoogleAPIs.com./v1", "/v1"),
        ("https://cloudresourcemanager.googleapis.com/v3/projects/p", "/v3/projects/p"),
        ("https://storage.googleapis.com/storage/v1/b?project=p", "/storage/v1/b?project=p"),
        ("https://www.googleapis.com/upload/storage/v1/b/b/o", "/upload/storage/v1/b/b/o"),
        ("https://oauth2.googleapis.com/token", "/accounts/token"),
        ("https://accounts.google.com/o/oauth2/token", "/accounts/token"),
    ],
)
def test_what_the_server_stands_in_for_goes_there(url, path):
    assert cairn_shim.rerouted(url) == BASE + path


@pytest.mark.parametrize(
    "url",
    [
        "https://bigquery.googleapis.com/x", "https://storage.googleapis.com/tensorflow/mnist.npz",
        "https://us-docker.pkg.dev/v2/", "https://gcr.io/v2/", "https://iamcredentials.googleapis.com/v1/x",
        "https://evil-aiplatform.googleapis.com.googleapis.com/x", "https://oauth2.googleapis.com/revoke",
    ],
)  # fmt: skip
def test_another_host_of_googles_is_refused_by_name(url):
    with pytest.raises(cairn_shim.GoogleHostRefused, match="CAIRN_SHIM_ALLOW=" + url.split("/")[2]):
        cairn_shim.rerouted(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://pypi.org/simple/", "http://127.0.0.1:1/v1", "https://googleapis.com.example.org/", "https://example.org/",
        "https://us-central1-aiplatform.googleapis.com.example.org/", "ftp://storage.googleapis.com/", "/relative",
    ],
)  # fmt: skip
def test_everything_else_goes_its_way(url):
    assert cairn_shim.rerouted(url) is None


def test_hosts_and_paths_can_be_allowed(monkeypatch):
    monkeypatch.setenv("CAIRN_SHIM_ALLOW", "bigquery.googleapis.com, storage.googleapis.com/tensorflow/* *.pkg.dev")
    assert cairn_shim.rerouted("https://bigquery.googleapis.com/x") is None
    assert cairn_shim.rerouted("https://us-docker.pkg.dev/v2/") is None
    assert cairn_shim.rerouted("https://storage.googleapis.com/tensorflow/mnist.npz") is None
    assert cairn_shim.rerouted("https://storage.googleapis.com/storage/v1/b") == BASE + "/storage/v1/b"
    with pytest.raises(cairn_shim.GoogleHostRefused):
        cairn_shim.rerouted("https://storage.googleapis.com/other/file")


def test_finder_and_patches_name_the_same_modules():
    assert set(cairn_shim.PATCHES) == cairn_finder.PATCHED


def test_names_of_googles_are_not_even_looked_up():
    done = run("import socket; socket.create_connection(('metadata.google.internal', 80))")
    assert "gaierror" in done.stderr and "Cairn sends nothing to Google" in done.stderr
    assert run("import socket; print(socket.getaddrinfo('127.0.0.1', 80)[0][4])").stdout == "('127.0.0.1', 80)\n"


def test_urllib_is_sent_to_the_server_with_its_request_unchanged():
    code = """
import threading, urllib.request, http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200); self.end_headers()
        body = self.rfile.read(int(self.headers["content-length"]))
        self.wfile.write(repr((self.path, self.headers["host"], self.headers["x-own"], body)).encode())
    def log_message(self, *a): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["CAIRN_URL"] = "http://127.0.0.1:%d" % server.server_port
asked = "https://us-central1-aiplatform.googleapis.com/v1/a%20b?c=d"
request = urllib.request.Request(asked, data=b"x", headers={"x-own": "1"})
told = eval(urllib.request.urlopen(request).read())
assert told == ("/v1/a%20b?c=d", "127.0.0.1:%d" % server.server_port, "1", b"x"), told
assert request.full_url.startswith("https://us-central1"), request.full_url
print("well")
"""
    done = run(code)
    assert done.stdout == "well\n", done.stderr


def test_an_existing_sitecustomize_runs_in_our_stead(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.own = __file__\nVALUE = 7\n")
    done = run(
        "import sys, sitecustomize; print(sys.own == sitecustomize.__file__, sitecustomize.VALUE)", path=tmp_path
    )
    assert done.stdout == "True 7\n", done.stderr
    refused = run("import urllib.request; urllib.request.urlopen('https://bigquery.googleapis.com/')", path=tmp_path)
    assert "GoogleHostRefused" in refused.stderr


def test_an_error_of_the_existing_sitecustomize_is_told_as_ever(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('of its own')\n")
    done = run("print('goes on')", path=tmp_path)
    assert done.stdout == "goes on\n" and "of its own" in done.stderr


@pytest.mark.parametrize("variables", [{"CAIRN_SHIM": "off"}, {"CAIRN_URL": ""}])
def test_it_can_be_turned_off(variables):
    done = run(
        "import sys, urllib.request; print('cairn_shim' in sys.modules, 'cairn_finder' in sys.modules)", **variables
    )
    assert done.stdout == "False False\n", done.stderr


def test_a_program_without_clients_loads_next_to_nothing():
    code = "import sys; print(sorted({'cairn_shim', 'typing', 'socket', 'urllib.parse', 're'} & set(sys.modules)))"
    assert run(code).stdout == run(code, CAIRN_SHIM="off").stdout
    assert "'cairn_shim'" not in run(code).stdout


def test_a_library_that_has_changed_inside_is_left_alone(tmp_path):
    (tmp_path / "httplib2.py").write_text("VALUE = 1\n")
    done = run("import httplib2; print(httplib2.VALUE)", path=tmp_path)
    assert done.stdout == "1\n" and "requests of httplib2 are not redirected" in done.stderr


def test_loaders_and_reloads_are_as_ever():
    code = """
import importlib, urllib.request, socket
loader = urllib.request.__loader__
assert type(loader).__name__ == "SourceFileLoader" and "exec_module" not in vars(loader)
importlib.reload(urllib.request)
assert urllib.request.OpenerDirector.open.__name__ == "open"
print("well")
"""
    done = run(code)
    assert done.stdout == "well\n", done.stderr


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_it_runs_in_old_and_new_pythons(version):
    found = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    if not found:
        pytest.skip(f"Python {version} is not on this machine")
    done = run(
        "import urllib.request; urllib.request.urlopen('https://bigquery.googleapis.com/')", python=str(found[0])
    )
    assert "GoogleHostRefused" in done.stderr, done.stderr


def test_where_logins_are_asked_for_whoever_says_nothing_says_who_it_is(monkeypatch):
    monkeypatch.setattr(cairn_shim, "_account_token", lambda: "ours")
    assert cairn_shim._with_token({"Accept": "*/*"}) == {"Accept": "*/*", "authorization": "Bearer ours"}
    assert cairn_shim._with_token({"Authorization": "Bearer mine"}) == {"Authorization": "Bearer mine"}
    assert cairn_shim._with_token(None) == {"authorization": "Bearer ours"}
