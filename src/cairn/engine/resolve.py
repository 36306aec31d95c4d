"""A task's inputs, its condition and its loop's items, from what upstream tasks put out. Pure, but for `unspill`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cairn.domain.artifacts import Artifact
from cairn.domain.runs import Failure, TaskInputs
from cairn.domain.values import ParameterType, Spilled, Value
from cairn.engine.tree import MISSING, TaskNode
from cairn.errors import StepError
from cairn.spec.conditions import select
from cairn.spec.types import (
    ArtifactBinding,
    ArtifactIterator,
    ComponentInput,
    Constant,
    ContainerSpec,
    FinalStatus,
    ParameterBinding,
    ParameterInput,
    TaskOutput,
)

Unspill = Callable[[Spilled], Value]
Substitute = Callable[[Value, Mapping[str, Value]], Value]
"""Placeholders in a constant: (the constant, the task's own input parameters so far) → the value."""

StatusOf = Callable[[TaskNode], dict[str, Any]]

_OF_THE_RUN = "{{$.pipeline_"  # in a component's default: Google's components have the project and region of the run so


def resolve_inputs(task: TaskNode, unspill: Unspill, substitute: Substitute, status_of: StatusOf) -> TaskInputs:
    """The task's inputs by name. An input that has no value and needs none is left out.

    Raises StepError when a value that the task needs does not exist (its producer was skipped or failed).
    """
    declared = task.component.input_parameters
    values: dict[str, Value] = {}
    constants: list[tuple[str, Value]] = []
    for name, binding in task.spec.parameters.items():
        if isinstance(binding, Constant):
            constants.append((name, binding.value))
            continue
        value = _bound(task, binding, status_of)
        if value is MISSING or value is None:
            continue
        value = restore(value, unspill)
        if binding.selector:
            value = _select(name, binding.selector, value)
        values[name] = coerce(value, declared[name].type) if name in declared else value
    for name, constant in constants:
        value = substitute(constant, values)
        selector = task.spec.parameters[name].selector
        if selector:
            value = _select(name, selector, value)
        values[name] = coerce(value, declared[name].type) if name in declared else value
    _fill(task, values, declared, substitute)
    artifacts: dict[str, tuple[Artifact, ...]] = {}
    for name, artifact_binding in task.spec.artifacts.items():
        found = _artifacts(task, artifact_binding)
        if found is not None:
            artifacts[name] = found
    for name, wanted in task.component.input_artifacts.items():
        if name not in artifacts and not wanted.optional and not _iterated(task, name):
            raise StepError(f"input artifact {name!r} has no value: {_why(task, task.spec.artifacts.get(name))}")
    return TaskInputs(values, artifacts)


def _fill(
    task: TaskNode, values: dict[str, Value], declared: Mapping[str, ParameterInput], substitute: Substitute
) -> None:
    for name, wanted in declared.items():
        if name in values and values[name] is not None:
            continue
        values.pop(name, None)
        if wanted.type is ParameterType.TASK_CONFIG:
            values[name] = task_config(task)
        elif wanted.has_default and wanted.default is not None:
            of_the_run = isinstance(wanted.default, str) and _OF_THE_RUN in wanted.default
            values[name] = substitute(wanted.default, values) if of_the_run else wanted.default
        elif not wanted.optional and not wanted.has_default and not _iterated(task, name):
            raise StepError(f"input parameter {name!r} has no value: {_why(task, task.spec.parameters.get(name))}")


def task_config(task: TaskNode) -> dict[str, Any]:
    """TaskConfig (pipeline_spec.proto) of a container task: what a component that starts pods of its own passes on."""
    container = task.component.executor
    if not isinstance(container, ContainerSpec):
        return {}
    asked = container.resources
    limits = {"cpu": asked.cpu_limit, "memory": asked.memory_limit, asked.accelerator_type: asked.accelerator_count}
    requests = {"cpu": asked.cpu_request, "memory": asked.memory_request}
    return {
        "env": [{"name": name, "value": value} for name, value in container.env.items()],
        "resources": {
            "limits": {name: value for name, value in limits.items() if name and value},
            "requests": {name: value for name, value in requests.items() if value},
        },
    }


def _iterated(task: TaskNode, name: str) -> bool:
    return task.spec.iterator is not None and task.spec.iterator.item_input == name


def _why(task: TaskNode, binding: ParameterBinding | ArtifactBinding | None) -> str:
    if isinstance(binding, TaskOutput):
        producer = task.dag.tasks[binding.producer]
        return f"{producer.path} is {producer.state} and did not put out {binding.key!r}"
    if isinstance(binding, ComponentInput):
        return f"the enclosing pipeline was not given {binding.name!r}"
    return "nothing gives it one"


def _bound(task: TaskNode, binding: ParameterBinding, status_of: StatusOf) -> Value:
    match binding:
        case ComponentInput():
            return task.dag.inputs.parameters.get(binding.name, MISSING)
        case TaskOutput():
            outputs = task.dag.tasks[binding.producer].outputs
            return MISSING if outputs is None else outputs.parameters.get(binding.key, MISSING)
        case FinalStatus():
            return status_of(task.dag.tasks[binding.producer])
        case Constant():
            return binding.value


def _artifacts(task: TaskNode, binding: ArtifactBinding) -> tuple[Artifact, ...] | None:
    if isinstance(binding, ComponentInput):
        return task.dag.inputs.artifacts.get(binding.name)
    outputs = task.dag.tasks[binding.producer].outputs
    return None if outputs is None else outputs.artifacts.get(binding.key)


def _select(name: str, selector: str, value: Value) -> Value:
    try:
        return select(selector, value)
    except StepError:
        raise
    except Exception as error:
        raise StepError(f"input parameter {name!r}: {selector} does not fit the value: {error}") from error


def loop_items(task: TaskNode, inputs: TaskInputs) -> list[TaskInputs]:
    """The inputs of each iteration: the loop's own, with the item in its place."""
    iterator = task.spec.iterator
    assert iterator is not None
    if isinstance(iterator, ArtifactIterator):
        items = inputs.artifacts.get(iterator.input_name, ())
        return [
            TaskInputs(inputs.parameters, {**inputs.artifacts, iterator.item_input: (artifact,)}) for artifact in items
        ]
    if iterator.raw is not None:
        values = list(iterator.raw)
    else:
        values = _as_list(iterator.input_name, inputs.parameters.get(iterator.input_name))
    declared = task.component.input_parameters.get(iterator.item_input)
    base = inputs.parameters
    return [
        TaskInputs({**base, iterator.item_input: coerce(value, declared.type) if declared else value}, inputs.artifacts)
        for value in values
    ]


def _as_list(name: str, value: Value) -> list[Value]:
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            value = None
    if not isinstance(value, list):
        raise StepError(f"the loop's items, input {name!r}, are not a list: {_short(value)}")
    return value


def coerce(value: Value, wanted: ParameterType) -> Value:
    """The value in its declared type, where the change loses nothing; else as it is (types were checked before).

    Integers stay integers: 3.0, as a number that travelled as a protobuf double, becomes 3 again.
    """
    if wanted is ParameterType.NUMBER_INTEGER:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, str) and value.strip().lstrip("+-").isdigit():
            return int(value)
    elif wanted is ParameterType.NUMBER_DOUBLE:
        if isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, str):
            try:
                return float(value)
            except ValueError:
                return value
    elif wanted is ParameterType.BOOLEAN:
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
    elif wanted is ParameterType.STRING:
        if value is not None and not isinstance(value, str):
            return _as_text(value)
    elif wanted in (ParameterType.LIST, ParameterType.STRUCT) and isinstance(value, str):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            return value
    return value


def _as_text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return msgspec.json.encode(value).decode()


def restore(value: Value, unspill: Unspill) -> Value:
    """The value with everything that was spilled read back, also inside the list that a loop collected."""
    if isinstance(value, Spilled):
        return unspill(value)
    if isinstance(value, dict) and value.get("kind") == "spilled" and value.keys() == {"kind", "uri", "digest", "size"}:
        return unspill(Spilled(value["uri"], value["digest"], value["size"]))
    if isinstance(value, list):
        return [restore(item, unspill) for item in value]
    return value


# google.rpc.Code: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED; anything else is INTERNAL.
_CODES = {"DeadlineExceeded": 4, "OutOfMemory": 8}


def failure_of(error: StepError, path: str) -> Failure:
    kind = error.kind or type(error).__name__
    return Failure(error.message, kind=kind, code=_CODES.get(kind, 13), place=error.place or path, remedy=error.remedy)


def _short(value: Value) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
