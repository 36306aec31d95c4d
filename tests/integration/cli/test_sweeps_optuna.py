"""Optuna's sweeper for Hydra, installed beside Cairn, drives `cairn run -m`."""

import tomllib
from pathlib import Path

import pytest

from cairn.wiring import open_cairn

pytestmark = pytest.mark.network
PROJECT = Path(__file__).parents[3] / "pyproject.toml"


@pytest.fixture
def sweep(client_python, swept):
    requirements = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    return swept(client_python("hydra-optuna-sweeper>=1.2,<1.4", *requirements))


def decisions(sweep, told):
    with open_cairn(str(sweep.cli.home)) as cairn:
        runs = cairn.sweeps.runs(cairn.sweeps.get(told["sweep_id"]))
        return {run.uid: (run.configuration.job, run.configuration.overrides) for run in runs}


def test_optuna_samples_intervals_and_decides_the_same_again_after_a_kill(sweep):
    asked = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=12", "hydra.sweeper.n_jobs=2")
    space = ("x=range(0,8)", "lr=interval(0.01,1.0)")
    running = sweep.start(*asked, *space, "pause=0.2")
    sweep.cli.wait_until(lambda: sum(sweep.executions().values()) >= 9)
    running.kill()
    running.communicate()
    [listed] = sweep.cli("sweeps", "list", "--json").json
    assert (listed["state"], listed["planned"], listed["goal"]) == ("INTERRUPTED", 12, ["maximize"])
    before = decisions(sweep, listed)
    resumed = sweep.cli("sweeps", "resume", "latest", "--json")
    assert resumed.status == 0, resumed.err
    told = resumed.json
    assert told["counts"] == {"SUCCEEDED": 12} and told["keys"] == ["x", "lr"]
    after = decisions(sweep, told)
    assert sorted(job for job, _ in after.values()) == list(range(12)), "no job was decided on twice"
    assert {uid: after[uid] for uid in before} == before
    best = told["runs"][0]
    assert best["run_id"] == told["best"]
    assert best["metrics"]["score"] == max(run["metrics"]["score"] for run in told["runs"])
    scores = [count for name, count in sweep.executions().items() if name.startswith("score")]
    assert sum(scores) == 12, "nothing ran twice"


def test_optuna_without_a_metric_is_refused(sweep):
    sweep.config.write_text(sweep.config.read_text().partition("cairn:")[0])
    done = sweep("hydra/sweeper=optuna", "x=range(0,8)")
    assert done.status == 2
    assert "cairn.sweep.metric" in done.err and "OptunaSweeper decides by a metric" in done.err
