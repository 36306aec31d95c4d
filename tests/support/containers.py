"""A container engine for tests: the one that CAIRN_TEST_DOCKER names, else a dockerd of their own."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import base_image

from cairn.engine.ports import ContainerImage, Environment, StartAttempt
from cairn.launcher.container_api import ContainerApi, EngineGone

START_PATIENCE = 30.0


class ContainerEngine(NamedTuple):
    """`image` was made from this machine: Python, a shell, the usual programs."""

    socket: str  # path
    image: str
    image_id: str

    @property
    def api(self) -> ContainerApi:
        return ContainerApi(self.socket)

    @property
    def environment(self) -> Environment:
        return Environment(key=self.image_id, image=ContainerImage(self.image, self.image_id))

    def containers_of(self, request: StartAttempt) -> list[str]:
        """Names of the containers of an attempt, in whatever state."""
        found = self.api.list(f"cairn.attempt={request.uid}")
        return [one["Names"][0].lstrip("/") for one in found]


class Dockerd:
    """A dockerd in a directory, without a network of its own: its containers use the machine's, or none."""

    def __init__(self, directory: Path) -> None:
        self.socket = str(directory / "d.sock")
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def lacking() -> str:
        """Why there can be none; "" when there can."""
        for program in ("dockerd", "containerd", "runc"):
            if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
                return f"{program} is not installed (Debian: docker.io)"
        return "" if os.geteuid() == 0 else "dockerd wants root; set CAIRN_TEST_DOCKER to the socket of an engine"

    def start(self) -> None:
        for left in ("d.pid", "exec/containerd/containerd.pid"):
            (self._directory / left).unlink(missing_ok=True)
        command = [
            "dockerd", "--data-root", str(self._directory / "data"), "--exec-root", str(self._directory / "exec"),
            "--host", f"unix://{self.socket}", "--pidfile", str(self._directory / "d.pid"), "--live-restore",
            "--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false",
        ]  # fmt: skip
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        with open(self._directory / "log", "ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "PATH": path},
                start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_PATIENCE
        while True:
            try:
                ContainerApi(self.socket).ping(START_PATIENCE)
                return
            except EngineGone:
                assert self._process.poll() is None, (self._directory / "log").read_text()[-2000:]
                assert time.monotonic() < deadline, "dockerd does not answer"
                time.sleep(0.05)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Of dockerd and its containerd; containers run on."""
        assert self._process is not None
        if number == signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
        self._process.send_signal(number)
        self._process.wait(30)

    def close(self) -> None:
        """End everything, containers too, and leave no mount."""
        assert self._process is not None
        if self._process.poll() is not None:
            self.start()
        api = ContainerApi(self.socket)
        for found in api.call("GET", "/containers/json", all=1):
            api.call("DELETE", f"/containers/{found['Id']}", force=1, v=1)
        self.end()
        for mounted in ("exec/netns/default", "data"):
            subprocess.run(["umount", str(self._directory / mounted)], capture_output=True)
        shutil.rmtree(self._directory / "data", ignore_errors=True)


def described(socket: str) -> ContainerEngine:
    """The engine behind a socket (a path, or unix://PATH), once it has the image."""
    path = socket.removeprefix("unix://")
    return ContainerEngine(path, *base_image.make(path))


def version(engine: ContainerEngine) -> str:
    return json.dumps(engine.api.call("GET", "/version"))
