"""examples/tuning as its README has it: with `cairn run`, through Vertex AI's client, in containers; one result."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "tuning"
REQUIREMENTS = (EXAMPLE / "requirements.txt").read_text().split()
IMAGE = "europe-docker.pkg.dev/demo/digits/trainer:1.0.0"
TEST_IMAGES = 450  # a quarter of the 1,797
pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass
class Example:
    """A copy of the example, a home, and a user's environment that has what the example's requirements name."""

    folder: Path
    python: Path
    home: Path
    more: dict[str, str] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")},
            "CAIRN_HOME": str(self.home),
            "CAIRN_MACHINE_CPU": "8",  # so that trials run at the same time, as large as the example's machine is
            "VIRTUAL_ENV": str(self.python.parents[1]),
            **self.more,
        }

    def cairn(self, *words: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            [sys.executable, "-m", "cairn", *words],
            cwd=self.folder, env=self.variables(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=280,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
        return done.stdout

    def read(self, *words: str) -> Any:
        """The JSON of a command's last line."""
        return json.loads(self.cairn(*words, "--json").splitlines()[-1])

    def artifact(self, run: str, task: str, name: str) -> dict[str, Any]:
        [found] = self.read("runs", "show", run, task)["outputs"]["artifacts"][name]
        return dict(found)

    def path_of(self, artifact: dict[str, Any]) -> Path:
        """Of an artifact in a bucket of the home."""
        assert artifact["uri"].startswith("gs://digits/"), artifact["uri"]
        return self.home / "buckets" / "gs" / artifact["uri"].removeprefix("gs://")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, client_python: Callable[..., Path]) -> Iterator[Example]:
    place = tmp_path_factory.mktemp("tuning-example")
    shutil.copytree(EXAMPLE, place / "tuning", ignore=shutil.ignore_patterns("__pycache__"))
    (place / "home").mkdir()
    # Where a server's images run; `cairn run` is told by --image.
    (place / "home" / "config.toml").write_text(f'[images]\n"*/trainer:*" = "project:{place}/tuning/trainer"\n')
    made = Example(place / "tuning", client_python(*REQUIREMENTS), place / "home")
    yield made
    made.cairn("stop")


@pytest.fixture(scope="module")
def ran(example: Example) -> dict[str, Any]:
    """The example's first command, as it stands in its README."""
    return dict(example.read("run", "pipeline.py", "--image", "*/trainer:*=project:trainer"))


def test_it_tunes_trains_evaluates_and_decides(example: Example, ran: dict[str, Any]) -> None:
    assert (ran["state"], ran["outputs"]["decision"]) == ("SUCCEEDED", "accepted")
    assert ran["seconds"] < 180
    run = ran["run_id"]
    trials = json.loads(example.path_of(example.artifact(run, "best-parameters", "trials")).read_text())
    assert sorted(trial["trial"] for trial in trials) == [1, 2, 3, 4, 5, 6]
    assert len({json.dumps(trial["parameters"]) for trial in trials}) == 6
    best = max(trials, key=lambda trial: (trial["value"], -trial["trial"]))
    assert ran["outputs"]["parameters"] == best["parameters"]

    # The final training is the best trial's, once more: deterministic to the last digit.
    metrics = example.artifact(run, "collect", "metrics")["metadata"]
    assert metrics["validation_accuracy"] == best["value"]
    model = example.path_of(example.artifact(run, "collect", "model"))
    assert {"model.npz", "metrics.json"} <= {path.name for path in model.iterdir()}
    checkpoints = example.path_of(example.artifact(run, "collect", "checkpoints"))
    assert [path.name for path in sorted(checkpoints.iterdir())] == [f"epoch-00{n}0.npz" for n in (1, 2, 3)]

    scores, [matrix] = ran["outputs"]["scores"], example.artifact(run, "evaluate", "confusion")["metadata"].values()
    assert scores.keys() == {"accuracy", "precision", "recall", "f1"}
    counts = [row["row"] for row in matrix["rows"]]
    assert [label["displayName"] for label in matrix["annotationSpecs"]] == [str(digit) for digit in range(10)]
    assert sum(map(sum, counts)) == TEST_IMAGES
    assert sum(counts[digit][digit] for digit in range(10)) / TEST_IMAGES == scores["accuracy"] > 0.93
    for name in ("train", "test"):
        classes = example.artifact(run, "prepare", name)["metadata"]["classes"]
        assert classes == [str(digit) for digit in range(10)]
    accepted = example.artifact(run, "condition-branches-1/condition-2/accept", "accepted")
    assert accepted["uri"] == example.artifact(run, "collect", "model")["uri"]
    assert accepted["metadata"]["accuracy"] == scores["accuracy"]


def test_a_threshold_that_is_not_met_refuses_the_model(example: Example, ran: dict[str, Any]) -> None:
    """And the steps before tuning, the data set's import too, are taken from the run before."""
    again = example.read("run", "pipeline.py", "trials=2", 'thresholds={"f1": 0.999}')
    assert again["outputs"]["decision"].startswith("refused")
    tasks = {task["name"]: task for task in again["tasks"]}
    assert all(tasks[name]["cached"] for name in ("importer", "prepare", "trainer-arguments", "worker-pools"))
    assert (tasks["accept"]["state"], tasks["refuse"]["state"]) == ("SKIPPED", "SUCCEEDED")


def test_vertex_ais_client_finds_the_same(example: Example, ran: dict[str, Any]) -> None:
    said = example.cairn("exec", "--", str(example.python), "on_vertex.py")
    told = dict(line.split(": ", 1) for line in said.splitlines() if line.startswith(("parameters:", "scores:")))
    assert ast.literal_eval(told["parameters"]) == ran["outputs"]["parameters"]
    assert ast.literal_eval(told["scores"]) == ran["outputs"]["scores"]
    assert "verdict: accept" in said


def test_containers_come_to_the_same(
    example: Example, ran: dict[str, Any], container_engine: Any, tmp_path: Path
) -> None:
    """Every step in its image; the trainer's is built from its folder."""
    engine = container_engine
    engine.api.call("POST", f"/images/{engine.image_id}/tag", repo="python", tag="3.11")  # what lightweight steps name
    within = Example(example.folder, example.python, tmp_path / "home", {"DOCKER_HOST": f"unix://{engine.socket}"})
    within.cairn("images", "build", "trainer", "--tag", IMAGE, "--base", engine.image)
    try:
        found = within.read("run", "pipeline.py", "--executor", "docker")
        assert found["outputs"] == ran["outputs"]
        metrics = [one.artifact(run["run_id"], "collect", "metrics") for one, run in ((example, ran), (within, found))]
        assert metrics[0]["metadata"] == metrics[1]["metadata"]
        assert engine.api.list(f"cairn.home={within.home}") == []
    finally:
        within.cairn("stop")
