"""A server that ends says why."""

import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from cairn.api.access import READ_ANY
from cairn.api.http import Route, json_reply
from cairn.errors import ConfigurationError
from cairn.wiring import open_cairn

SERVE = [sys.executable, "-m", "cairn", "serve", "--port", "0", "--quiet", "--json"]


def served(home, command=SERVE, **more):
    """A server of the command line that answers."""
    variables = {**os.environ, "CAIRN_HOME": str(home)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=variables, text=True, **pipes, **more)
    assert "url" in process.stdout.readline()
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_names_the_signal_even_when_it_is_to_be_quiet(cairn_home, number):
    process = served(cairn_home)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"process {process.pid} ends: {number.name} was received" in errors


def test_what_nohup_has_ignored_stays_ignored(cairn_home):
    process = served(cairn_home, ["nohup", *SERVE])
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.terminate()
    assert "SIGTERM was received" in process.communicate(timeout=20)[1]


FAILING = """
import logging, sys
from cairn.api.server import Server
from cairn.wiring import open_cairn

logging.basicConfig()
server = Server(open_cairn())

def ready():
    engine = server.engine_host._engine
    def turn(timeout):
        raise OSError("the selector has gone")
    engine.turn = turn
    engine.wake()

server.run(ready)
"""


def test_one_whose_engine_has_failed_ends_with_the_trace(cairn_home):
    variables = {**os.environ, "CAIRN_HOME": str(cairn_home)}
    done = subprocess.run(
        [sys.executable, "-c", FAILING], env=variables, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert "ends: its engine has failed" in done.stderr
    assert done.stderr.rstrip().endswith("OSError: the selector has gone")


def test_a_run_that_meets_a_defect_leaves_the_engine_to_the_others(host, monkeypatch, pipeline_of, tmp_path):
    running = host(config='[images]\n"*" = "host"\n')
    runs = running.server.cairn.runs
    take = type(runs).take

    def taken(self, engine, run, **how):
        if run.job_id == "broken":
            raise KeyError(run.job_id)
        return take(self, engine, run, **how)

    monkeypatch.setattr(type(runs), "take", taken)
    running.server.engine_host.observers.insert(0, lambda *_: 1 / 0)
    import json

    ended = tmp_path / "ended"
    for name in ("broken", "sound"):
        client = running.client()
        path = f"/v1/projects/p/locations/us-central1/pipelineJobs?pipelineJobId={name}"
        spec = {"pipelineSpec": pipeline_of("one", a=f"touch {ended}")}
        client.request("POST", path, json.dumps(spec), {"content-type": "application/json"})
        assert client.getresponse().status == 200
        client.close()
    until = time.monotonic() + 20
    while not ended.exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    assert running.server.engine_host.alive


@pytest.mark.parametrize("seconds", [0.2])
def test_the_drain_is_as_long_as_the_settings_say(host, seconds):
    import threading

    begun, free = threading.Event(), threading.Event()

    def slow(_call):
        begun.set()
        free.wait(20)
        return json_reply({})

    running = host(
        [Route("GET", "/test/slow", slow, READ_ANY, "test.slow")], config=f"[server]\ndrain_seconds = {seconds}\n"
    )
    with running.connect() as sock:
        sock.sendall(b"GET /test/slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert begun.wait(5)
        began = time.monotonic()
        running.server.stop()
        assert sock.recv(1) == b""
        assert seconds - 0.05 < time.monotonic() - began < 5
        free.set()


def test_a_drain_of_less_than_nothing_is_refused(tmp_path):
    (tmp_path / "config.toml").write_text("[server]\ndrain_seconds = -1\n")
    with pytest.raises(ConfigurationError, match="drain_seconds"):
        open_cairn(str(tmp_path))


def test_the_background_host_says_why_and_has_no_line_for_each_request(cairn_home):
    variables = {**os.environ, "CAIRN_HOME": str(cairn_home)}
    process = subprocess.Popen(
        [sys.executable, "-m", "cairn.api.background"], env=variables, text=True, stderr=subprocess.PIPE
    )
    ready = process.stderr.readline()
    while " at http://" not in ready:
        assert ready, "it has ended"
        ready = process.stderr.readline()
    url = ready.split()[-1]
    for _ in range(3):
        assert urllib.request.urlopen(f"{url}/cairn/v1/runs", timeout=20).status == 200
    process.terminate()
    _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "SIGTERM was received" in log
    assert "GET" not in log
