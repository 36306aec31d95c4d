"""The real client packages, each in an environment of its own, and homes that they are pointed at."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "scripts"
REPOSITORY = Path(__file__).parents[3]
CONFIGURATION = """\
[run]
cache = true
"""
PACKAGES = {
    # pandas is what get_experiment_df asks for
    "aiplatform2": ("google-cloud-aiplatform>=2,<3", "kfp>=2.16", "pandas"),
    "aiplatform1": ("google-cloud-aiplatform>=1.150,<2", "kfp>=2.16", "pandas"),
    "kfp": ("kfp>=2.17",),
    "storage": ("google-cloud-storage>=3", "gcsfs"),
}


@pytest.fixture(scope="session")
def client_of(client_python) -> Callable[[str], str]:
    """`client_of("kfp")`: the interpreter of an environment with these packages, the newest that install."""
    return lambda name: str(client_python(*PACKAGES[name]))


class Installation:
    """A home, and the real commands on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        own = {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")}
        self.variables = {
            **own,
            "CAIRN_HOME": str(home),
            "PYTHONPATH": str(REPOSITORY / "src"),
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
        }
        self.server: subprocess.Popen | None = None

    def cairn(self, *arguments: str, before: Sequence[str] = (), timeout: float = 280, **variables: str):
        """`before`: a command that runs it."""
        return subprocess.run(
            [*before, sys.executable, "-m", "cairn", *arguments],
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def run_script(self, python: str, script: str, **options) -> list[str]:
        """Under `cairn exec`: what it says has passed. Fails the test, with the script's last words, when it fails."""
        return passed(self.cairn("exec", "--", python, str(SCRIPTS / script), **options))

    def serve(self, *arguments: str, **variables: str) -> str:
        """`cairn serve` in the foreground of a process of its own: its URL."""
        self.server = subprocess.Popen(
            [sys.executable, "-m", "cairn", "serve", "--port", "0", *arguments],
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=(self.home / "serve.log").open("wb"),
            text=True,
        )
        url = self.server.stdout.readline().strip()
        assert url.startswith("http"), (self.home / "serve.log").read_text()
        return url

    def close(self) -> None:
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(30)
            self.server.stdout.close()
        self.cairn("stop")


def passed(done: subprocess.CompletedProcess) -> list[str]:
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return re.findall(r"^passed: (.*)$", done.stdout, re.M)


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One home for all tests of a worker: what steps run in is built once."""
    home = tmp_path_factory.mktemp("clients") / "home"
    home.mkdir()
    (home / "config.toml").write_text(CONFIGURATION)
    made = Installation(home)
    yield made
    made.close()


@pytest.fixture
def new_installation(tmp_path: Path) -> Iterator[Installation]:
    home = tmp_path / "home"
    home.mkdir()
    made = Installation(home)
    yield made
    made.close()
