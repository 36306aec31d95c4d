"""One installation for all of these tests: its environments are built once, its runs stand side by side."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
COMPILED = HERE / "pipelines" / "compiled"


class Outcome:
    """What `cairn run … --json` said: exit status, the JSON of its last line, and its standard error."""

    def __init__(self, process: "subprocess.CompletedProcess[str]", command: Sequence[str]) -> None:
        self.command = list(command)
        self.exit = process.returncode
        self.stderr = process.stderr
        lines = [line for line in process.stdout.splitlines() if line.strip()]
        self.record: dict[str, Any] = json.loads(lines[-1]) if lines else {}

    @property
    def state(self) -> str:
        return self.record.get("state", "")

    @property
    def run_id(self) -> str:
        return self.record["run_id"]

    @property
    def outputs(self) -> dict[str, Any]:
        return self.record["outputs"]

    @property
    def warnings(self) -> str:
        return "\n".join(self.record.get("warnings") or [])

    @property
    def error(self) -> str:
        return json.dumps(self.record.get("error"))

    @property
    def executed(self) -> dict[str, int]:
        """How often each leaf component succeeded."""
        tasks = [task for task in self.record["tasks"] if task["state"] == "SUCCEEDED"]
        return dict(Counter(task["component"].removeprefix("comp-") for task in tasks))

    @property
    def states(self) -> dict[str, str]:
        return {task["path"]: task["state"] for task in self.record["tasks"]}

    def task(self, path: str) -> dict[str, Any]:
        return next(task for task in self.record["tasks"] if task["path"] == path)

    def outputs_of(self, component: str) -> list[Any]:
        """The single output of each succeeded task of a component, in the order of the record."""
        return [
            next(iter(task["outputs"].values()))
            for task in self.record["tasks"]
            if task["component"].removeprefix("comp-") == component and task["state"] == "SUCCEEDED"
        ]

    def __repr__(self) -> str:
        record = json.dumps(self.record, indent=1)[:6000]
        return f"{' '.join(self.command)}\nexit {self.exit}\n{record}\n{self.stderr[-4000:]}"


class Cli:
    """The real command, as a process of its own, on one home."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home = home
        self.folder = folder

    def command(
        self, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "CAIRN_HOME": str(self.home), "NO_COLOR": "1", **(variables or {})}
        return subprocess.run(
            [sys.executable, "-m", "cairn", *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=240,
        )

    def json(self, *arguments: str) -> Any:
        process = self.command(*arguments, "--json")
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout.splitlines()[-1])

    def run(
        self,
        pipeline: str | Path,
        *options: str,
        parameters: Mapping[str, Any] | None = None,
        cache: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run a compiled pipeline of this folder (by name) or a file."""
        source = COMPILED / f"{pipeline}.yaml" if isinstance(pipeline, str) and "." not in pipeline else Path(pipeline)
        arguments = ["run", str(source), "--json", *options]
        if not cache:
            arguments.append("--no-cache")
        if parameters is not None:
            given = self.folder / "parameters.json"
            given.write_text(json.dumps(parameters))
            arguments += ["--params", str(given)]
        return Outcome(self.command(*arguments, variables=variables), arguments)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by all test processes of a session."""
    base = tmp_path_factory.getbasetemp()
    common = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    return common / "constructs-home"


@pytest.fixture
def cli(home: Path, tmp_path: Path) -> Cli:
    return Cli(home, tmp_path)


@pytest.fixture
def own_cli(tmp_path: Path) -> Callable[..., Cli]:
    """A command line on a home of the test's own, for what would disturb others."""

    def make(configuration: str = "") -> Cli:
        home = tmp_path / "own-home"
        home.mkdir()
        (home / "config.toml").write_text(configuration)
        return Cli(home, tmp_path)

    return make
