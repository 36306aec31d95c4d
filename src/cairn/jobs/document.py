"""A CustomJob message as a pipeline of one step: KFP's own `customJob` executor.

Source: `google.cloud.aiplatform.v1` CustomJob; kubeflow/pipelines `pipeline_spec.proto`, AIPlatformCustomJobSpec.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from cairn.errors import InputRefused, SpecError
from cairn.spec.load import load_text
from cairn.spec.placeholders import literal
from cairn.spec.types import Pipeline

PIPELINE = "custom-job"
TASK = "job"
MAX_DISPLAY_NAME = 128
_PLACEHOLDER = "{{$"
_WRAPPED = "deploymentSpec.executors.exec-job.customJob.customJob."  # where `_document` puts it
_TOLD = ("command", "args", "env")  # what a program is told: of a containerSpec or a pythonPackageSpec
_ASKED = ("displayName", "jobSpec", "encryptionSpec")


def job_pipeline(message: Mapping[str, Any], environment: Mapping[str, str]) -> Pipeline:
    """The pipeline whose one task is `message` (canonical JSON, or with snake_case keys). `environment` is given to
    every replica; the job's own variables win. Raises InputRefused, SpecError."""
    job = json.loads(json.dumps(dict(message)))  # a copy of its own of each pool, also where YAML's anchors share one
    spec = field(job, "jobSpec")
    if not isinstance(spec, dict) or not isinstance(field(spec, "workerPoolSpecs"), list):
        raise InputRefused("has no worker pools", place="jobSpec.workerPoolSpecs")
    _check_texts(spec, "jobSpec")
    for pool in field(spec, "workerPoolSpecs"):
        if isinstance(pool, dict):
            _add_variables(pool, environment)
            _take_literally(pool)
    # Its labels are the run's, and what the service puts out (its name, state and times) is nothing that was asked.
    asked = {name: field(job, name) for name in _ASKED if field(job, name) is not None}
    try:
        return load_text(json.dumps(_document(asked)), origin="the custom job")
    except SpecError as error:
        error.place = error.place.replace(_WRAPPED, "", 1)  # whoever has written the job knows nothing of a pipeline
        raise


def field(message: Mapping[str, Any], name: str) -> Any:
    """The value of a field in either spelling: `workerPoolSpecs`, `worker_pool_specs`; None for none."""
    found = message.get(name)
    return message.get(snake_case(name)) if found is None else found


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: "_" + found[1].lower(), name)


def _add_variables(pool: dict[str, Any], environment: Mapping[str, str]) -> None:
    spec = field(pool, "containerSpec") or field(pool, "pythonPackageSpec")
    if not isinstance(spec, dict) or not environment:
        return
    own = spec.get("env") or []
    names = {variable.get("name") for variable in own if isinstance(variable, dict)}
    spec["env"] = [*({"name": name, "value": value} for name, value in environment.items() if name not in names), *own]


def _take_literally(pool: dict[str, Any]) -> None:
    """A job is no step of a pipeline: what its program is told is told as it stands. What is no text is refused when
    it is read."""
    for name in ("containerSpec", "pythonPackageSpec"):
        spec = field(pool, name)
        if not isinstance(spec, dict):
            continue
        for key in _TOLD[:2]:
            if isinstance(spec.get(key), list):
                spec[key] = [literal(word) if isinstance(word, str) else word for word in spec[key]]
        for variable in spec["env"] if isinstance(spec.get("env"), list) else ():
            if isinstance(variable, dict) and isinstance(variable.get("value"), str):
                variable["value"] = literal(variable["value"])


def _check_texts(value: Any, *place: str) -> None:
    """Nor is there anything that a placeholder could stand for in an image's name or a directory's."""
    if isinstance(value, str) and _PLACEHOLDER in value:
        raise InputRefused(f"holds a placeholder of a pipeline: {value[:80]!r}", place=".".join(place))
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        if name not in _TOLD:
            _check_texts(inner, *place, str(name))


def _document(job: dict[str, Any]) -> dict[str, Any]:
    name = field(job, "displayName") or PIPELINE
    return {
        "pipelineInfo": {"name": PIPELINE, "displayName": name},
        "schemaVersion": "2.1.0",
        "root": {
            "dag": {
                "tasks": {TASK: {"taskInfo": {"name": TASK}, "componentRef": {"name": "job"}}},
            }
        },
        "components": {"job": {"executorLabel": "exec-job"}},
        "deploymentSpec": {"executors": {"exec-job": {"customJob": {"customJob": job}}}},
    }
