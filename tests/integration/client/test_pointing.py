"""`cairn serve`, `exec`, `env`, `status`, `stop`: one host per home, as real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

PIPELINE = Path(__file__).parents[2] / "acceptance" / "constructs" / "pipelines" / "compiled" / "no_device.yaml"
ASK = "import os, urllib.request as u; print(os.environ['CAIRN_URL'], u.urlopen(os.environ['CAIRN_URL'] + '/healthz').status)"  # noqa: E501


class Home:
    def __init__(self, home: Path) -> None:
        self.home = home
        own = {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")}
        self.variables = {**own, "CAIRN_HOME": str(home), "NO_COLOR": "1"}
        self.servers: list[subprocess.Popen] = []

    def cairn(self, *arguments, **variables):
        return subprocess.run(
            [sys.executable, "-m", "cairn", *arguments],
            env={**self.variables, **variables}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def serve(self, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "cairn", "serve", *arguments],
            env=self.variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.servers.append(process)
        return process, process.stdout.readline().strip()

    def status(self):
        return json.loads(self.cairn("status", "--json").stdout)["host"]

    def ask(self):
        done = self.cairn("exec", "--", sys.executable, "-c", ASK)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[0]

    def close(self):
        for process in self.servers:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=30)
        self.cairn("stop")


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    yield made
    made.close()


def test_exec_starts_the_background_host_and_uses_it_again(home):
    first = home.ask()
    assert home.ask() == first
    assert home.status()["kind"] == "background" and home.status()["url"] == first


def test_the_background_host_keeps_its_port_over_restarts(home):
    first = home.ask()
    assert home.cairn("stop").returncode == 0
    assert home.ask() == first
    home.cairn("stop")
    with socket.create_server(("127.0.0.1", int(first.rpartition(":")[2]))):
        assert home.ask() != first


def test_exec_hands_through_status_signals_and_streams(home):
    assert home.cairn("exec", "--", "sh", "-c", "exit 7").returncode == 7
    assert home.cairn("exec", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    assert home.cairn("exec", "--", "echo", "--json", "-x").stdout == "--json -x\n"
    refused = home.cairn("exec", "--", "no-such-command")
    assert refused.returncode == 2 and "no-such-command" in refused.stderr


def test_the_host_is_no_child_of_the_program(home):
    waiting = "import os\ntry: os.waitpid(-1, os.WNOHANG)\nexcept ChildProcessError: print('none')"
    assert home.cairn("exec", "--", sys.executable, "-c", waiting).stdout == "none\n"
    assert home.status()["kind"] == "background"


def test_a_host_that_cannot_start_is_told_at_once(home):
    home.ask()
    home.cairn("stop")
    began = time.monotonic()
    refused = home.cairn("exec", "--", "true", CAIRN_BACKGROUND_IDLE="soon")
    assert refused.returncode != 0 and "does not start" in refused.stderr, refused.stderr
    assert time.monotonic() - began < 15


def test_the_host_stays_while_a_program_of_exec_runs_and_leaves_after(home):
    home.variables["CAIRN_BACKGROUND_IDLE"] = "1"
    process = subprocess.Popen([sys.executable, "-m", "cairn", "exec", "--", "sleep", "5"], env=home.variables)
    until(lambda: home.status() is not None)
    time.sleep(3)
    assert home.status() is not None
    process.terminate()
    process.wait()
    until(lambda: home.status() is None, 15)


def test_a_server_takes_over_from_the_background_host_and_gives_way_to_none(home):
    background = home.ask()
    process, url = home.serve("--port", "0")
    assert url.startswith("http://127.0.0.1:") and url != background
    assert home.status() == {**home.status(), "kind": "serve", "url": url, "pid": process.pid}
    assert home.ask() == url
    second = home.cairn("serve", "--port", "0")
    assert second.returncode == 2 and str(process.pid) in second.stderr and url in second.stderr
    assert process.poll() is None
    assert home.cairn("stop").returncode == 0
    assert process.wait(20) == 0 and home.status() is None
    assert "handed over" in process.stderr.read()


def test_a_server_answers_at_the_background_hosts_port_too(home):
    background = home.ask()
    process, url = home.serve("--port", "0")
    assert url != background
    for known in (url, background):
        with urllib.request.urlopen(known + "/healthz") as answer:
            assert answer.status == 200
    assert home.cairn("stop").returncode == 0
    assert background in process.stderr.read()
    assert home.ask() == background
    home.cairn("stop")
    with socket.create_server(("127.0.0.1", int(background.rpartition(":")[2]))) as others:
        _, url = home.serve("--port", "0")
        with urllib.request.urlopen(url + "/healthz") as answer:
            assert answer.status == 200
        others.settimeout(0.2)
        with pytest.raises(TimeoutError):
            others.accept()


def test_a_schedule_is_left_to_the_server_that_runs(home, tmp_path):
    process, url = home.serve("--port", "0")
    made = home.cairn("schedules", "create", str(PIPELINE), "--cron", "0 3 1 1 *", "--name", "yearly")
    assert made.returncode == 0, made.stderr
    assert f"left to the server (process {process.pid})" in made.stderr, made.stderr
    assert home.status() == {**home.status(), "kind": "serve", "url": url, "pid": process.pid}
    assert home.cairn("schedules", "pause", "yearly").returncode == 0
    assert home.cairn("schedules", "resume", "yearly").returncode == 0
    assert home.status()["pid"] == process.pid
    assert not (home.home / "background" / "log").exists()  # none was even tried


def test_env_points_at_a_server_elsewhere(home, tmp_path):
    key = tmp_path / "key.json"
    home.variables["CAIRN_SERVER_AUTHENTICATION"] = "required"
    _, url = home.serve("--port", "0", "--tls", "local")
    secure = url.replace("http://", "https://")
    made = home.cairn("tokens", "create", "ann", "--project", "demo", "--service-account", str(key), "--url", secure)
    assert made.returncode == 0, made.stderr
    there = ("--url", secure, "--credentials", str(key), "--authority", str(home.home / "tls" / "ca.pem"))
    other = {"CAIRN_HOME": str(tmp_path / "laptop"), "STORAGE_EMULATOR_HOST": "http://elsewhere"}
    told = json.loads(home.cairn("env", "--json", *there, **other).stdout)
    assert told["CAIRN_URL"] == secure and told["GOOGLE_APPLICATION_CREDENTIALS"] == str(key)
    assert told["GOOGLE_CLOUD_PROJECT"] == "demo" and told["CAIRN_LOGIN"] == "1"
    assert told["STORAGE_EMULATOR_HOST"] is None
    ask = "import os, urllib.request as u; u.urlopen(os.environ['CAIRN_URL'] + '/healthz'); print(sorted(os.environ))"
    done = home.cairn("exec", *there, "--", sys.executable, "-c", ask, **other)
    assert done.returncode == 0 and "STORAGE_EMULATOR_HOST" not in done.stdout, done.stderr
    assert not (tmp_path / "laptop" / "background").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--url", "https://there:1"], "cairn tokens create"),
        (["--url", "there:1", "--credentials", "KEY"], "https://HOST:PORT"),
        (["--url", "https://there:1", "--credentials", "NONE"], "cannot be read"),
        (["--url", "https://there:1", "--credentials", "TEXT"], "no key file"),
        (["--url", "https://there:1", "--credentials", "KEY", "--authority", "TEXT"], "TEXT"),
        (["--credentials", "KEY"], "--url"),
    ],
)
def test_what_does_not_lead_to_a_server_elsewhere_is_refused(home, tmp_path, arguments, said):
    (tmp_path / "KEY").write_text('{"type": "service_account", "project_id": "demo"}')
    (tmp_path / "TEXT").write_text("text")
    given = [str(tmp_path / one) if one.isupper() else one for one in arguments]
    refused = home.cairn("env", *given)
    assert refused.returncode == 2 and said in refused.stderr and not refused.stdout, refused


def test_a_server_takes_the_background_hosts_own_port(home):
    background = home.ask()
    _, url = home.serve("--port", background.rpartition(":")[2])
    assert url == background


def test_a_port_in_use_is_refused_and_the_background_host_stays(home):
    background = home.ask()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = home.cairn("serve", "--port", str(taken.getsockname()[1]))
    assert refused.returncode == 2 and "is in use" in refused.stderr and "--port" in refused.stderr
    assert home.status()["url"] == background


def test_a_server_that_would_be_open_is_refused(home):
    refused = home.cairn("serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 2 and "TLS" in refused.stderr
    assert home.status() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server(home, number):
    process, url = home.serve("--port", "0", "--json")
    assert json.loads(url)["pid"] == process.pid
    process.send_signal(number)
    assert process.wait(20) == 0


def test_env_points_a_shell_and_takes_it_back(home):
    script = f"""
eval "$({sys.executable} -m cairn env --shell bash)"
{sys.executable} -c "{ASK}"
eval "$({sys.executable} -m cairn env --unset --shell bash)"
echo "left: $CAIRN_URL$STORAGE_EMULATOR_HOST"
"""
    done = subprocess.run(["sh", "-c", script], env=home.variables, capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("200\nleft: \n"), done
    told = json.loads(home.cairn("env", "--json").stdout)
    assert told["CAIRN_URL"] == home.status()["url"]


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
