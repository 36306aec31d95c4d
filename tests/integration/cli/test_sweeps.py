"""`cairn run -m` and `cairn sweeps`: Hydra's basic sweeper drives, the steps are the machine's own `sh`."""

import csv
import io
import signal
import time
from collections import Counter

import pytest

from cairn.wiring import open_cairn


@pytest.fixture
def sweep(swept):
    return swept()


def test_every_combination_is_a_run_of_one_experiment(sweep):
    text = sweep.pipeline.read_text()
    sweep.pipeline = sweep.cli.work / "pipeline.yaml"
    sweep.pipeline.write_text(text)
    done = sweep(
        "x=2,3", "model=glob(*)", "lr=0.1", "cairn.sweep.metric=score.accuracy", "cairn.sweep.experiment=tries"
    )
    assert done.status == 0, done.err
    told = done.json
    assert (told["state"], told["metric"], told["keys"]) == ("SUCCEEDED", ["score.accuracy"], ["x", "model"])
    assert told["name"] == told["pipeline"] == "swept", "not as the file"
    assert {run["job_id"].rpartition("-")[0] for run in told["runs"]} == {f"{told['name']}-{told['sweep_id'][:6]}"}
    table = [(run["rank"], run["overrides"], run["metrics"]["score.accuracy"]) for run in told["runs"]]
    assert table == [
        (1, {"x": "3", "model": "big"}, 1.9),
        (2, {"x": "2", "model": "big"}, 0.9),
        (3, {"x": "3", "model": "small"}, 0.9),
        (4, {"x": "2", "model": "small"}, -0.1),
    ]
    assert told["best"] == told["runs"][0]["run_id"]
    assert sum(run["cached"] for run in told["runs"]) == 9, "three of four runs took three results each"
    assert sweep.executions("load", "clean", "split") == {"load": 1, "clean": 1, "split": 1}
    with open_cairn(str(sweep.cli.home)) as cairn:
        runs = [cairn.records.run(run["run_id"]) for run in told["runs"]]
        assert cairn.experiments.experiment(told["experiment"]).name == "tries"
    assert {run.experiment for run in runs} == {told["experiment"]}
    assert {run.configuration.sweep for run in runs} == {told["sweep_id"]}
    assert sorted(run.configuration.job for run in runs) == [0, 1, 2, 3]
    assert "lr=0.1" in runs[0].configuration.overrides
    assert len({run.spec_digest for run in runs}) == 1, "compiled once"

    shown = sweep.cli("sweeps", "show", told["sweep_id"][:8], "--csv")
    rows = list(csv.DictReader(io.StringIO(shown.out)))
    assert [row["run_id"] for row in rows] == [run["run_id"] for run in told["runs"]]
    assert rows[0]["score.accuracy"] == "1.9" and rows[0]["model"] == "big" and rows[0]["state"] == "SUCCEEDED"
    again = sweep.cli("sweeps", "resume", "latest")
    assert again.status == 2 and "has succeeded" in again.err
    deleted = sweep.cli("sweeps", "delete", "latest", "--yes", "--json")
    assert deleted.json == {"deleted": told["sweep_id"]}
    assert sweep.cli("sweeps", "list", "--json").json == []
    assert not list((sweep.cli.home / "sweeps").iterdir())
    assert len(sweep.cli("runs", "list", "--json").json) == 4, "the runs stay"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("x=interval(1,4)",), ("BasicSweeper does not support", "hydra/sweeper=optuna")),
        (("x=1,2", "cairn.sweep.metric=scorre.accuracy"), ("no step 'scorre'", "score")),
        (("x=1,2", "cairn.sweep.metric=loss"), ("no output parameter 'loss'", "score")),
        (("x=1,2", "model=small,huge"), ("model/huge", "big, small")),
        (("x=1,2,three",), ("x=three", "whole number")),
        (("x=1,2", "hydra/sweeper=none_such"), ("none_such", "basic")),
        (("x=1,2", "+cairn.schedule.cron='0 3 * * *'"), ("cairn.schedule=null", "on no schedule")),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_nothing(sweep, overrides, words):
    done = sweep(*overrides)
    assert done.status == 2, done.err
    assert all(word in done.err for word in words), done.err
    assert done.json["state"] == "REJECTED"
    assert sweep.cli("sweeps", "list", "--json").json == []
    assert not list((sweep.cli.home / "sweeps").iterdir())
    assert sweep.cli("runs", "list", "--json").json == []


def test_failed_jobs_are_tried_again_when_asked(sweep):
    done = sweep("x=1,13,2,3", "cairn.sweep.failures=0", "cairn.sweep.parallel=1")
    assert done.status == 1
    told = done.json
    assert [(run["job"], run["state"]) for run in told["runs"]] == [(0, "SUCCEEDED"), (1, "FAILED")]
    assert told["counts"] == {"SUCCEEDED": 1, "FAILED": 1, "PENDING": 2} and "2 not started" in told["error"]
    assert told["runs"][1]["error"]
    sweep.trace.with_suffix(".trace.lucky").touch()
    resumed = sweep.cli("sweeps", "resume", told["sweep_id"], "--retry-failed", "--json")
    assert resumed.status == 0, resumed.err
    assert resumed.json["counts"] == {"SUCCEEDED": 4}
    assert resumed.json["best"] == resumed.json["runs"][0]["run_id"]
    assert resumed.json["runs"][0]["overrides"] == {"x": "3"}
    scores = {name: count for name, count in sweep.executions().items() if name.startswith("score")}
    assert scores == {"score 1 0.1": 1, "score 13 0.1": 2, "score 2 0.1": 1, "score 3 0.1": 1}


def test_an_interrupt_cancels_and_resume_goes_on(sweep):
    process = sweep.start("x=1,2,3,4", "pause=60", "cairn.sweep.parallel=2")
    sweep.cli.wait_until(lambda: sum(sweep.executions().values()) >= 5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "cairn sweeps resume" in err and '"state":"CANCELLED"' in out
    assert sweep.cli.processes() == []
    [listed] = sweep.cli("sweeps", "list", "--json").json
    assert (listed["state"], listed["planned"]) == ("CANCELLED", 4)
    sweep.config.write_text(sweep.config.read_text().replace("lr: 0.1", "lr: 0.2"))
    refused = sweep.cli("sweeps", "resume", "latest")
    assert refused.status == 2 and "config.yaml" in refused.err and "--force" in refused.err
    going = sweep.cli.start("sweeps", "resume", "latest", "--force", "--json")
    sweep.cli.wait_until(lambda: sum(sweep.executions().values()) >= 7)
    assert sweep.cli("sweeps", "list", "--json").json[0]["state"] == "RUNNING"
    second = sweep.cli("sweeps", "resume", "latest")
    assert second.status == 2 and "another process" in second.err
    cancelled = sweep.cli("sweeps", "cancel", "latest", "--json")
    assert cancelled.json["state"] == "CANCELLED"
    assert going.wait(30) == 130
    going.communicate()
    assert sweep.cli.processes() == []
    with open_cairn(str(sweep.cli.home)) as cairn:
        runs = cairn.sweeps.runs(cairn.sweeps.find("latest"))
        rates = [run.parameters["lr"] for run in runs]
    assert rates == [0.1, 0.1], "what is recorded stands"


def test_a_sweep_whose_process_was_killed_is_cancelled_from_elsewhere(sweep):
    process = sweep.start("x=1,2", "pause=60")
    sweep.cli.wait_until(lambda: sum(sweep.executions().values()) >= 5)
    process.kill()
    process.communicate()
    assert sweep.cli("sweeps", "list", "--json").json[0]["state"] == "INTERRUPTED"
    assert "cairn sweeps resume" in sweep.cli("sweeps", "show", "latest").out
    assert sweep.cli("sweeps", "cancel", "latest", "--json").json["state"] == "CANCELLED"
    assert sweep.cli.processes() == []
    assert Counter(run["state"] for run in sweep.cli("runs", "list", "--json").json) == {"CANCELLED": 2}


def test_a_second_interrupt_kills(sweep):
    sweep.pipeline = sweep.cli.copy_of("swept", **{'sleep "$7"': 'trap "" TERM; sleep "$7"'})
    process = sweep.start("x=1,2", "pause=60")
    sweep.cli.wait_until(lambda: sum(sweep.executions().values()) >= 5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None, "it waits for steps, which ignore SIGTERM"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=5)
    assert process.returncode == 130
    assert sweep.cli.processes() == []


def test_a_sweeper_that_decides_differently_is_refused(sweep):
    assert sweep("x=1,2").status == 0
    with open_cairn(str(sweep.cli.home)) as cairn:
        made = cairn.sweeps.find("latest")
        trace, runs = sweep.executions(), cairn.sweeps.runs(made)
        cairn.sweeps.change(made, overrides=("x=1,3",), state="RUNNING")
    refused = sweep.cli("sweeps", "resume", "latest")
    assert refused.status == 2, refused.err
    assert "job 1 was x=2, and is x=3 now" in refused.err and "--force" in refused.err
    assert sweep.executions() == trace
    forced = sweep.cli("sweeps", "resume", "latest", "--force", "--json")
    assert forced.status == 0, forced.err
    told = {run["job"]: (run["overrides"]["x"], run["run_id"]) for run in forced.json["runs"]}
    assert {job: x for job, (x, _) in told.items()} == {0: "1", 1: "3"}
    assert told[0][1] == runs[0].uid, "what is decided as before is taken"
    assert len(sweep.cli("runs", "list", "--json").json) == 3


def test_the_users_own_launcher_has_no_part_and_that_is_said(sweep):
    done = sweep("x=1", "hydra/launcher=cairn")
    assert done.status == 0, done.err
    assert "hydra/launcher=cairn has no part" in done.err


def test_without_a_metric_the_table_is_not_ranked(sweep):
    sweep.config.write_text(sweep.config.read_text().partition("cairn:")[0])
    done = sweep("x=2,1", as_json=False)
    assert done.status == 0, done.err
    assert "cairn.sweep.metric" in done.err
    rows = [line.split("\t") for line in done.out.splitlines() if "\t" in line]
    assert [row[1:5] for row in rows] == [["0", "-", "2", "SUCCEEDED"], ["1", "-", "1", "SUCCEEDED"]]


def test_a_backup_holds_sweeps_and_what_sweepers_wrote_and_they_resume_elsewhere(sweep, tmp_path):
    done = sweep("x=1,13")
    assert done.status == 1, done.err
    id_ = done.json["sweep_id"]
    (sweep.cli.home / "sweeps" / id_ / "study.yaml").write_text("best: 1\n")
    assert sweep.cli("backup", tmp_path / "kept").status == 0
    other = sweep.cli.at(tmp_path / "other")
    assert other("restore", tmp_path / "kept").status == 0
    assert (tmp_path / "other" / "sweeps" / id_ / "study.yaml").read_text() == "best: 1\n"
    sweep.trace.with_suffix(".trace.lucky").touch()
    resumed = other("sweeps", "resume", id_, "--retry-failed", "--json")
    assert resumed.status == 0, resumed.err
    assert resumed.json["counts"] == {"SUCCEEDED": 2}
    assert sweep.executions("load", "score 1 0.1", "score 13 0.1") == {"load": 1, "score 1 0.1": 1, "score 13 0.1": 2}
    again = other("runs", "clone", resumed.json["best"], "x=3", "--json")
    assert again.status == 0, again.err
    ranked = other("sweeps", "show", id_, "--json").json
    assert [run["run_id"] for run in ranked["runs"]] == [run["run_id"] for run in resumed.json["runs"]], "no clone"
    elsewhere = other("runs", "delete", *(run["run_id"] for run in resumed.json["runs"]), "--yes")
    assert elsewhere.status == 0, elsewhere.err
    shown = other("sweeps", "show", id_)
    assert shown.status == 0 and "no runs yet" in shown.out + shown.err


def test_a_metric_that_no_run_has_is_told(sweep):
    done = sweep("x=2,3", "cairn.sweep.metric=[score.accuracy,score.acc]", "cairn.sweep.goal=null", as_json=False)
    assert done.status == 0, done.err
    assert "warning: no run has a metric score.acc, so nothing is ranked by it: `cairn runs show" in done.err
    assert "metric score.accuracy" not in done.err
    assert "no run has a metric score.acc" in sweep.cli("sweeps", "show", "latest").err
