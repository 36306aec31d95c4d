"""The real client packages, each in an environment of its own, and homes that they are pointed at."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"
REPOSITORY = HERE.parents[2]
PACKAGES = {
    # pandas is what get_experiment_df asks for, setuptools what local scripts are packed with
    "aiplatform2": ("google-cloud-aiplatform>=2,<3", "kfp>=2.16", "pandas", "setuptools"),
    "aiplatform1": ("google-cloud-aiplatform>=1.150,<2", "kfp>=2.16", "pandas", "setuptools"),
    "kfp": ("kfp>=2.17",),
    "components": ("google-cloud-pipeline-components>=2.20,<3",),  # with aiplatform and kfp
    "storage": ("google-cloud-storage>=3", "gcsfs"),
}


@pytest.fixture(scope="session")
def client_of(client_python) -> Callable[[str], str]:
    """`client_of("kfp")`: the interpreter of an environment with these packages, the newest that install."""
    return lambda name: str(client_python(*PACKAGES[name]))


class Installation:
    """A home, and the real commands on it. `within`: a command that runs each of them."""

    def __init__(self, home: Path, within: Sequence[str] = (), **variables: str) -> None:
        self.home = home
        self.within = within
        own = {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")}
        self.variables = {
            **own,
            "CAIRN_HOME": str(home),
            "PYTHONPATH": str(REPOSITORY / "src"),
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
            **variables,
        }
        self.server: subprocess.Popen | None = None
        self._prepared: set[str] = set()

    def cairn(self, *arguments: str, within: Sequence[str] | None = None, **variables: str):
        return subprocess.run(
            [*(self.within if within is None else within), sys.executable, "-m", "cairn", *arguments],
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
        )

    def run_script(self, python: str, script: str, *options: str, **more) -> list[str]:
        """Under `cairn exec OPTIONS`: what it says has passed. Fails the test, with the script's last words, when it
        fails."""
        return passed(self.cairn("exec", *options, "--", python, str(SCRIPTS / script), **more))

    def prepare(self, python: str) -> None:
        """Have what the scripts' steps run in installed: for commands that have no network."""
        if python not in self._prepared:
            pipeline = self.home / "prepared.yaml"
            subprocess.run([python, str(SCRIPTS / "compiled.py"), str(pipeline)], check=True, timeout=120)
            passed(self.cairn("run", str(pipeline), within=()))
            self._prepared.add(python)

    def serve(self, *arguments: str) -> str:
        """`cairn serve` in the foreground of a process of its own: its URL."""
        self.server = subprocess.Popen(
            [sys.executable, "-m", "cairn", "serve", "--port", "0", *arguments],
            env=self.variables,
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
def loopback_only() -> Iterator[list[str] | None]:
    """What to put before a command so that it runs in a network that has loopback alone, the same one for all; None
    where this machine does not let us make one."""
    own_user = [] if os.geteuid() == 0 else ["--map-root-user"]
    made = shutil.which("unshare") and shutil.which("nsenter")
    keeper = subprocess.Popen(
        ["unshare", "--net", *own_user, sys.executable, str(HERE / "isolated.py")] if made else ["false"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    ready = keeper.stdout.readline()
    user = ["--user", "--preserve-credentials"] if own_user else []
    yield ["nsenter", "--target", str(keeper.pid), *user, "--net", "--"] if ready else None
    keeper.communicate(timeout=10)


@pytest.fixture(scope="session")
def installation(tmp_path_factory, loopback_only) -> Iterator[Installation]:
    """One home for all that need no server of their own: what steps run in is built once. Its commands, and so its
    background host, have no network but loopback, where such a thing can be had."""
    made = Installation(_home(tmp_path_factory), loopback_only or ())
    yield made
    made.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Iterator[tuple[Installation, str]]:
    """A home with `cairn serve`, and its URL; TLS is at the same port."""
    made = Installation(_home(tmp_path_factory))
    yield made, made.serve("--tls", "local")
    made.close()


@pytest.fixture(scope="session")
def guarded(tmp_path_factory) -> Iterator[tuple[Installation, str]]:
    """As `served`, and who asks it has to log in."""
    made = Installation(_home(tmp_path_factory), CAIRN_SERVER_AUTHENTICATION="required")
    yield made, made.serve("--tls", "local")
    made.close()


@pytest.fixture(scope="session")
def installation_at() -> Callable[..., Installation]:
    """An installation on a home that a test has prepared; whoever asks closes it."""
    return Installation


@pytest.fixture
def new_installation(tmp_path_factory) -> Iterator[Installation]:
    made = Installation(_home(tmp_path_factory))
    yield made
    made.close()


def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("clients") / "home"
    home.mkdir()
    return home
