"""The process of a sweep of fifty runs is killed half way: resuming repeats nothing that has finished."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

from harness import Place, wait_for

PIPELINE = Path(__file__).parents[1] / "integration" / "cli" / "pipelines" / "swept.yaml"
SHARED = {"load": 1, "clean": 1, "split": 1}


def executions(trace: Path) -> Counter[str]:
    return Counter(trace.read_text().split("\n")[:-1]) if trace.exists() else Counter()


def test_a_killed_sweep_goes_on_without_repeating_a_finished_run(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    trace = place.root / "steps.trace"
    conf = place.root / "conf"
    conf.mkdir()
    (conf / "config.yaml").write_text(
        f"x: 1\nlr: 0.1\nmodel: {{size: 1}}\ntrace: {trace}\ncairn: {{sweep: {{metric: score, goal: maximize}}}}\n"
    )
    options = ("--image", "*=host", "--config-dir", str(conf), "-m", "x=range(20,45)", "lr=0.1,0.2", "--json")
    running = place.start("run", str(PIPELINE), *options, mark=str(place.root))
    wait_for(lambda: sum(executions(trace).values()) >= 25, 60, "half of the runs")
    running.send(signal.SIGKILL)
    assert running.wait().killed

    with place.open() as cairn:
        [sweep] = cairn.sweeps.page()
        assert sweep.state == "RUNNING" and not cairn.sweeps.is_driven(sweep)
        finished = {run.uid: run for run in cairn.sweeps.runs(sweep) if run.state.terminal}
    assert 5 <= len(finished) < 50, "half way"

    ended = place.call("sweeps", "resume", sweep.id[:8], "--json", mark=str(place.root))
    assert ended.status == 0, str(ended)
    told = ended.result
    assert told["counts"] == {"SUCCEEDED": 50} and len(told["runs"]) == 50
    assert told["best"] == next(run["run_id"] for run in told["runs"] if run["overrides"] == {"x": "20", "lr": "0.1"})
    with place.open() as cairn:
        after = {run.uid: run for run in cairn.sweeps.runs(sweep)}
    assert len(after) == 50, "no combination has two runs"
    assert {uid: after[uid] for uid in finished} == finished, "finished runs are as they were"

    counts = executions(trace)
    assert {name: counts.pop(name) for name in SHARED} == SHARED
    assert len(counts) == 50 and set(counts.values()) == {1}, "adopted steps are not run again either"


def test_what_a_server_has_taken_up_meanwhile_is_followed_and_taken_back_when_it_dies(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    trace = place.root / "steps.trace"
    conf = place.root / "conf"
    conf.mkdir()
    (conf / "config.yaml").write_text(f"x: 1\nlr: 0.1\npause: 1\nmodel: {{size: 1}}\ntrace: {trace}\n")
    options = ("--image", "*=host", "--config-dir", str(conf), "-m", "x=range(20,32)", "--json")
    running = place.start("run", str(PIPELINE), *options)
    wait_for(lambda: sum(executions(trace).values()) >= 5, 60, "some of the runs")
    running.send(signal.SIGKILL)
    running.wait()

    def owners() -> set[int]:
        with place.open() as cairn:
            found = [cairn.records.claimed(run.uid) for run in cairn.records.open_runs()]
        return {owner.pid for owner in found if owner is not None}

    server = place.start("serve", "--port", "0")
    try:
        wait_for(lambda: owners() == {server.pid}, 60, "the server has them")
        resumed = place.start("sweeps", "resume", "latest", "--json")
        wait_for(lambda: sum(executions(trace).values()) >= 9, 60, "it goes on")
    finally:
        server.send(signal.SIGKILL)
        server.wait()
    ended = resumed.wait()
    assert ended.status == 0, str(ended)
    assert ended.result["counts"] == {"SUCCEEDED": 12}
    counts = executions(trace)
    assert {name: counts.pop(name) for name in SHARED} == SHARED
    assert len(counts) == 12 and set(counts.values()) == {1}
