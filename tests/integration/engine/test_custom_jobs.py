"""CustomJobs of both forms, as real compilers wrote them, run by the engine."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cairn.domain.runs import ImageMapping, Run, RunKind, RunSettings, Submission
from cairn.domain.states import RunState
from cairn.engine.loop import Engine
from cairn.errors import NoContainerEngine, UnsupportedFeature
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
    assert made["resourceType"] == "CustomJob"
    prefix, _, job_id = made["resourceUri"].rpartition("/")
    assert prefix == "https://local-aiplatform.googleapis.com/v1/projects/default/locations/local/customJobs"
    job = cairn.jobs.get(job_id)
    assert (job.parent, job.kind, job.state) == (ended.uid, RunKind.CUSTOM_JOB, RunState.SUCCEEDED)
    assert training.inputs.parameters["location"] == ended.location  # a placeholder in the component's default
    assert training.inputs.parameters["persistent_resource_id"] == ""
    (two,) = [job for job in cairn.jobs.page()[0] if job.display_name == "two"]
    (asked,) = cairn.records.attempts(two.uid)
    assert (asked.resources.cpu_millis, asked.resources.memory_bytes) == (250, 1 << 30)
    native = [attempt for attempt in cairn.records.attempts(ended.uid) if attempt.path == "training"]
    assert [(one.executor, one.resources.cpu_millis) for one in native] == [("native", 0)]
    assert f"custom job {job_id} succeeded" in Path(native[0].directory, "stdout.log").read_text()
    warned = "\n".join((*ended.warnings, *job.warnings))
    assert "service account" in warned
    assert "NVIDIA_TESLA_T4" in warned or cairn.records.attempts(job.uid)[0].resources.accelerators == 2
    assert [one.uid for one in cairn.records.page_runs()[0]] == [ended.uid], "jobs are in no list of pipelines' runs"


@pytest.mark.network
def test_a_launchers_result_is_taken_from_the_cache_until_the_code_changes(
    cairn: Cairn, images: tuple[ImageMapping, ...], tmp_path: Path
) -> None:
    spec = document("launched_2", tmp_path / "data", "use", *(f"custom-training-job{n}" for n in ("", "-2", "-3")))
    first, again = (run(cairn, spec, images, max_epochs=1) for _ in range(2))
    (project,) = tmp_path.glob("project/main.py")
    project.write_text(MAIN.replace('"x" *', '"y" *'))
    changed = run(cairn, spec, images, max_epochs=1)
    tasks = [
        next(task for task in cairn.records.tasks(one.uid) if task.name == "training")
        for one in (first, again, changed)
    ]
    assert [task.cached for task in tasks] == [False, True, False]
    assert [Path(task.outputs.artifacts["model_dir"][0].uri).read_text() for task in tasks] == [
        "data:x",
        "data:x",
        "data:y",
    ]
    assert tasks[0].outputs.parameters == tasks[1].outputs.parameters, "the job that made it"


@pytest.mark.network
def test_a_custom_job_executor_is_a_step(cairn: Cairn, images: tuple[ImageMapping, ...], tmp_path: Path) -> None:
    ended = run(cairn, document("executors_1", tmp_path / "data"), images, max_epochs=3)
    assert ended.state is RunState.SUCCEEDED, ended.error
    tasks = {task.name: task for task in cairn.records.tasks(ended.uid)}
    assert Path(tasks["training"].outputs.artifacts["model_dir"][0].uri).read_text() == "data:xxx"
    second = Path(tasks["training-2"].outputs.artifacts["model_dir"][0].uri).read_text()
    assert second == "data:xxxgs://bucket/out/model/"


def test_what_could_not_run_is_refused_before_anything_starts(
    cairn: Cairn, images: tuple[ImageMapping, ...], tmp_path: Path
) -> None:
    spec = document("launched_2", tmp_path / "data", "use")
    with pytest.raises(UnsupportedFeature, match="n1-standard-4") as refused:
        run(cairn, spec, images, machine="n1-standrad-4", max_epochs=1)
    assert "custom-training-job-2" in refused.value.place
    with pytest.raises(NoContainerEngine, match=re.escape("example.com/shell:1")) as unknown:
        run(cairn, spec, images[:1], machine="e2-micro", max_epochs=1)
    assert unknown.value.place.startswith("custom-training-job")
    assert cairn.records.page_runs()[0] == []


def test_a_failed_job_fails_the_step_with_its_words(
    cairn: Cairn, images: tuple[ImageMapping, ...], tmp_path: Path
) -> None:
    spec = document("launched_2", tmp_path / "data", "use", "training", "importer", "custom-training-job-2")
    text = json.dumps(spec).replace('printf %s \\"$0\\" > \\"$1\\"', "echo no such layer >&2; exit 3")
    ended = run(cairn, json.loads(text), images)
    assert ended.state is RunState.FAILED
    failed = {task.name: task for task in cairn.records.tasks(ended.uid)}["custom-training-job"]
    assert failed.error is not None
    assert failed.error.message.startswith("custom job ")
    assert "no such layer" in failed.error.message
    (attempt, *_) = cairn.records.attempts(ended.uid)
    assert "no such layer" in Path(attempt.directory, "stdout.log").read_text()


def test_a_cancelled_run_ends_the_jobs_of_its_steps(
    cairn: Cairn, images: tuple[ImageMapping, ...], tmp_path: Path
) -> None:
    spec = document("launched_2", tmp_path / "data", "use", "training", "importer", "custom-training-job-2")
    text = json.dumps(spec).replace('printf %s \\"$0\\" > \\"$1\\"', "sleep 600")
    submitted = cairn.runs.submit(load_text(text, origin="p"), Submission(settings=RunSettings(images=images)))
    engine = cairn.engine()
    cairn.runs.take(engine, submitted)

    def states() -> set[RunState]:
        return {job.state for job in cairn.jobs.page()[0]}

    # One of them has the machine for itself.
    until(engine, lambda: any(cairn.records.attempts(job.uid) for job in cairn.jobs.page()[0]))
    began = time.monotonic()
    engine.cancel(submitted.uid)
    until(engine, lambda: not engine.machines)
    assert time.monotonic() - began < 8
    assert engine.finished[submitted.uid].state is RunState.CANCELLED
    assert states() == {RunState.CANCELLED}


def test_a_job_that_somebody_cancels_fails_the_step(
    cairn: Cairn, images: tuple[ImageMapping, ...], tmp_path: Path
) -> None:
    spec = document("launched_2", tmp_path / "data", "use", "training", "importer", "custom-training-job-2")
    text = json.dumps(spec).replace('printf %s \\"$0\\" > \\"$1\\"', "sleep 600")
    submitted = cairn.runs.submit(load_text(text, origin="p"), Submission(settings=RunSettings(images=images)))
    engine = cairn.engine()
    cairn.runs.take(engine, submitted)
    until(engine, lambda: len(cairn.jobs.page()[0]) == 2)
    for job in cairn.jobs.page()[0]:
        cairn.jobs.cancel(job)
    until(engine, lambda: not engine.machines)
    ended = engine.finished[submitted.uid]
    assert ended.state is RunState.FAILED
    assert ended.error is not None and "was cancelled" in ended.error.message


def until(engine: Engine, seen: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end, "it did not come to that"
        engine.turn(0.05)
