"""A sweep's metrics: where they are found in a run, checked against the pipeline before anything runs.

`accuracy` is an output parameter of the pipeline; `train.accuracy` stands in a metrics artifact of the step `train`;
`train/metrics.accuracy` in that one of its artifacts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from cairn.domain.runs import Run, TaskRecord
from cairn.domain.values import Spilled
from cairn.errors import ConfigurationError
from cairn.spec.types import ComponentSpec, Pipeline

PLACE = "cairn.sweep.metric"
_METRICS = ("system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics")
_NUMBERS = ("NUMBER_DOUBLE", "NUMBER_INTEGER", "BOOLEAN")


class Unspiller(Protocol):
    def unspill(self, spilled: Spilled) -> bytes: ...


class Address(msgspec.Struct, frozen=True):
    """`task` "": an output parameter of the pipeline. `artifact` "": any metrics artifact of the task."""

    text: str
    key: str
    task: str = ""
    artifact: str = ""


def parse_address(text: str, pipeline: Pipeline) -> Address:
    """Raises ConfigurationError, with the nearest names, for what the pipeline cannot give."""
    place, dot, key = text.partition(".")
    if not dot:
        return _output(text, pipeline)
    if not key:
        raise ConfigurationError(
            f"{text!r} names no metric", place=PLACE, remedy="write STEP.METRIC, as train.accuracy"
        )
    component = _component(pipeline, place)
    if component is not None:
        return Address(text, key, place)
    task, slash, artifact = place.rpartition("/")
    component = _component(pipeline, task) if slash else None
    if component is None:
        steps = list(_paths(pipeline, pipeline.root, ""))
        raise ConfigurationError(
            f"the pipeline has no step {task or place!r}", place=PLACE, remedy=_nearest(task or place, steps)
        )
    if artifact not in component.output_artifacts:
        near = _nearest(artifact, component.output_artifacts)
        raise ConfigurationError(f"step {task!r} has no output artifact {artifact!r}", place=PLACE, remedy=near)
    return Address(text, key, task, artifact)


def read_metric(address: Address, run: Run, tasks: Iterable[TaskRecord], store: Unspiller) -> float | None:
    """None where the run has none, or none that is a number."""
    if not address.task:
        return _number(run.outputs.get(address.key), store)
    for record in tasks:
        if record.path != address.task:
            continue
        for name, artifacts in sorted(record.outputs.artifacts.items()):
            if address.artifact and name != address.artifact:
                continue
            for artifact in artifacts:
                of_metrics = address.artifact or artifact.type.schema_title in _METRICS
                if of_metrics and address.key in artifact.metadata:
                    return _number(artifact.metadata[address.key], store)
    return None


def better(left: float | None, right: float | None, goal: str) -> bool:
    """Whether `left` is strictly better; a number is better than none, and than one that is not a number."""
    if left is None or math.isnan(left):
        return False
    if right is None or math.isnan(right):
        return True
    return left > right if goal == "maximize" else left < right


def _output(name: str, pipeline: Pipeline) -> Address:
    output = pipeline.root.output_parameters.get(name)
    if output is None:
        known = [*pipeline.root.output_parameters, *(f"{path}.METRIC" for path in _paths(pipeline, pipeline.root, ""))]
        raise ConfigurationError(
            f"the pipeline has no output parameter {name!r}", place=PLACE, remedy=_nearest(name, known)
        )
    if str(output.type) not in _NUMBERS:
        raise ConfigurationError(f"the output parameter {name!r} is a {output.type}, not a number", place=PLACE)
    return Address(name, name)


def _component(pipeline: Pipeline, path: str) -> ComponentSpec | None:
    found: ComponentSpec = pipeline.root
    for name in path.split("/"):
        task = found.dag.tasks.get(name) if found.dag else None
        if task is None:
            return None
        found = pipeline.components[task.component]
    return found


def _paths(pipeline: Pipeline, component: ComponentSpec, prefix: str) -> Iterable[str]:
    for name, task in (component.dag.tasks if component.dag else {}).items():
        inner = pipeline.components[task.component]
        if inner.dag is None:
            yield prefix + name
        else:
            yield from _paths(pipeline, inner, f"{prefix}{name}/")


def _nearest(name: str, known: Iterable[str]) -> str:
    import difflib  # only on the way to an error

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3) or names[:8]
    return f"there are: {', '.join(near)}" if near else ""


def _number(value: Any, store: Unspiller) -> float | None:
    if isinstance(value, Spilled):
        value = msgspec.json.decode(store.unspill(value))
    if isinstance(value, bool | int | float):
        return float(value)
    return None
