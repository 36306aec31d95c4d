"""CustomJobs of both forms, as real compilers wrote them, run by the engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cairn.domain.runs import ImageMapping, Run, RunSettings, Submission
from cairn.domain.states import RunState
from cairn.errors import UnsupportedFeature
from cairn.spec.load import load_text
from cairn.wiring import Cairn, open_cairn

JOBS = Path(__file__).parents[2] / "unit/spec/jobs"
MAIN = """
import os, sys
given = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
model, score = sys.argv[sys.argv.index("--model") + 1], sys.argv[sys.argv.index("--score") + 1]
os.makedirs(os.path.dirname(model), exist_ok=True)
with open(model, "w") as file, open(given["datamodule.data_dir"]) as data:
    file.write(data.read() + "x" * int(given["trainer.max_epochs"]))
    file.write(os.environ.get("AIP_MODEL_DIR", ""))
with open(score, "w") as file:
    file.write("0.5")
"""


@pytest.fixture
def cairn(cairn_home: Path) -> Iterator[Cairn]:
    with open_cairn(str(cairn_home)) as opened:
        yield opened


@pytest.fixture
def images(tmp_path: Path) -> tuple[ImageMapping, ...]:
    project = tmp_path / "project"
    project.mkdir()
    (project / "main.py").write_text(MAIN)
    (project / "requirements.txt").write_text("")
    return (ImageMapping("example.com/demo/*", f"project:{project}"), ImageMapping("example.com/shell*", "host"))


def document(name: str, data: Path, *left_out: str) -> dict[str, Any]:
    """A compiled pipeline whose importer takes `data`, without some of its tasks."""
    data.write_text("data:")
    read = json.loads((JOBS / f"{name}.json").read_text())
    spec: dict[str, Any] = read.get("pipelineSpec", read)
    spec.pop("defaultPipelineRoot", None)
    uri = {"constant": str(data)} if name.endswith("_2") else {"constantValue": {"stringValue": str(data)}}
    spec["deploymentSpec"]["executors"]["exec-importer"]["importer"]["artifactUri"] = uri
    spec["root"]["dag"]["tasks"]["importer"]["inputs"]["parameters"]["uri"] = {"runtimeValue": uri}
    for task in left_out:
        del spec["root"]["dag"]["tasks"][task]
    return spec


def run(cairn: Cairn, spec: dict[str, Any], images: tuple[ImageMapping, ...], **parameters: Any) -> Run:
    submitted = cairn.runs.submit(
        load_text(json.dumps(spec), origin="jobs"),
        Submission(parameters=parameters, settings=RunSettings(images=images)),
    )
    engine = cairn.engine()
    cairn.runs.take(engine, submitted)
    for _ in range(1200):
        if not engine.machines:
            break
        engine.turn(0.1)
    return engine.finished[submitted.uid]


@pytest.mark.network
def test_the_launchers_jobs_are_steps_with_their_own_outputs(
    cairn: Cairn, images: tuple[ImageMapping, ...], tmp_path: Path
) -> None:
    ended = run(cairn, document("launched_2", tmp_path / "data", "use"), images, max_epochs=2, machine="e2-micro")
    assert ended.state is RunState.SUCCEEDED, ended.error
    tasks = {task.name: task for task in cairn.records.tasks(ended.uid)}
    training = tasks["training"]
    assert training.outputs.parameters["score"] == 0.5
    assert Path(training.outputs.artifacts["model_dir"][0].uri).read_text() == "data:xx"
    (made,) = json.loads(str(training.outputs.parameters["gcp_resources"]))["resources"]
    assert made == {"resourceType": "CustomJob", "resourceUri": f"cairn:runs/{ended.uid}/tasks/{training.uid}"}
    assert training.inputs.parameters["location"] == ended.location  # a placeholder in the component's default
    assert training.inputs.parameters["persistent_resource_id"] == ""
    asked = {attempt.path: attempt.resources for attempt in cairn.records.attempts(ended.uid)}
    assert (asked["custom-training-job-2"].cpu_millis, asked["custom-training-job-2"].memory_bytes) == (250, 1 << 30)
    warned = "\n".join(ended.warnings)
    assert "training: these have no effect on this machine: the network, the service account" in warned
    assert "NVIDIA_TESLA_T4" in warned or asked["training"].accelerators == 2


@pytest.mark.network
def test_a_custom_job_executor_is_a_step(cairn: Cairn, images: tuple[ImageMapping, ...], tmp_path: Path) -> None:
    ended = run(cairn, document("executors_1", tmp_path / "data"), images, max_epochs=3)
    assert ended.state is RunState.SUCCEEDED, ended.error
    tasks = {task.name: task for task in cairn.records.tasks(ended.uid)}
    assert Path(tasks["training"].outputs.artifacts["model_dir"][0].uri).read_text() == "data:xxx"
    second = Path(tasks["training-2"].outputs.artifacts["model_dir"][0].uri).read_text()
    assert second == "data:xxxgs://bucket/out/model/"


def test_several_replicas_are_refused_before_anything_starts(
    cairn: Cairn, images: tuple[ImageMapping, ...], tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedFeature, match="3 replicas") as refused:
        run(cairn, document("replicas_2", tmp_path / "data"), images)
    assert refused.value.place == "components.comp-training"


def test_a_type_of_machine_that_only_a_parameter_names_is_looked_up_when_it_is_known(
    cairn: Cairn, images: tuple[ImageMapping, ...], tmp_path: Path
) -> None:
    spec = document("launched_2", tmp_path / "data", "use", "training", "importer")
    ended = run(cairn, spec, images, machine="n1-standrad-4")
    assert ended.state is RunState.FAILED
    failed = {task.name: task for task in cairn.records.tasks(ended.uid)}["custom-training-job-2"]
    assert failed.error is not None
    assert "n1-standard-4" in failed.error.message
