"""What a run's changes come to in the records: its row, its tasks' and attempts', lineage, results for the cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cairn.domain.artifacts import Artifact
from cairn.domain.lineage import Event, EventType, Execution, ExecutionState
from cairn.domain.runs import (
    AttemptRecord,
    CacheComparison,
    Exit,
    Failure,
    Run,
    TaskInputs,
    TaskOutputs,
    TaskRecord,
)
from cairn.domain.states import AttemptState, RunState, TaskState
from cairn.domain.values import Spilled, Value
from cairn.engine.driver import Driver
from cairn.engine.memory import Memory
from cairn.engine.ports import Batch, CacheEntry, Fence, Lineage
from cairn.engine.retry import backoff_seconds
from cairn.engine.services import Services
from cairn.engine.spilling import kept_inputs
from cairn.engine.transitions import check_attempt
from cairn.engine.tree import TaskNode
from cairn.spec.types import ImporterSpec

_EXECUTION_STATES = {
    TaskState.SUCCEEDED: ExecutionState.COMPLETE,
    TaskState.FAILED: ExecutionState.FAILED,
    TaskState.CANCELLED: ExecutionState.CANCELLED,
}
_RUN_STATES = {
    RunState.SUCCEEDED: ExecutionState.COMPLETE,
    RunState.FAILED: ExecutionState.FAILED,
    RunState.CANCELLED: ExecutionState.CANCELLED,
}


class RunWriter:
    """Gathers what one turn of the engine changes of one run; `take` hands it over to be committed.

    `labels` name the transitions in it, for the fault points around the commit.
    """

    def __init__(self, run: Run, fence: Fence, driver: Driver, memory: Memory, services: Services) -> None:
        self.run = run
        self.fence = fence
        self.driver = driver
        self.memory = memory
        self.services = services
        self.contexts = (run.pipeline_name, run.job_id)
        self.batch = Batch()
        self.fresh: dict[str, TaskRecord] = {}
        self.labels: list[str] = []
        self._spilled: dict[str, TaskInputs] = {}  # by path: inputs whose large values were put aside already

    def write_run(self, **changes: Any) -> None:
        self.run = msgspec.structs.replace(
            self.run, update_time=self.services.clock.now(), warnings=tuple(self.driver.warnings), **changes
        )
        self.driver.run = self.run
        self.batch.runs.append(self.run)
        if self.run.state is RunState.RUNNING or self.run.state in _RUN_STATES:
            self._lineage_of_run()
        self.labels.append(f"run.{self.run.state.lower()}")

    def record(self, task: TaskNode) -> None:
        """The task's state has changed."""
        if task.path in self.memory.recalled:
            if task.state.terminal:
                self.memory.recalled.discard(task.path)
                self.memory.forget(task.path)
            return
        if self._stands(task):
            return
        record = self.task_record(task, task.state)
        self.put(record)
        if task.state.terminal:
            self.labels.append(f"task.{task.state.lower()}")
            if task.kind == "leaf" and task.state is not TaskState.SKIPPED and task.inputs is not None:
                self._lineage(task, record)
            self.memory.forget(task.path)
            task.payload = None
            task.inputs = None if task.kind == "leaf" else task.inputs
        else:
            self.labels.append(f"task.{task.kind}.{task.state.lower()}")

    def _stands(self, task: TaskNode) -> bool:
        """Whether an engine before this one has recorded the same, or what comes after it: nothing is written twice."""
        known = self.memory.task(task.path)
        if known is None:
            return False
        if task.kind == "leaf" and task.state not in (TaskState.SKIPPED, TaskState.CANCELLED):
            return False  # a new attempt's end, whatever it came to
        if not task.state.terminal:
            return known.state is not TaskState.PENDING
        if task.state is not known.state or known.outputs != (task.outputs or TaskOutputs()):
            return False
        self.memory.forget(task.path)
        return True

    def put(self, record: TaskRecord) -> None:
        self.fresh[record.path] = record

    def task_record(self, task: TaskNode, state: TaskState) -> TaskRecord:
        now = self.services.clock.now()
        earlier = self.memory.task(task.path)
        comparison = task.payload if isinstance(task.payload, CacheComparison) else None
        start = self.memory.started.get(task.path, 0) or (earlier.start_time if earlier else 0)
        if state is TaskState.RUNNING and not start:
            start = self.memory.started[task.path] = now
        if state.terminal:
            self.memory.started.pop(task.path, None)
        not_before = 0
        if state is TaskState.PENDING and task.retries and task.spec.retry:
            not_before = now + int(backoff_seconds(task.spec.retry, task.retries) * 1_000_000)
        leaf = task.kind == "leaf"
        return TaskRecord(
            run_uid=self.run.uid,
            path=task.path,
            name=task.spec.name,
            component=task.spec.component,
            kind=task.kind,
            state=state,
            uid=task.uid or self.memory.uid_of(task.path),
            cached=task.cached,
            attempts=task.attempts,
            retries=task.retries,
            inputs=self.kept(task.path, task.inputs, last=state.terminal),
            outputs=task.outputs or TaskOutputs(),
            iterations=task.iterations,
            comparison=comparison,
            identity=self.driver.identity(task) if leaf else "",
            execution_id=task.uid if leaf else "",
            error=task.error,
            create_time=earlier.create_time if earlier and earlier.create_time else now,
            start_time=start or (now if state.terminal and state is not TaskState.SKIPPED else 0),
            end_time=now if state.terminal else 0,
            not_before=not_before,
        )

    def kept(self, path: str, inputs: TaskInputs | None, *, last: bool = False) -> TaskInputs:
        """The inputs as they are recorded; what had to be spilled is remembered until the task's `last` record."""
        if inputs is None:
            return TaskInputs()
        found = self._spilled.get(path) or kept_inputs(inputs, self.services.store, self.run.uid)
        if last:
            self._spilled.pop(path, None)
        elif found is not inputs:
            self._spilled[path] = found
        return found

    def _lineage_of_run(self) -> None:
        """One execution for the run as a whole. Clients read a run's parameters and state from it: experiments of
        google-cloud-aiplatform do in `PipelineJob._query_experiment_row`."""
        run = self.run
        execution = Execution(
            id=run.uid,
            schema_title="system.Run",
            state=_RUN_STATES.get(run.state, ExecutionState.RUNNING),
            display_name=run.job_id,
            metadata=_parameters(run.parameters),
            create_time=run.create_time,
            update_time=run.update_time,
        )
        self.batch.lineage.append(Lineage((execution,), contexts=self.contexts, run_uid=run.uid))

    def _lineage(self, task: TaskNode, record: TaskRecord) -> None:
        now = record.end_time
        state = _EXECUTION_STATES[task.state]
        if task.cached:
            state = ExecutionState.CACHED
        importer = isinstance(task.component.executor, ImporterSpec)
        execution = Execution(
            id=task.uid,
            schema_title="system.ImporterExecution" if importer else "system.ContainerExecution",
            state=state,
            display_name=task.path,
            metadata=_parameters(record.inputs.parameters),
            create_time=record.create_time,
            update_time=now,
        )
        events: list[Event] = []
        for name, artifacts in record.inputs.artifacts.items():
            for index, artifact in enumerate(artifacts):
                events.append(Event(artifact.id, task.uid, EventType.INPUT, name, index, now))
        fresh: list[Artifact] = []
        for name, artifacts in record.outputs.artifacts.items():
            for index, artifact in enumerate(artifacts):
                events.append(Event(artifact.id, task.uid, EventType.OUTPUT, name, index, now))
                if not task.cached and artifact.create_time >= self.run.create_time:
                    fresh.append(artifact)
        self.batch.lineage.append(Lineage((execution,), tuple(fresh), tuple(events), self.contexts, self.run.uid))
        comparison = record.comparison
        if comparison is not None and comparison.verdict in ("miss", "refused") and task.state is TaskState.SUCCEEDED:
            self.batch.cache.append(
                CacheEntry(
                    scope=self.driver.scope,
                    key=comparison.key,
                    run_uid=self.run.uid,
                    path=task.path,
                    parts=comparison.parts,
                    outputs=record.outputs,
                    create_time=now,
                    component=task.spec.component,
                )
            )

    def take(self) -> Batch:
        """What is to be written, and a new empty one in its place."""
        if tuple(self.driver.warnings) != self.run.warnings:
            self.write_run()
        batch, self.batch = self.batch, Batch()
        batch.tasks = list(self.fresh.values())
        self.fresh = {}
        del batch.runs[:-1]
        batch.fences = {self.run.uid: self.fence}
        return batch

    def close_attempt(
        self, record: AttemptRecord, state: AttemptState, ended: Exit, error: Failure | None = None
    ) -> None:
        check_attempt(record.state, state, record.path)
        closed = msgspec.structs.replace(
            record, state=state, exit=ended, error=error, end_time=ended.end_time or self.services.clock.now()
        )
        self.batch.attempts.append(closed)
        if state is AttemptState.FAILED:
            self.memory.failed(closed)
        self.labels.append(f"attempt.{state.lower()}")


def _parameters(values: Mapping[str, Value]) -> dict[str, Any]:
    """As Vertex AI Pipelines names them in the metadata of an execution."""
    return {f"input:{name}": value.uri if isinstance(value, Spilled) else value for name, value in values.items()}
