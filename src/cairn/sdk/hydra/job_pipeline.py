"""The pipeline that a launch of Hydra jobs is: a loop over the jobs, whose one step runs a job in the application's own
interpreter. Nothing in it differs from one start of the same command to the next, so its digest tells that they are the
same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from cairn.sdk.hydra.job_options import JobOptions
from cairn.spec.load import load_text
from cairn.spec.types import Pipeline

LOOP, JOB = "jobs", "job"
IMAGE = "hydra-application"
RETURNED, OUTPUT, METRICS = "job_return", "output", "metrics"
_ITEM = "loop-item"
_STRUCT, _STRING = {"parameterType": "STRUCT"}, {"parameterType": "STRING"}


def path_of(index: int) -> str:
    """Of the step of the launch's job `index`."""
    return f"{LOOP}[{index}]/{JOB}"


def pipeline_name(application: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", application.lower()).strip("-")
    return f"hydra-{words or 'application'}"[:120]


def job_pipeline(
    application: str,
    command: Sequence[str],
    jobs: Sequence[dict[str, Any]],
    program: dict[str, str],
    options: JobOptions,
    *,
    keep: bool,
) -> Pipeline:
    """`command` is executed for each of `jobs` ({config, hydra}); `program` are inputs that all have in common.

    `keep`: a copy of each job's output directory is one of its artifacts.
    """
    inputs = {"config": _STRUCT, "hydra": _STRUCT, **dict.fromkeys(program, _STRING)}
    artifacts = {RETURNED: _artifact("Artifact"), METRICS: _artifact("Metrics"), OUTPUT: _artifact("Artifact")}
    document = {
        "pipelineSpec": {
            "pipelineInfo": {"name": pipeline_name(application)},
            "schemaVersion": "2.1.0",
            "sdkVersion": "cairn",
            "root": {"dag": {"tasks": {LOOP: _loop(jobs, options)}}},
            "components": {
                LOOP: {
                    "inputDefinitions": {"parameters": {_ITEM: _STRUCT}},
                    "dag": {"tasks": {JOB: _task(program, options)}},
                },
                JOB: {
                    "executorLabel": JOB,
                    "inputDefinitions": {"parameters": inputs},
                    "outputDefinitions": {
                        "artifacts": {name: artifacts[name] for name in artifacts if keep or name != OUTPUT}
                    },
                },
            },
            "deploymentSpec": {"executors": {JOB: {"container": _container(command, options)}}},
        }
    }
    if options.timeout is not None:
        limit = {JOB: {"activeDeadlineSeconds": int(options.timeout)}}
        document["platformSpec"] = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": limit}}}}
    return load_text(msgspec.json.encode(document).decode(), origin="hydra/launcher=cairn")


def _loop(jobs: Sequence[dict[str, Any]], options: JobOptions) -> dict[str, Any]:
    return {
        "taskInfo": {"name": LOOP},
        "componentRef": {"name": LOOP},
        "parameterIterator": {"items": {"raw": msgspec.json.encode(jobs).decode()}, "itemInput": _ITEM},
        "iteratorPolicy": {"parallelismLimit": options.parallel},
    }


def _task(program: dict[str, str], options: JobOptions) -> dict[str, Any]:
    given: dict[str, Any] = {
        name: {"componentInputParameter": _ITEM, "parameterExpressionSelector": f'parseJson(string_value)["{name}"]'}
        for name in ("config", "hydra")
    }
    given.update({name: {"runtimeValue": {"constant": value}} for name, value in program.items()})
    task: dict[str, Any] = {
        "taskInfo": {"name": JOB},
        "componentRef": {"name": JOB},
        "inputs": {"parameters": given},
        # A command of the machine's own is cached on request only: the inputs above are all that it depends on.
        "cachingOptions": {"enableCache": True, "cacheKey": "hydra"},
    }
    if options.retries:
        task["retryPolicy"] = {"maxRetryCount": options.retries}
    return task


def _container(command: Sequence[str], options: JobOptions) -> dict[str, Any]:
    resources: dict[str, Any] = {"resourceCpuRequest": str(options.cpus)}
    if options.memory is not None:
        resources["resourceMemoryLimit"] = str(options.memory)
    if options.gpus:
        resources["accelerator"] = {"resourceType": "nvidia.com/gpu", "resourceCount": str(options.gpus)}
    return {
        "image": IMAGE,
        "command": list(command),
        "env": [{"name": name, "value": value} for name, value in options.environment.items()],
        "resources": resources,
    }


def _artifact(kind: str) -> dict[str, Any]:
    return {"artifactType": {"schemaTitle": f"system.{kind}", "schemaVersion": "0.0.1"}}
