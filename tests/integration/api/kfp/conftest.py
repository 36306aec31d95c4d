"""kfp's own client, in an environment and a process of its own, against a real server."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

KFP = "kfp>=2.17"
HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def client_python(tmp_path_factory: pytest.TempPathFactory, missing_service: Callable[[str, str], Any]) -> str:
    """An interpreter with the whole of kfp: `kfp/bin/python` where CAIRN_TEST_CLIENTS says, built if there is none."""
    given = os.environ.get("CAIRN_TEST_CLIENTS")
    place = (Path(given) if given else tmp_path_factory.getbasetemp().parent / "clients") / "kfp"
    if not (place / "bin" / "python").exists():
        uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        building = place.with_name(f"kfp-{os.getpid()}")
        for command in (
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(building)],
            [uv, "pip", "install", "--quiet", "--python", str(building / "bin" / "python"), KFP],
        ):
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=600)
            except FileNotFoundError:
                missing_service("uv", "install uv")
            if done.returncode != 0:
                missing_service(f"an environment with {KFP}", (done.stderr.strip() or "not installable")[-300:])
        with contextlib.suppress(OSError):  # another worker was quicker
            building.rename(place)
    return str(place / "bin" / "python")


class Worker:
    """A process in the client's environment that carries out the functions of `scenarios.py`."""

    def __init__(self, python: str, url: str, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.log = home / "client.log"
        own = {name: value for name, value in os.environ.items() if not name.startswith(("CAIRN_", "KF_", "PYTHON"))}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [python, str(HERE / "scenarios.py"), url],
                env={**own, "HOME": str(home), "TMPDIR": str(home), "PYTHONWARNINGS": "ignore"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __call__(self, scenario: str) -> None:
        """Fails with the scenario's trace."""
        self.process.stdin.write(f"{scenario}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-3000:]
        trace = json.loads(line)
        assert trace == "", trace

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def client(client_python: str, shared_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(client_python, shared_server.url, tmp_path_factory.mktemp("client") / "home")
    yield worker
    worker.close()
