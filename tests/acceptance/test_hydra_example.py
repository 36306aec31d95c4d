"""examples/hydra as its README has it: run, swept and resumed, and its programs by themselves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ("hydra-core>=1.3,<2", "kfp==2.17.0", "numpy==2.4.1")
SWEEP = ("run", "pipeline.py", "--config-dir", "conf", "-m", "train/model=linear,hidden", "train.lr=0.01,0.1", "seed=7")


@dataclass
class Example:
    """A copy of the example, a home, and a user's environment that has kfp and what the programs need, but no Cairn."""

    folder: Path
    python: Path
    home: Path

    def variables(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")},
            "CAIRN_HOME": str(self.home),
            "CAIRN_MACHINE_CPU": "2",
            "CAIRN_ENVIRONMENTS_COMPILE_BYTECODE": "false",  # each is used a few times only
            "VIRTUAL_ENV": str(self.python.parents[1]),
        }

    def start(self, words: tuple[str, ...], below: str = "", **variables: str) -> subprocess.Popen[str]:
        folder = self.folder / below
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(list(words), cwd=folder, env={**self.variables(), **variables}, text=True, **pipes)

    def program(self, below: str, *overrides: str) -> str:
        """What `python main.py` says, in an environment that has Cairn too."""
        beside = os.pathsep.join((str(ROOT / "src"), sysconfig.get_paths()["purelib"]))
        process = self.start((str(self.python), "main.py", *overrides), below, PYTHONPATH=beside)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return output

    def cairn(self, *words: str) -> Any:
        """The JSON of a command's last line."""
        process = self.start((sys.executable, "-m", "cairn", *words, "--json"))
        output, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors + output
        return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, client_python: Callable[..., Path]) -> Example:
    python = client_python(*REQUIREMENTS)
    place = tmp_path_factory.mktemp("hydra-example")
    leftovers = shutil.ignore_patterns("outputs", "multirun", "prepared", "__pycache__")
    for name in ("hydra", "training"):
        shutil.copytree(ROOT / "examples" / name, place / "examples" / name, symlinks=True, ignore=leftovers)
    return Example(place / "examples" / "hydra", python, place / "home")


def test_the_pipeline_is_run_with_its_configuration(example: Example) -> None:
    ended = example.cairn("run", "pipeline.py", "--config-dir", "conf", "+experiment=hidden", "train.epochs=20")
    assert ended["state"] == "SUCCEEDED"
    shown = example.cairn("runs", "show", ended["run_id"])
    assert shown["parameters"]["train_optimizer"] == {"_target_": "optimizers.Sgd", "momentum": 0.9}
    assert (shown["parameters"]["prepare_fence"], shown["parameters"]["train_epochs"]) == (2.0, 20)
    train = example.cairn("runs", "show", ended["run_id"], "train")
    [metrics] = train["outputs"]["artifacts"]["metrics"]
    assert metrics["metadata"]["accuracy"] > 0.9
    assert json.loads(Path(metrics["uri"]).read_text()) == metrics["metadata"]
    [attempt] = train["tries"]
    assert (
        "accuracy"
        in (Path(attempt["directory"]) / "stderr.log").read_text()
        + (Path(attempt["directory"]) / "stdout.log").read_text()
    )
    assert list(Path(attempt["directory"]).rglob(".hydra/config.yaml")), "Hydra's own folder is not kept"


def test_a_sweep_that_is_killed_goes_on_where_it_was(example: Example) -> None:
    process = example.start((sys.executable, "-m", "cairn", *SWEEP))
    assert process.stderr is not None
    for line in process.stderr:
        if "succeeded" in line:  # one of four
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    ended = example.cairn("sweeps", "resume", "latest")
    assert (ended["state"], ended["counts"]) == ("SUCCEEDED", {"SUCCEEDED": 4})
    runs = [example.cairn("runs", "show", one["run_id"]) for one in ended["runs"]]
    prepared = [task for run in runs for task in run["tasks"] if task["name"] == "prepare"]
    assert [task["cached"] for task in prepared].count(False) == 1, "the shared step was not run once"
    assert [task["attempts"] for run in runs for task in run["tasks"] if task["name"] == "train"] == [1] * 4


def test_the_programs_are_hydra_programs_by_themselves(example: Example) -> None:
    example.program("prepare", "fence=2")
    example.program("train", "lr=0.1", "epochs=20")
    [metrics] = (example.folder / "train" / "outputs").rglob("metrics.json")
    assert json.loads(metrics.read_text())["accuracy"] > 0.9


def test_jobs_of_a_program_are_steps_with_the_launcher(example: Example) -> None:
    if not (example.folder / "prepare" / "prepared").exists():
        example.program("prepare")
    words = ("-m", "hydra/launcher=cairn", "epochs=20", "model=linear,hidden")
    example.program("train", *words)
    assert len(list((example.folder / "train" / "multirun").rglob("model.npz"))) == 2
    assert "cached" in example.program("train", *words)
