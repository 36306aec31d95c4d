"""Equal steps of runs that one engine has at the same time: one computes, the others take its result."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cairn.domain.runs import ImageMapping, Run, RunSettings, Submission, TaskRecord
from cairn.domain.states import RunState, TaskState
from cairn.engine import comparisons, report
from cairn.engine.loop import Engine
from cairn.engine.ports import Batch, Committed
from cairn.spec.load import load_text
from cairn.spec.types import Pipeline
from cairn.wiring import Cairn, open_cairn

HOST = (ImageMapping("*", "host"),)


@pytest.fixture
def cairn(cairn_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cairn]:
    monkeypatch.setenv("CAIRN_MACHINE_CPU", "8")  # so that they would overlap
    with open_cairn(str(cairn_home)) as opened:
        yield opened


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def sweep(*shared: str, last: str = "", retries: int = 0, side_by_side: bool = False) -> Pipeline:
    """A chain of cached shell commands, and a `last` one that is told the run's parameter x."""
    components: dict[str, Any] = {}
    executors: dict[str, Any] = {}
    tasks: dict[str, Any] = {}
    commands = [*shared, *([last] if last else [])]
    for number, command in enumerate(commands):
        tuned = command == last
        container = {"image": "shell", "command": ["sh", "-c", command]}
        components[f"comp-{number}"] = {"executorLabel": f"exec-{number}"}
        task = tasks[f"step-{number}"] = {
            "cachingOptions": {"enableCache": True, "cacheKey": "host"},
            "componentRef": {"name": f"comp-{number}"},
            "taskInfo": {"name": f"step-{number}"},
        }
        if tuned:
            container["args"] = ["{{$.inputs.parameters['x']}}"]
            components[f"comp-{number}"]["inputDefinitions"] = {
                "parameters": {"x": {"parameterType": "NUMBER_INTEGER"}}
            }
            task["inputs"] = {"parameters": {"x": {"componentInputParameter": "x"}}}
        if number and not side_by_side:
            task["dependentTasks"] = [f"step-{number - 1}"]
        if retries:
            task["retryPolicy"] = {"maxRetryCount": retries, "backoffDuration": "0.2s", "backoffFactor": 1}
        executors[f"exec-{number}"] = {"container": container}
    root: dict[str, Any] = {"dag": {"tasks": tasks}}
    if last:
        root["inputDefinitions"] = {"parameters": {"x": {"parameterType": "NUMBER_INTEGER"}}}
    spec = {
        "components": components,
        "deploymentSpec": {"executors": executors},
        "pipelineInfo": {"name": "sweep"},
        "root": root,
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
    }
    return load_text(json.dumps(spec), origin="sweep")


def started(cairn: Cairn, spec: Pipeline, count: int, **settings: Any) -> tuple[Engine, list[Run]]:
    engine = cairn.engine()
    runs = []
    for number in range(count):
        parameters = {"x": number} if spec.root.input_parameters else {}
        submission = Submission(parameters=parameters, settings=RunSettings(images=HOST, **settings))
        runs.append(cairn.runs.submit(spec, submission))
    for run in runs:
        cairn.runs.take(engine, run)
    return engine, runs


def turn_until(engine: Engine, reached: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "the engine does not get there"
        engine.turn(0.05)


def finish(engine: Engine) -> None:
    turn_until(engine, lambda: not engine.machines)


def lines(trace: Path) -> list[str]:
    return trace.read_text().splitlines() if trace.exists() else []


def states(engine: Engine, runs: Sequence[Run]) -> list[str]:
    return [str(engine.finished[run.uid].state) for run in runs]


def waiting(cairn: Cairn, runs: Sequence[Run]) -> list[TaskRecord]:
    return [record for run in runs for record in cairn.records.tasks(run.uid) if report.waits_for(record)]


def test_fifty_runs_execute_each_step_they_share_once(cairn: Cairn, trace: Path) -> None:
    shared = [f"sleep 0.1; echo shared-{number} >> {trace}" for number in range(3)]
    engine, runs = started(cairn, sweep(*shared, last=f"echo last-$0 >> {trace}"), 50)
    finish(engine)
    assert states(engine, runs) == ["SUCCEEDED"] * 50
    expected = {f"shared-{number}": 1 for number in range(3)} | {f"last-{number}": 1 for number in range(50)}
    assert Counter(lines(trace)) == expected
    hits = [task for run in runs for task in cairn.records.tasks(run.uid) if task.cached]
    assert len(hits) == 3 * 49
    assert {(hit.state, hit.attempts, hit.comparison and hit.comparison.verdict) for hit in hits} == {
        (TaskState.SUCCEEDED, 0, "hit")
    }
    assert not engine.flights.open, "what has ended is still kept"


def test_a_waiting_step_says_for_whom_it_waits(cairn: Cairn, trace: Path) -> None:
    engine, runs = started(cairn, sweep(f"echo x >> {trace}; sleep 0.5"), 3)
    turn_until(engine, lambda: len(waiting(cairn, runs)) == 2)
    [first, *others] = runs
    for run in others:
        [record] = cairn.records.tasks(run.uid)
        assert (record.state, record.attempts) == (TaskState.PENDING, 0)
        assert report.waits_for(record) == f"waits for step-0 of run {first.job_id}, which computes the same"
        why = comparisons.why(cairn.records, run, record)
        assert (why["verdict"], why["compared_with"]) == ("waits", {"run_id": first.uid, "task": "step-0"})
        [leaf] = report.leaves(cairn.runs.pipeline_of(run), run, [record], cairn.store)
        assert leaf.reason == report.waits_for(record)
    finish(engine)
    assert waiting(cairn, runs) == []


def test_when_the_first_fails_the_next_computes_one_at_a_time(cairn: Cairn, trace: Path) -> None:
    alone = f"mkdir {trace}.alone || echo overlap >> {trace}; sleep 0.1; rmdir {trace}.alone"
    engine, runs = started(cairn, sweep(f"echo x >> {trace}; {alone}; test $(wc -l < {trace}) -ge 3"), 6)
    finish(engine)
    assert lines(trace) == ["x"] * 3
    assert Counter(states(engine, runs)) == {"FAILED": 2, "SUCCEEDED": 4}
    assert sum(task.cached for run in runs for task in cairn.records.tasks(run.uid)) == 3


def test_the_retries_of_the_first_keep_the_others_waiting(cairn: Cairn, trace: Path) -> None:
    spec = sweep(f"echo x >> {trace}; test $(wc -l < {trace}) -ge 3", retries=2)
    engine, runs = started(cairn, spec, 4)
    finish(engine)
    assert states(engine, runs) == ["SUCCEEDED"] * 4
    assert lines(trace) == ["x"] * 3
    assert [task.attempts for run in runs for task in cairn.records.tasks(run.uid)] == [3, 0, 0, 0]


def test_a_run_that_waits_can_be_cancelled(cairn: Cairn, trace: Path) -> None:
    engine, runs = started(cairn, sweep(f"echo x >> {trace}; until test -e {trace}.go; do sleep 0.02; done"), 3)
    turn_until(engine, lambda: lines(trace) and len(waiting(cairn, runs)) == 2)
    engine.cancel(runs[1].uid)
    turn_until(engine, lambda: runs[1].uid in engine.finished, 5)
    Path(f"{trace}.go").touch()
    finish(engine)
    assert states(engine, runs) == ["SUCCEEDED", "CANCELLED", "SUCCEEDED"]
    assert lines(trace) == ["x"]


def test_a_run_that_is_put_aside_before_it_computes_leads_nobody(
    cairn: Cairn, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, runs = started(cairn, sweep(f"echo x >> {trace}"), 3)
    monkeypatch.setattr(engine.machines[runs[0].uid], "wake", lambda: 1 / 0)
    finish(engine)
    assert states(engine, runs) == ["FAILED", "SUCCEEDED", "SUCCEEDED"]
    assert lines(trace) == ["x"]


def test_a_run_that_its_engine_takes_up_anew_leads_nobody_twice(cairn: Cairn, trace: Path) -> None:
    engine, runs = started(cairn, sweep(f"echo x >> {trace}; until test -e {trace}.go; do sleep 0.02; done"), 3)
    turn_until(engine, lambda: lines(trace) and len(waiting(cairn, runs)) == 2)
    cairn.runs.take(engine, runs[0])
    engine.turn(0.05)
    Path(f"{trace}.go").touch()
    finish(engine)
    assert states(engine, runs) == ["SUCCEEDED"] * 3


@pytest.mark.parametrize("how", ["cancelled", "let go", "put aside"])
def test_when_the_first_run_goes_away_the_next_computes(
    cairn: Cairn, trace: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = f"echo x >> {trace}; test $(wc -l < {trace}) -ge 2 || sleep 60"
    engine, runs = started(cairn, sweep(command), 3)
    turn_until(engine, lambda: lines(trace) and len(waiting(cairn, runs)) == 2)
    if how == "cancelled":
        engine.cancel(runs[0].uid, kill=True)
    elif how == "let go":  # another engine has taken it
        cairn.services.journal.claim(runs[0].uid, cairn.services.owner, lease_seconds=60)
        engine.machines[runs[0].uid].writer.write_run()
    else:
        monkeypatch.setattr(engine.machines[runs[0].uid], "wake", lambda: 1 / 0)
    finish(engine)
    assert states(engine, runs[1:]) == ["SUCCEEDED"] * 2
    assert lines(trace) == ["x"] * 2
    if how == "let go":
        assert runs[0].uid in engine.lost
        cairn.services.executor.stop(next(iter(cairn.records.attempts(runs[0].uid))).uid, kill=True)


def test_whose_turn_it_is_waits_for_nobody_while_the_machine_is_full(
    cairn: Cairn, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, runs = started(cairn, sweep(f"echo x >> {trace}; test $(wc -l < {trace}) -ge 2 || sleep 60"), 2)
    turn_until(engine, lambda: lines(trace) and len(waiting(cairn, runs)) == 1)
    journal = type(cairn.services.journal)
    commit = journal.commit

    def full(self: Any, batch: Batch) -> Committed:
        denied = frozenset(start.uid for start in batch.starts)
        return msgspec.structs.replace(commit(self, batch.without(denied)), denied=denied)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(journal, "commit", full)
        engine.cancel(runs[0].uid, kill=True)
        turn_until(engine, lambda: runs[0].uid in engine.finished)
        turn_until(engine, lambda: not waiting(cairn, runs), 5)
    assert [task.state for task in cairn.records.tasks(runs[1].uid)] == [TaskState.PENDING]
    finish(engine)
    assert states(engine, runs) == ["CANCELLED", "SUCCEEDED"]


def test_a_run_without_cache_neither_waits_nor_is_waited_for(cairn: Cairn, trace: Path) -> None:
    engine, runs = started(cairn, sweep(f"echo x >> {trace}; sleep 0.2"), 3, use_cache=False)
    finish(engine)
    assert states(engine, runs) == ["SUCCEEDED"] * 3
    assert lines(trace) == ["x"] * 3


def test_another_projects_result_is_not_taken(cairn: Cairn, trace: Path) -> None:
    spec = sweep(f"echo x >> {trace}; sleep 0.2")
    engine = cairn.engine()
    runs = [
        cairn.runs.submit(spec, Submission(parameters={}, settings=RunSettings(images=HOST), project=project))
        for project in ("mine", "yours", "mine")
    ]
    for run in runs:
        cairn.runs.take(engine, run)
    finish(engine)
    assert lines(trace) == ["x"] * 2
    assert [task.cached for run in runs for task in cairn.records.tasks(run.uid)] == [False, False, True]


def test_equal_steps_of_one_run_do_not_wait_for_each_other(cairn: Cairn, trace: Path) -> None:
    """As KFP has it; another run's take what they have made."""
    command = (
        f"echo x >> {trace}; for n in 1 2 3 4 5; do test $(wc -l < {trace}) -ge 2 && exit; sleep 0.2; done; exit 1"
    )
    engine, runs = started(cairn, sweep(command, command, side_by_side=True), 3)
    finish(engine)
    assert states(engine, runs) == ["SUCCEEDED"] * 3
    assert lines(trace) == ["x"] * 2
    assert [sum(task.cached for task in cairn.records.tasks(run.uid)) for run in runs] == [0, 2, 2]


def test_a_run_that_comes_when_all_is_done_is_an_ordinary_hit(cairn: Cairn, trace: Path) -> None:
    spec = sweep(f"echo x >> {trace}")
    for _ in range(2):
        engine, runs = started(cairn, spec, 2)
        finish(engine)
        assert {engine.finished[run.uid].state for run in runs} == {RunState.SUCCEEDED}
    assert lines(trace) == ["x"]
