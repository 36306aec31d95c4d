"""Tuning jobs for tests, on an engine of the test's own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cairn.domain.runs import ImageMapping, Run, RunSettings
from cairn.engine.loop import Engine
from cairn.errors import CairnError
from cairn.tuning.types import Trial
from cairn.wiring import Cairn

SETTINGS = RunSettings(images=(ImageMapping("example.com/*", "host"),))
HEAD = """
import json, os, sys, time
given = dict(word[2:].split("=", 1) for word in sys.argv[1:] if word.startswith("--"))
trial = os.environ["CLOUD_ML_TRIAL_ID"]
def report(value, step, **more):
    with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "a") as file:
        line = {"timestamp": time.time(), "trial": trial, "loss": str(value), "global_step": str(step), **more}
        file.write(json.dumps(line) + "\\n")
"""


def message(program: str, **more: Any) -> dict[str, Any]:
    container = {"imageUri": "example.com/t:1", "command": ["python3", "-c", HEAD + program]}
    return {
        "displayName": "tuned",
        "studySpec": {
            "metrics": [{"metricId": "loss", "goal": "MINIMIZE"}],
            "parameters": [{"parameterId": "x", "doubleValueSpec": {"minValue": -2, "maxValue": 2}}],
            **more.pop("studySpec", {}),
        },
        "maxTrialCount": 4,
        "parallelTrialCount": 2,
        "trialJobSpec": {"workerPoolSpecs": [{"containerSpec": container}], **more.pop("trialJobSpec", {})},
        **more,
    }


class Tuned:
    """A tuning job on an engine of the test's own."""

    def __init__(self, cairn: Cairn, message: dict[str, Any], settings: RunSettings = SETTINGS) -> None:
        self.cairn = cairn
        made = cairn.tuning_jobs.create(message, settings=settings)
        self.uid, self.job_id = made.run.uid, made.run.job_id
        self.engine: Engine = cairn.engine()
        cairn.runs.take(self.engine, made.run, pipeline=made.pipeline)

    def until(self, seen: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not seen():
            assert time.monotonic() < end, self.log
            self.engine.turn(0.05)

    def ended(self) -> Run:
        self.until(lambda: not self.engine.machines)
        return self.cairn.records.run(self.uid)

    @property
    def trials(self) -> list[Trial]:
        try:
            return self.cairn.studies.trials(self.cairn.studies.get(self.job_id))
        except CairnError:
            return []

    @property
    def jobs(self) -> list[Run]:
        return self.cairn.tuning_jobs.trials_of(self.cairn.records.run(self.uid))

    @property
    def log(self) -> str:
        (attempt,) = self.cairn.records.attempts(self.uid)
        return Path(attempt.directory, "stdout.log").read_text()


def launched(payload: dict[str, Any] | str, kind: str = "HyperparameterTuningJob", *words: str) -> str:
    """A pipeline of one launcher, and of one that waits for it."""
    module = f"google_cloud_pipeline_components.container.v1.{'x' if kind == 'Wait' else 'y'}.launcher"
    text = payload if isinstance(payload, str) else json.dumps(payload)
    resources = "{{$.outputs.parameters['gcp_resources'].output_file}}"

    def step(kind: str, text: str, *words: str) -> dict[str, Any]:
        args = ["--type", kind, "--payload", text, "--project", "default", "--location", "local"]
        args += ["--gcp_resources", resources, *words]
        return {"container": {"image": "gcpc", "command": ["python3", "-u", "-m", module], "args": args}}

    outputs = {
        "parameters": {
            "gcp_resources": {"parameterType": "STRING"},
            **({"metrics": {"parameterType": "STRUCT"}} if words else {}),
        }
    }
    inputs = {"parameters": {"resources": {"parameterType": "STRING"}}}
    taken = {"resources": {"taskOutputParameter": {"producerTask": "launch", "outputParameterKey": "gcp_resources"}}}
    return json.dumps(
        {
            "pipelineInfo": {"name": "p"},
            "schemaVersion": "2.1.0",
            "root": {
                "dag": {
                    "tasks": {
                        "launch": {"taskInfo": {"name": "launch"}, "componentRef": {"name": "comp-launch"}},
                        "wait": {
                            "taskInfo": {"name": "wait"},
                            "componentRef": {"name": "comp-wait"},
                            "dependentTasks": ["launch"],
                            "inputs": {"parameters": taken},
                        },
                    }
                }
            },
            "components": {
                "comp-launch": {"executorLabel": "exec-launch", "outputDefinitions": outputs},
                "comp-wait": {
                    "executorLabel": "exec-wait",
                    "inputDefinitions": inputs,
                    "outputDefinitions": {"parameters": {"gcp_resources": {"parameterType": "STRING"}}},
                },
            },
            "deploymentSpec": {
                "executors": {
                    "exec-launch": step(kind, text, *words),
                    "exec-wait": step("Wait", "{{$.inputs.parameters['resources']}}"),
                }
            },
        }
    )
