"""Real servers on homes of their own, and a small HTTP client.

`server` is a test's own; `shared_server` is one for all tests of a worker (fill it under names of your own, and use a
project of your own). `serve(home)` starts another one, on a home of your choice.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

import cairn
from cairn.api.http import Route
from cairn.api.server import Server
from cairn.wiring import open_cairn

SOURCES = str(Path(cairn.__file__).parent.parent)
CONFIGURATION = """\
[images]
"*" = "host"
"""


class Answer:
    """What came back. `json` is the body read."""

    def __init__(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.status, self.headers, self.content = status, headers, content

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> str:
        """The message of a refusal; fails the test when it is none."""
        assert self.status >= 400, self.content
        return self.json["error"]["message"]

    def __repr__(self) -> str:
        return f"<{self.status} {self.content[:300]!r}>"


class Running:
    """A server that runs. Its methods are requests: `server.get("/v1/…", filter="…")`, `server.post("/v1/…", {…})`."""

    def __init__(self, home: Path, process: subprocess.Popen, url: str) -> None:
        self.home, self.process, self.url = home, process, url
        self.headers: dict[str, str] = {}

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Any = (),
        headers: dict[str, str] | None = None,
        timeout: float = 60,
    ) -> Answer:
        """`body`: bytes as they are, anything else as JSON. One connection per request."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=timeout)
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **self.headers, **(headers or {})}
        asked = urlencode(query, doseq=True)
        try:
            connection.request(method, f"{path}?{asked}" if asked else path, content, sent)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **query: Any) -> Answer:
        return self.request("GET", path, query=query)

    def delete(self, path: str, **query: Any) -> Answer:
        return self.request("DELETE", path, query=query)

    def post(self, path: str, body: Any = None, **query: Any) -> Answer:
        return self.request("POST", path, {} if body is None else body, query=query)

    def patch(self, path: str, body: Any, **query: Any) -> Answer:
        return self.request("PATCH", path, body, query=query)

    def ended(self, name: str, timeout: float = 60) -> dict[str, Any]:
        """A Vertex pipelineJob by its name, once it has come to its end."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            job = self.get(f"/v1/{name}").json
            if job["state"] not in ("PIPELINE_STATE_PENDING", "PIPELINE_STATE_RUNNING", "PIPELINE_STATE_CANCELLING"):
                return job
            time.sleep(0.05)
        raise AssertionError(f"{name} does not end: {job['state']}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise


def start_server(home: Path, *arguments: str, **variables: str) -> Running:
    """Start one and wait until it answers. `arguments`: NAME=JSON, for Server."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "config.toml").exists():
        (home / "config.toml").write_text(CONFIGURATION)
    own = {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")}
    log = (home / "server.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "serving.py"), *arguments],
        env={**own, "CAIRN_HOME": str(home), "PYTHONPATH": SOURCES, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    log.close()
    url = process.stdout.readline().strip()
    if not url:
        process.wait(30)
        raise AssertionError(f"the server did not start:\n{(home / 'server.log').read_text()[-3000:]}")
    return Running(home, process, url)


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    """`serve(home, "port=0", CAIRN_X="…")`: a server, stopped at the test's end."""
    made: list[Running] = []

    def start(home: Path, *arguments: str, **variables: str) -> Running:
        made.append(start_server(home, *arguments, **variables))
        return made[-1]

    yield start
    for one in made:
        one.stop()
        one.process.stdout.close()


@pytest.fixture
def server(serve: Callable[..., Running], tmp_path: Path) -> Running:
    """A server of this test's own. Every image is mapped to the machine itself."""
    return serve(tmp_path / "home")


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_server(tmp_path_factory.mktemp("serve") / "home")
    yield running
    running.stop()
    running.process.stdout.close()


@pytest.fixture(scope="session")
def pipeline_of() -> Callable[..., dict[str, Any]]:
    """A pipeline whose steps are shell commands, in this order: `pipeline_of("demo", greet="echo hi")`."""
    return _pipeline_of


def _pipeline_of(name: str, **steps: str) -> dict[str, Any]:
    tasks: dict[str, Any] = {}
    before = ""
    for step in steps:
        tasks[step] = {"componentRef": {"name": f"comp-{step}"}, "taskInfo": {"name": step}}
        if before:
            tasks[step]["dependentTasks"] = [before]
        before = step
    return {
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "pipelineInfo": {"name": name},
        "root": {"dag": {"tasks": tasks}},
        "components": {f"comp-{step}": {"executorLabel": f"exec-{step}"} for step in steps},
        "deploymentSpec": {
            "executors": {
                f"exec-{step}": {"container": {"image": "shell", "command": ["sh", "-c", text]}}
                for step, text in steps.items()
            }
        },
    }


class Hosted:
    """A server in a thread. `slow` and others are routes that `host` was given."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = server.url
        self.port: int = urlsplit(server.url).port or 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        up = threading.Event()
        self.up = up.set
        self.thread.start()
        assert up.wait(20), self.failure

    def _run(self) -> None:
        try:
            self.server.run(self.up)
        except BaseException as error:
            self.failure = error
            raise

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()

    def connect(self, timeout: float = 20) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def client(self, timeout: float = 20) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def get(self, path: str, timeout: float = 20) -> tuple[int, bytes]:
        client = self.client(timeout)
        try:
            client.request("GET", path)
            answer = client.getresponse()
            return answer.status, answer.read()
        finally:
            client.close()


@pytest.fixture(scope="session")
def ask_health() -> Callable[[socket.socket], None]:
    """Ask on a connection, and read the answer to its end."""

    def ask(sock: socket.socket) -> None:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert answer.status == 200
        answer.read()

    return ask


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Callable[..., Hosted]]:
    """`host(routes=[…], config="[server]…", limits=Limits(…))`: started; stopped at the test's end."""
    made: list[Hosted] = []

    def start(routes: list[Route] | None = None, config: str = "", **arguments: Any) -> Hosted:
        home = tmp_path / f"home-{len(made)}"
        home.mkdir()
        (home / "config.toml").write_text(config)
        cairn = open_cairn(str(home))
        try:
            server = Server(cairn, **arguments)
        except BaseException:
            cairn.close()
            raise
        for route in routes or []:
            server.application.router.add(route)
        made.append(Hosted(server))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.stop()
        one.server.cairn.close()
