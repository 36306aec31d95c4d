"""The real command, in processes of its own, on one home for all tests of a worker: environments are built once."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import cairn

PIPELINES = Path(__file__).parent / "pipelines"
SOURCES = str(Path(cairn.__file__).parent.parent)


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def json(self):
        """The object in the last line of standard output."""
        return json.loads(self.out.splitlines()[-1])


class CommandLine:
    """`cli("runs", "list")` runs a command to its end; `cli.start(…)` leaves it running."""

    def __init__(self, home, work, python=sys.executable):
        self.home, self.work, self.python = home, work, python
        self.variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")},
            "CAIRN_HOME": str(home),
            "CAIRN_BACKGROUND_IDLE": "60",
            "PYTHONPATH": SOURCES,
            "PYTHONWARNINGS": "ignore",
        }

    def command(self, *arguments):
        return [str(self.python), "-m", "cairn", *map(str, arguments)]

    def start(self, *arguments, **more):
        return subprocess.Popen(
            self.command(*arguments), cwd=self.work, env={**self.variables, **more}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, *arguments, timeout=120, **more):
        process = self.start(*arguments, **more)
        out, err = process.communicate(timeout=timeout)
        return Result(process.returncode, out, err)

    def run(self, name, *arguments, **more):
        """`cairn run` of one of the pipelines here, with --json."""
        return self("run", PIPELINES / f"{name}.yaml", "--json", *arguments, **more)

    def at(self, home):
        return CommandLine(home, self.work)

    def copy_of(self, name, **changes):
        """A pipeline's file in the working directory, with some texts replaced."""
        text = (PIPELINES / f"{name}.yaml").read_text()
        for before, after in changes.items():
            assert before in text
            text = text.replace(before, after)
        target = self.work / f"{name}.yaml"
        target.write_text(text)
        return target

    def task_states(self, run_id):
        return {task["path"]: task["state"] for task in self("runs", "show", run_id, "--json").json["tasks"]}

    def processes(self, run_id=""):
        """Command lines of live processes that name a directory of the run's, or of any run of this home."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                except OSError:
                    continue
                if state != "Z" and f"{self.home}/runs/{run_id}" in words:
                    found.append(words)
        return found

    def newest(self, pipeline, *states):
        """The newest run of a pipeline once it is in one of the states; None before."""
        listed = self("runs", "list", "--pipeline", pipeline, "--limit", "1", "--json").json
        return listed[0] if listed and listed[0]["state"] in states else None

    @staticmethod
    def wait_until(condition, seconds=30.0):
        """The first true value of `condition()`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = condition()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError("it did not come about")


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory, missing_service):
    home = tmp_path_factory.mktemp("cairn") / "home"
    cli = CommandLine(home, tmp_path_factory.mktemp("work"))
    ready = cli.run("branches")
    if "no way to the index" in ready.err:
        missing_service("a package index", "let uv reach one, or configure UV_FIND_LINKS")
    assert ready.status == 0, ready.err
    yield home
    cli("stop")


@pytest.fixture
def cli(shared_home, tmp_path):
    return CommandLine(shared_home, tmp_path)


@pytest.fixture
def bare(tmp_path):
    """A home of the test's own, without environments: for steps that are the machine's own. `bare(python)`: cairn in
    another interpreter."""
    return lambda python=sys.executable: CommandLine(tmp_path / "home", tmp_path, python)


@pytest.fixture
def swept(bare):
    """`swept()`: sweeps of `swept.yaml`, whose steps tell what is executed."""
    return lambda python=sys.executable: Swept(bare(python))


class Swept:
    """`sweep("x=1,2")` is `cairn run -m` to its end; `executions()` counts the lines that steps have written."""

    def __init__(self, cli):
        self.cli, self.trace, self.pipeline = cli, cli.work / "steps.trace", PIPELINES / "swept.yaml"
        groups = cli.work / "conf" / "model"
        groups.mkdir(parents=True)
        for size, name in enumerate(("small", "big"), start=1):
            (groups / f"{name}.yaml").write_text(f"size: {size}\n")
        self.config = cli.work / "conf" / "config.yaml"
        self.config.write_text(
            f"defaults: [{{model: small}}, _self_]\nx: 1\nlr: 0.1\npause: 0\ntrace: {self.trace}\n"
            "cairn:\n  sweep: {metric: score, goal: maximize, experiment: '', failures: -1, parallel: 0}\n"
        )

    def words(self, *overrides):
        return ["run", self.pipeline, "--image", "*=host", "--config-dir", self.config.parent, "-m", *overrides]

    def __call__(self, *overrides, as_json=True):
        return self.cli(*self.words(*overrides), *(["--json"] if as_json else []))

    def start(self, *overrides):
        return self.cli.start(*self.words(*overrides), "--json")

    def executions(self, *names):
        found = Counter(self.trace.read_text().split("\n")[:-1]) if self.trace.exists() else Counter()
        return {name: found[name] for name in names} if names else dict(found)


@pytest.fixture
def own_home(shared_home, tmp_path):
    """A home of the test's own, which has the environments already."""
    home = tmp_path / "own"
    home.mkdir()
    (home / "config.toml").write_text("[environments]\n")
    os.symlink(shared_home / "environments", home / "environments")
    command = CommandLine(home, tmp_path)
    yield command
    command("stop")
