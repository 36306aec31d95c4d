"""A step's configuration where the step launches a CustomJob (google-cloud-pipeline-components): in its worker pools.

They are a constant of the task, or the default of its component's input. `spec.native_steps` recognises such steps.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from cairn.domain.configuration import StepConfiguration
from cairn.errors import ConfigurationError
from cairn.spec.spelling import member, put, value_of
from cairn.spec.step_writing import OF_MACHINES, said_of, write_pools

POOLS = "worker_pool_specs"
_TIMEOUT = "timeout"
_KNOWN_LATER = "its worker pools are known only when it runs"
_TO_THE_TASK = ("caching", "retries", "backoff_seconds", "timeout_seconds")


def pools_are_the_tasks(task: dict[str, Any]) -> bool:
    """Whether the task says its pools itself; else its component does."""
    return POOLS in value_of(value_of(task, "inputs", {}), "parameters", {})


def check_launched(step: StepConfiguration, task: dict[str, Any], component: dict[str, Any], place: str) -> None:
    """Raises ConfigurationError for what cannot be said of such a step."""
    said = said_of(step)
    for field in said:
        if field in OF_MACHINES:
            raise ConfigurationError(
                "the step is a custom job", place=f"{place}.{field}", remedy="say its machine_type"
            )
    inside = [field for field in said if field not in _TO_THE_TASK]
    if inside and not _pools(_source(task, component)):
        remedy = f"write {POOLS} as a constant, or configure the pipeline's own parameters"
        raise ConfigurationError(_KNOWN_LATER, place=f"{place}.{inside[0]}", remedy=remedy)
    if step.timeout_seconds is not None and _TIMEOUT not in _declared(component):
        raise ConfigurationError("the step takes no time-out", place=f"{place}.timeout", remedy="leave it out")


def write_launched_task(task: dict[str, Any], step: StepConfiguration) -> None:
    """The time-out, and the pools where they are the task's."""
    parameters = member(member(task, "inputs"), "parameters")
    if step.timeout_seconds:
        old = any("constantValue" in value_of(given, "runtimeValue", {}) for given in parameters.values())
        text = f"{step.timeout_seconds}s"
        parameters[_TIMEOUT] = {"runtimeValue": {"constantValue": {"stringValue": text}} if old else {"constant": text}}
    if pools_are_the_tasks(task):
        _write(value_of(parameters[POOLS], "runtimeValue"), step)


def write_launched_component(component: dict[str, Any], step: StepConfiguration) -> None:
    _write(_declared(component)[POOLS], step)


def _source(task: dict[str, Any], component: dict[str, Any]) -> dict[str, Any]:
    """The message that holds the pools."""
    if pools_are_the_tasks(task):
        given = value_of(value_of(value_of(task, "inputs"), "parameters"), POOLS)
        return dict(value_of(given, "runtimeValue", {}))
    return dict(_declared(component).get(POOLS, {}))


def _declared(component: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = value_of(value_of(component, "inputDefinitions", {}), "parameters", {})
    return found


def _pools(holder: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a constant, of schema 2.1 or (as text) 2.0, or a default; [] where it is none."""
    found = value_of(holder, "defaultValue")
    found = value_of(holder, "constant") if found is None else found
    if found is None:
        found = value_of(value_of(holder, "constantValue", {}), "stringValue")
    if isinstance(found, str):
        try:
            found = json.loads(found, strict=False)
        except ValueError:
            return []
    pools = copy.deepcopy(found) if isinstance(found, list) else []
    return pools if all(isinstance(pool, dict) for pool in pools) else []


def _write(holder: dict[str, Any], step: StepConfiguration) -> None:
    pools = write_pools(_pools(holder), step, snake_case=True)
    if value_of(holder, "constantValue") is not None:
        put(member(holder, "constantValue"), "stringValue", json.dumps(pools))
    else:
        name = "defaultValue" if value_of(holder, "defaultValue") is not None else "constant"
        put(holder, name, json.dumps(pools) if isinstance(value_of(holder, name), str) else pools)
