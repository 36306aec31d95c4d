"""A sweep in one engine that is killed: taken up again, no step that had ended is executed a second time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cairn.domain.runs import ImageMapping, RunSettings, Submission
from cairn.domain.states import RunState
from cairn.spec.load import load_text
from cairn.spec.types import Pipeline
from cairn.wiring import Cairn, open_cairn

RUNS = 8
SHARED = 2


def sweep(trace: str) -> Pipeline:
    """Steps that all runs share, then one that is told the run's number."""
    names = [*(f"shared-{number}" for number in range(SHARED)), "last"]
    number = {"parameters": {"x": {"parameterType": "NUMBER_INTEGER"}}}
    components: dict[str, Any] = {name: {"executorLabel": name} for name in names}
    components["last"]["inputDefinitions"] = number
    executors: dict[str, Any] = {
        name: {"container": {"image": "shell", "command": ["sh", "-c", f"sleep 0.1; echo {name}$0 >> {trace}"]}}
        for name in names
    }
    for name in names[:-1]:
        executors[name]["container"]["args"] = [""]
    executors["last"]["container"]["args"] = ["-{{$.inputs.parameters['x']}}"]
    tasks: dict[str, Any] = {
        name: {
            "cachingOptions": {"enableCache": True, "cacheKey": "host"},
            "componentRef": {"name": name},
            "dependentTasks": names[max(0, at - 1) : at],
            "taskInfo": {"name": name},
        }
        for at, name in enumerate(names)
    }
    tasks["last"]["inputs"] = {"parameters": {"x": {"componentInputParameter": "x"}}}
    spec = {
        "components": components,
        "deploymentSpec": {"executors": executors},
        "pipelineInfo": {"name": "sweep"},
        "root": {"dag": {"tasks": tasks}, "inputDefinitions": number},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
    }
    return load_text(json.dumps(spec), origin="sweep")


def run_all(cairn: Cairn, trace: str) -> list[RunState]:
    """Submit the sweep's runs, or take up those that there are, until all have ended."""
    runs = cairn.records.open_runs()
    engine = cairn.engine()
    settings = RunSettings(images=(ImageMapping("*", "host"),))
    known = {run.request_id for run in cairn.records.list_runs(limit=RUNS)}
    for number in range(RUNS):
        if str(number) not in known:
            submission = Submission(parameters={"x": number}, settings=settings, request_id=str(number))
            runs.append(cairn.runs.submit(sweep(trace), submission))
    for run in runs:
        cairn.runs.take(engine, run)
    deadline = time.monotonic() + 40
    while engine.machines:
        assert time.monotonic() < deadline, "the engine does not come to an end"
        engine.turn(0.1)
    return [run.state for run in cairn.records.list_runs(limit=RUNS)]


@pytest.mark.parametrize(
    "fault",
    [
        "after:task.leaf.pending",  # all wait for the first
        "after:attempt.running",  # recorded, not started
        "outputs.published",
        "after:task.succeeded",  # nobody who waited has looked
        "started:attempt:2",  # the second of the shared steps
        "started:attempt:4",
    ],
)
def test_a_killed_sweep_repeats_no_step_that_had_ended(tmp_path: Path, fault: str) -> None:
    home, trace = tmp_path / "home", tmp_path / "trace"
    variables = {**os.environ, "CAIRN_HOME": str(home), "CAIRN_MACHINE_CPU": "4", "CAIRN_FAULT": fault}
    killed = subprocess.run([sys.executable, __file__, str(home), str(trace)], env=variables, check=False, timeout=60)
    assert killed.returncode == -9, f"{fault} was not reached"
    with open_cairn(str(home)) as cairn:
        assert run_all(cairn, str(trace)) == [RunState.SUCCEEDED] * RUNS
        attempts = [one for run in cairn.records.list_runs(limit=RUNS) for one in cairn.records.attempts(run.uid)]
    once = {f"shared-{number}": 1 for number in range(SHARED)} | {f"last-{number}": 1 for number in range(RUNS)}
    assert Counter(trace.read_text().split()) == once
    assert sum(one.state == "SUCCEEDED" for one in attempts) == SHARED + RUNS


if __name__ == "__main__":
    with open_cairn(sys.argv[1]) as opened:
        run_all(opened, sys.argv[2])
