"""What follows a failure: exit handlers, ignored upstream failures, retries, time-outs, failure policies."""

import json
import time

import pytest

from .conftest import COMPILED

pytestmark = pytest.mark.network


@pytest.mark.parametrize("fail", [False, True])
def test_an_exit_handler_runs_either_way_and_is_told_how_it_ended(cli, fail) -> None:
    outcome = cli.run("exit_handler", parameters={"fail": fail, "note": "n"})
    assert outcome.state == ("FAILED" if fail else "SUCCEEDED"), outcome
    assert outcome.exit == (1 if fail else 0)
    status = json.loads(outcome.task("report")["outputs"]["Output"])
    assert status["state"] == outcome.state
    assert status["task"] == "exit-handler-1"
    assert status["note"] == "n"
    assert outcome.record["job_id"] in status["resource"]
    assert bool(status["message"]) is fail
    assert outcome.states["exit-handler-1/say"] == ("SKIPPED" if fail else "SUCCEEDED")
    assert outcome.states["say-2"] == "SUCCEEDED"  # beside the handler


def test_a_task_may_ignore_that_what_is_upstream_failed(cli) -> None:
    outcome = cli.run("ignored_failure")
    assert (outcome.exit, outcome.state) == (1, "FAILED"), outcome
    assert outcome.states == {"work": "FAILED", "say": "SUCCEEDED", "say-2": "SKIPPED", "say-3": "SUCCEEDED"}
    assert outcome.task("say")["outputs"] == {"Output": "nothing"}  # its input fell back to the default
    assert "no such luck" in outcome.stderr


def test_a_status_may_be_asked_of_a_plain_task_that_failed(cli) -> None:
    outcome = cli.run("statuses")
    assert (outcome.exit, outcome.state) == (1, "FAILED"), outcome
    assert outcome.outputs == {"failed": "fail FAILED True", "done": "done"}
    (loop,) = (task for task in outcome.record["tasks"] if task["name"] == "squares")
    assert loop["state"] == "SKIPPED"  # its loop is downstream of the failure


@pytest.mark.parametrize(
    ("mode", "kind", "said"),
    [("text", "StepError", "want type <class 'int'>"), ("missing", "OutputMissing", "output parameter")],
)
def test_success_needs_every_declared_output(cli, mode, kind, said) -> None:
    outcome = cli.run("declared_outputs", f"mode={mode}")
    assert (outcome.exit, outcome.state) == (1, "FAILED"), outcome
    assert outcome.record["error"]["kind"] == kind
    assert said in outcome.stderr
    assert cli.run("declared_outputs", "mode=good").exit == 0


def test_a_task_in_a_loop_is_retried_by_itself(cli, tmp_path) -> None:
    outcome = cli.run("retried_inside", f"folder={tmp_path}")
    assert outcome.exit == 0, outcome
    assert [task["attempts"] for task in outcome.record["tasks"]] == [2]
    assert (tmp_path / "second").read_text() == "2"


def test_a_retried_task_starts_afresh_each_time_and_waits_longer_each_time(cli, tmp_path) -> None:
    seen = tmp_path / "seen"
    outcome = cli.run("retried", parameters={"folder": str(seen), "failures": 2})
    assert outcome.exit == 0, outcome
    assert outcome.outputs == {"attempts": 3, "directories": 3}
    assert outcome.task("flaky")["attempts"] == 3
    moments = [float((seen / str(number)).read_text().split()[0]) for number in (1, 2, 3)]
    assert 1.0 <= moments[1] - moments[0] < 1.9
    assert 2.0 <= moments[2] - moments[1] < 3.5


def test_retries_end(cli, tmp_path) -> None:
    outcome = cli.run("retried", parameters={"folder": str(tmp_path / "seen"), "failures": 9})
    assert (outcome.exit, outcome.state) == (1, "FAILED"), outcome
    assert outcome.task("flaky")["attempts"] == 3
    logs = cli.command("runs", "logs", outcome.run_id, "flaky")
    assert logs.returncode == 0, logs.stderr


def test_a_time_out_ends_the_step_and_says_so(cli) -> None:
    begin = time.monotonic()
    outcome = cli.run("timed_out")
    assert time.monotonic() - begin < 20
    assert (outcome.exit, outcome.state) == (1, "FAILED"), outcome
    assert outcome.task("sleep")["error"]["kind"] == "DeadlineExceeded"
    assert outcome.states["say"] == "SKIPPED"


def test_a_run_that_outlasts_its_own_time_out_is_stopped_and_fails(cli, tmp_path) -> None:
    pipeline, _, _ = (COMPILED / "timed_out.yaml").read_text().partition("---\n")
    file = tmp_path / "expires.yaml"
    file.write_text(f"{pipeline}---\nplatforms: {{kubernetes: {{pipelineConfig: {{activeDeadlineSeconds: 1}}}}}}\n")
    begin = time.monotonic()
    outcome = cli.run(file)
    assert time.monotonic() - begin < 20
    assert (outcome.exit, outcome.state) == (1, "FAILED"), outcome
    assert outcome.record["error"]["kind"] == "DeadlineExceeded"
    assert outcome.states == {"sleep": "CANCELLED", "say": "CANCELLED"}


@pytest.mark.parametrize(("policy", "second"), [("slow", "SUCCEEDED"), ("fast", "SKIPPED")])
def test_the_failure_policy_decides_whether_new_tasks_still_start(cli, tmp_path, policy, second) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    outcome = cli.run(
        "failure_policy", parameters={"folder": str(folder)}, variables={"CAIRN_RUN_FAILURE_POLICY": policy}
    )
    assert (outcome.exit, outcome.state) == (1, "FAILED"), outcome
    assert outcome.states == {"hold": "FAILED", "hold-2": "SUCCEEDED", "hold-3": second}
    assert sorted(path.name for path in folder.iterdir()) == (["first", "second"] if policy == "slow" else ["first"])
