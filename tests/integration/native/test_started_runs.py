"""What native steps and tuning jobs start: what it runs in, how its failure is told, and what becomes of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tuned import SETTINGS, Tuned, launched, message

from cairn.cli.main import main
from cairn.domain.runs import Exit, Failure, ImageMapping, Run, RunKind, RunSettings, Submission
from cairn.domain.states import ExitReason, RunState
from cairn.engine.publish import check_exit
from cairn.engine.resolve import failure_of
from cairn.errors import InputRefused, StepError, UnsupportedFeature
from cairn.spec.load import load_text
from cairn.wiring import Cairn, open_cairn

CODE = """
import json, os, pathlib, time
path = os.environ["CLOUD_ML_HP_METRIC_FILE"]
with open(path, "a") as file:
    file.write(json.dumps({"timestamp": time.time(), "loss": "1.0", "global_step": "1"}) + "\\n")
print("VERSION")
"""


@pytest.fixture
def cairn(cairn_home: Path) -> Iterator[Cairn]:
    with open_cairn(str(cairn_home)) as opened:
        yield opened


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    write(root, "one")
    return root


def write(project: Path, version: str) -> None:
    (project / "train.py").write_text(CODE.replace("VERSION", version))


def mapped(project: Path) -> RunSettings:
    return RunSettings(images=(ImageMapping("example.com/*", f"project:{project}"),))


def of_project(**more: Any) -> dict[str, Any]:
    made = message("", **more)
    made["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["command"] = ["python", "train.py"]
    return made


def said(cairn: Cairn, run: Run) -> str:
    (attempt,) = cairn.records.attempts(run.uid)
    return Path(attempt.directory, "stdout.log").read_text().strip()


def executed(cairn: Cairn, text: str, settings: RunSettings) -> Run:
    run = cairn.runs.submit(load_text(text, origin="p"), Submission(settings=settings))
    engine = cairn.engine()
    cairn.runs.take(engine, run)
    engine.run_until_done()
    return cairn.records.run(run.uid)


def job(command: list[str], image: str = "example.com/t:1") -> dict[str, Any]:
    return {"display_name": "j", "job_spec": {"worker_pool_specs": [{"container_spec": {
        "image_uri": image, "command": command}, "replica_count": 1}]}}  # fmt: skip


def test_every_trial_runs_the_code_that_the_job_was_made_with(cairn: Cairn, cairn_home: Path, project: Path) -> None:
    tuned = Tuned(cairn, of_project(maxTrialCount=3, parallelTrialCount=1), mapped(project))
    tuned.until(lambda: len(tuned.trials) >= 1)
    write(project, "two")
    tuned.until(lambda: len([one for one in tuned.jobs if one.state.terminal]) >= 1)
    tuned.engine.close()
    with open_cairn(str(cairn_home)) as later:  # another engine goes on: nothing but the records knows
        engine = later.engine()
        run = later.records.run(tuned.uid)
        later.runs.take(engine, run)
        engine.run_until_done()
        assert later.records.run(tuned.uid).state is RunState.SUCCEEDED
        assert [said(later, one) for one in later.tuning_jobs.trials_of(run)] == ["one"] * 3


def test_a_launched_job_runs_the_code_that_its_pipeline_was_made_with(cairn: Cairn, project: Path) -> None:
    text = launched(job(["python", "train.py"]), "CustomJob")
    run = cairn.runs.submit(load_text(text, origin="p"), Submission(settings=mapped(project)))
    write(project, "two")
    engine = cairn.engine()
    cairn.runs.take(engine, run)
    engine.run_until_done()
    (made,), _ = cairn.records.page_runs(kinds=(RunKind.CUSTOM_JOB,))
    assert said(cairn, made) == "one"


def test_a_pipeline_that_is_resumed_takes_what_was_edited(cairn: Cairn, project: Path) -> None:
    (project / "train.py").write_text("raise SystemExit(3)")
    text = launched(job(["python", "train.py"]), "CustomJob")
    run = executed(cairn, text, mapped(project))
    assert run.state is RunState.FAILED
    write(project, "mended")
    engine = cairn.engine()
    cairn.runs.take(engine, run, renewed=True)
    engine.run_until_done()
    assert cairn.records.run(run.uid).state is RunState.SUCCEEDED
    latest = cairn.records.page_runs(kinds=(RunKind.CUSTOM_JOB,))[0][0]
    assert said(cairn, latest) == "mended"


def test_snapshots_that_an_open_tuning_job_needs_are_not_collected(cairn: Cairn, project: Path) -> None:
    made = cairn.tuning_jobs.create(of_project(), settings=mapped(project))
    (digest,) = made.run.settings.pins.values()
    kept = cairn.environments.catalogue.snapshots / digest
    os.utime(kept, (0, 0))
    cairn.upkeep.collect(older_than=0, environments_older_than=0)
    assert kept.is_dir()
    cairn.runs.give_up(made.run, UnsupportedFeature("it is not wanted"))
    cairn.upkeep.collect(older_than=0, environments_older_than=0)
    assert not kept.exists()


def test_a_snapshot_that_is_gone_is_not_made_of_other_code(cairn: Cairn, project: Path) -> None:
    made = cairn.tuning_jobs.create(of_project(), settings=mapped(project))
    (digest,) = made.run.settings.pins.values()
    subprocess.run(["rm", "-rf", cairn.environments.catalogue.snapshots / digest], check=True)
    trial = cairn.jobs.create({"jobSpec": made.run.client["job"]["trialJobSpec"]}, settings=made.run.settings)
    assert trial.run.settings.pins == made.run.settings.pins, "made again of the same code"
    subprocess.run(["rm", "-rf", cairn.environments.catalogue.snapshots / digest], check=True)
    write(project, "two")
    with pytest.raises(UnsupportedFeature, match="is gone, and the directory has changed"):
        cairn.runs.plans(trial.pipeline, made.run.settings)


def test_every_trial_runs_the_image_that_the_tag_was(
    cairn: Cairn, container_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{container_engine.socket}")
    api, tag = container_engine.api, "cairn-pinned:1"
    api.call("POST", f"/images/{container_engine.image_id}/tag?repo=cairn-pinned&tag=1")
    said = message("report(1.0, 1)")
    said["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["imageUri"] = tag
    made = cairn.tuning_jobs.create(said, settings=RunSettings(executor="docker"))
    assert made.run.settings.pins == {f"image:{tag}": container_engine.image_id}
    api.call("DELETE", f"/images/{tag}?noprune=1")  # the tag alone
    trial = cairn.jobs.create({"jobSpec": said["trialJobSpec"]}, settings=made.run.settings)
    (plan,) = cairn.runs.plans(trial.pipeline, trial.run.settings).values()
    environment = cairn.environments.find(plan)
    assert environment is not None and environment.image is not None
    assert (environment.image.name, environment.image.id) == (tag, container_engine.image_id)
    pins = {f"image:{tag}": "sha256:" + "0" * 64}
    with pytest.raises(UnsupportedFeature, match="no longer holds sha256:0000"):
        cairn.runs.plans(trial.pipeline, RunSettings(executor="docker", pins=pins))


@pytest.mark.parametrize(
    ("command", "more", "kind"),
    [
        (["sleep", "60"], {"scheduling": {"timeout": "1s"}}, "DeadlineExceeded"),
        (["false"], {}, "StepError"),
    ],
)
def test_a_failed_jobs_kind_of_error_is_the_steps(
    cairn: Cairn, command: list[str], more: dict[str, Any], kind: str
) -> None:
    payload = job(command)
    payload["job_spec"].update(more)
    run = executed(cairn, launched(payload, "CustomJob"), SETTINGS)
    assert run.error is not None
    (made,), _ = cairn.records.page_runs(kinds=(RunKind.CUSTOM_JOB,))
    assert made.error is not None
    assert (run.error.kind, run.error.code) == (made.error.kind, made.error.code)
    assert run.error.kind == kind, run.error


def test_what_was_started_is_shown_and_deleted_with_what_it_is_of(
    cairn: Cairn, cairn_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = executed(cairn, launched(message("report(1.0, 1)", maxTrialCount=2)), SETTINGS)
    (tuning,) = cairn.jobs.started_by(run)
    trials = cairn.jobs.started_by(tuning)
    assert [one.kind for one in trials] == [RunKind.TRIAL] * 2
    assert main(["runs", "show", run.uid]) == 0
    assert f"{tuning.uid[:8]}\ttuning job\tSUCCEEDED" in capsys.readouterr().out
    assert main(["runs", "show", tuning.uid, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["started"]
    assert [(one["run_id"], one["state"]) for one in told] == [(one.uid, "SUCCEEDED") for one in trials]

    assert main(["runs", "delete", "-y", run.uid]) == 0
    assert f"cairn runs delete {tuning.uid[:8]}" in capsys.readouterr().err
    assert main(["runs", "delete", "-y", tuning.uid]) == 0
    assert cairn.records.page_runs(kinds=tuple(RunKind))[0] == []
    assert cairn.studies.page()[0] == []
    assert list((cairn_home / "runs").iterdir()) == []


def test_a_tuning_job_whose_trial_still_runs_is_not_deleted_in_part(cairn: Cairn) -> None:
    tuned = Tuned(cairn, message("time.sleep(600)", maxTrialCount=2, parallelTrialCount=1))
    tuned.until(lambda: any(cairn.records.attempts(job.uid) for job in tuned.jobs))
    run = cairn.records.run(tuned.uid)
    machine = tuned.engine.machines[tuned.uid]
    cairn.records.release(machine.fence)  # as if its engine were gone, and another had the trial
    with pytest.raises(InputRefused, match="is being run by process"):
        cairn.upkeep.delete(run)
    assert len(tuned.trials) == 1 and len(tuned.jobs) == 1
    assert cairn.records.run(tuned.uid).uid == tuned.uid
    tuned.engine.cancel(tuned.jobs[0].uid, kill=True)
    tuned.until(lambda: all(job.state.terminal for job in tuned.jobs))


def test_a_cause_that_is_no_exits_own_is_told() -> None:
    cause = Failure("it was ended for its memory", kind="OutOfMemory", remedy="give it more")
    with pytest.raises(StepError) as failed:
        check_exit(Exit(ExitReason.EXITED, code=1, message="custom job 7 failed", cause=cause), "/nowhere")
    failure = failure_of(failed.value, "train")
    assert (failure.kind, failure.code, failure.remedy) == ("OutOfMemory", 8, "give it more")
    assert failure.message == "custom job 7 failed"


def test_a_trial_that_cannot_be_started_any_more_has_failed(
    cairn: Cairn, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded, and then what it was to run in goes away: nobody waits for it for ever."""
    monkeypatch.setattr("cairn.executors.native.child_runs.BRING_SECONDS", 0.2)
    tuned = Tuned(cairn, of_project(maxTrialCount=2, parallelTrialCount=1), mapped(project))
    bring = tuned.engine.bring

    def late(run: Run, pipeline: Any) -> None:
        subprocess.run(["rm", "-rf", project, *cairn.environments.catalogue.snapshots.iterdir()], check=True)
        bring(run, pipeline)

    tuned.engine.bring = late  # type: ignore[method-assign]
    ended = tuned.ended()
    assert ended.state is RunState.FAILED
    assert ended.error is not None and ended.error.kind == "UnsupportedFeature", ended.error
    assert json.dumps([one.state for one in tuned.jobs]) == '["FAILED"]'


def test_a_tuning_job_that_meets_a_defect_leaves_no_trial_running(
    cairn: Cairn, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = Tuned(cairn, message("time.sleep(600)"))
    tuned.until(lambda: len([job for job in tuned.jobs if cairn.records.attempts(job.uid)]) == 2)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("cairn.executors.native.trial_metrics.TrialMetrics.look", broken)
    ended = tuned.ended()
    assert ended.state is RunState.FAILED
    assert ended.error is not None and "ZeroDivisionError" in ended.error.message
    assert {job.state for job in tuned.jobs} == {RunState.CANCELLED}


def test_a_run_whose_code_is_gone_before_it_began_can_be_cancelled(cairn: Cairn, project: Path) -> None:
    made = cairn.jobs.create({"jobSpec": of_project()["trialJobSpec"]}, settings=mapped(project))
    subprocess.run(["rm", "-rf", project], check=True)
    assert main(["runs", "cancel", made.run.uid]) == 0
    assert cairn.records.run(made.run.uid).state is RunState.CANCELLED


def test_a_run_whose_code_is_gone_while_it_ran_is_told_so(
    cairn: Cairn, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its steps may still be running: nothing ends them but who can take it."""
    made = cairn.jobs.create({"jobSpec": of_project()["trialJobSpec"]}, settings=mapped(project))
    engine = cairn.engine()
    cairn.runs.take(engine, made.run, pipeline=made.pipeline)
    engine.turn(0.0)
    engine.close()
    assert cairn.records.run(made.run.uid).state is RunState.RUNNING
    moved = project.rename(project.with_name("elsewhere"))
    assert main(["runs", "cancel", made.run.uid]) == 2
    assert "there is no such directory" in capsys.readouterr().err
    moved.rename(project)
    assert main(["runs", "cancel", made.run.uid]) == 0
