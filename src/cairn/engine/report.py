"""A run as it is told to the outside: one entry for each leaf task and loop iteration, values read back.

The command line, the SDK and the API say the same because all of them say it from here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from cairn.domain.configuration import Configuration
from cairn.domain.runs import Failure, Run, TaskRecord
from cairn.domain.states import RunState, TaskState
from cairn.domain.values import Spilled, Value
from cairn.spec.types import DagSpec, Pipeline

READ_BACK_BYTES = 1 << 20  # a spilled value of at least this size is told as its reference

_ITERATION = re.compile(r"\[(\d+)\]")


class Unspiller(Protocol):
    """The one method of `ports.ArtifactStore` that is needed here."""

    def unspill(self, spilled: Spilled) -> bytes: ...


class Leaf(msgspec.Struct, frozen=True):
    """One leaf task instance. `seconds` is wall time from its start to its end, 0.0 for one that never started.

    `reason` says why a task was skipped, or what one waits for; `error` is only set for one that failed.
    """

    name: str
    component: str
    path: str
    state: TaskState
    cached: bool = False
    attempts: int = 0
    seconds: float = 0.0
    outputs: dict[str, Value] = {}
    error: Failure | None = None
    reason: str = ""


def leaves(pipeline: Pipeline, run: Run, records: Iterable[TaskRecord], store: Unspiller) -> list[Leaf]:
    """Every leaf task in the order of the pipeline, iterations in theirs.

    Leaves below a nested pipeline or loop that never unfolded have no record: they take its end for theirs, and their
    path has no index where a loop's items were never known.
    """
    return list(_Walk(pipeline, run, records, store).dag(pipeline.root.dag, "", None))


class _Walk:
    def __init__(self, pipeline: Pipeline, run: Run, records: Iterable[TaskRecord], store: Unspiller) -> None:
        self.components = pipeline.components
        self.store = store
        self.records = {record.path: record for record in records}
        self.indices = _indices(self.records)
        self.unrecorded = TaskState.SKIPPED if run.state.terminal else TaskState.PENDING
        if run.state in (RunState.CANCELLED, RunState.CANCELLING):
            self.unrecorded = TaskState.CANCELLED

    def dag(self, dag: DagSpec | None, prefix: str, fallback: TaskState | None) -> Iterator[Leaf]:
        if dag is None:
            return
        for name in in_order(dag):
            task = dag.tasks[name]
            path = f"{prefix}/{name}" if prefix else name
            record = self.records.get(path)
            component = self.components[task.component]
            below = _state_below(record, fallback)
            if component.dag is None and task.iterator is None:
                yield self._leaf(name, task.component, path, record, fallback)
            elif task.iterator is None:
                yield from self.dag(component.dag, path, below)
            elif path in self.indices:
                for index in sorted(self.indices[path]):
                    yield from self.dag(component.dag, f"{path}[{index}]", None)
            elif record is None or record.state is not TaskState.SUCCEEDED:  # else it had no items
                yield from self.dag(component.dag, path, below)

    def _leaf(
        self, name: str, component: str, path: str, record: TaskRecord | None, fallback: TaskState | None
    ) -> Leaf:
        if record is None:
            return Leaf(name, component, path, fallback or self.unrecorded)
        skipped = record.state is TaskState.SKIPPED
        return Leaf(
            name=record.name,
            component=record.component,
            path=path,
            state=record.state,
            cached=record.cached,
            attempts=record.attempts,
            seconds=seconds_between(record.start_time, record.end_time),
            outputs={key: readable(value, self.store) for key, value in record.outputs.parameters.items()},
            error=None if skipped else record.error,
            reason=record.error.message if skipped and record.error else waits_for(record),
        )


def waits_for(record: TaskRecord) -> str:
    """In words, which equal task of another run this one waits for; "" for none."""
    comparison = record.comparison
    if record.state is not TaskState.PENDING or comparison is None or comparison.verdict != "waits":
        return ""
    return comparison.reason


def in_order(dag: DagSpec) -> list[str]:
    """The DAG's tasks, each after those it waits for; otherwise as they are written."""
    waiting = {name: len(task.upstream) for name, task in dag.tasks.items()}
    dependents: dict[str, list[str]] = {}
    for name, task in dag.tasks.items():
        for upstream in task.upstream:
            dependents.setdefault(upstream, []).append(name)
    ready = [name for name, count in waiting.items() if not count]
    for name in ready:  # grows while it is walked
        for dependent in dependents.get(name, ()):
            waiting[dependent] -= 1
            if not waiting[dependent]:
                ready.append(dependent)
    return ready


def _state_below(record: TaskRecord | None, fallback: TaskState | None) -> TaskState | None:
    """What an unrecorded leaf below this task is; None leaves it to the run."""
    if record is None:
        return fallback
    if record.state is TaskState.CANCELLED:
        return TaskState.CANCELLED
    return TaskState.SKIPPED if record.state.terminal else None


def _indices(paths: Iterable[str]) -> dict[str, set[int]]:
    """The iterations that are known of each loop, by the loop's path."""
    found: dict[str, set[int]] = {}
    for path in paths:
        if "[" in path:
            for match in _ITERATION.finditer(path):
                found.setdefault(path[: match.start()], set()).add(int(match[1]))
    return found


def readable(value: Value, store: Unspiller) -> Value:
    """The value with what was spilled read back, or told as `{"uri", "digest", "size"}` when it is large."""
    if isinstance(value, dict) and value.get("kind") == "spilled" and value.keys() == {"kind", "uri", "digest", "size"}:
        value = Spilled(value["uri"], value["digest"], value["size"])
    if isinstance(value, Spilled):
        if value.size < READ_BACK_BYTES:
            return msgspec.json.decode(store.unspill(value))
        return {"uri": value.uri, "digest": value.digest, "size": value.size}
    if isinstance(value, list):
        return [readable(item, store) for item in value]
    return value


def seconds_between(start: int, end: int) -> float:
    """Between two recorded times (microseconds), 0.0 when one is not known."""
    return max(0.0, (end - start) / 1e6) if start and end else 0.0


def failure_object(failure: Failure | None) -> dict[str, Any] | None:
    """`error` as `--json` has it."""
    return None if failure is None else {name: getattr(failure, name) for name in failure.__struct_fields__}


def leaf_object(leaf: Leaf) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": leaf.name,
        "component": leaf.component,
        "path": leaf.path,
        "state": str(leaf.state),
        "cached": leaf.cached,
        "attempts": leaf.attempts,
        "seconds": round(leaf.seconds, 6),
        "outputs": leaf.outputs,
        "error": failure_object(leaf.error),
    }
    if leaf.reason:
        found["reason"] = leaf.reason
    return found


def run_object(run: Run, tasks: Iterable[Leaf], store: Unspiller) -> dict[str, Any]:
    """The object that `cairn run --json` prints last."""
    state = "RUNNING" if run.state is RunState.CANCELLING else str(run.state)
    return {
        "run_id": run.uid,
        "job_id": run.job_id,
        "pipeline": run.pipeline_name,
        "state": state,
        "outputs": read_outputs(run.outputs, store),
        "tasks": [leaf_object(leaf) for leaf in tasks],
        "warnings": list(run.warnings),
        "error": failure_object(run.error),
        "seconds": round(seconds_between(run.start_time, run.end_time), 6),
        "configuration": configuration_object(run.configuration),
    }


def configuration_object(configuration: Configuration | None) -> dict[str, Any] | None:
    """What a run was configured with by Hydra; None for one that was not."""
    if configuration is None:
        return None
    found: dict[str, Any] = {field: getattr(configuration, field) for field in configuration.__struct_fields__}
    found["overrides"] = list(configuration.overrides)
    if not configuration.sweep:
        del found["sweep"], found["job"]
    return found


def read_outputs(outputs: Mapping[str, Value], store: Unspiller) -> dict[str, Value]:
    return {name: readable(value, store) for name, value in outputs.items()}
