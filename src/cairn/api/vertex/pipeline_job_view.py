"""A run as aiplatform.v1 `PipelineJob`, canonical JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import xxhash

from cairn.api.vertex.metadata_view import artifact_view, context_view
from cairn.api.vertex.names import Place, execution_name
from cairn.api.vertex.times import put, timestamp
from cairn.domain.lineage import ExecutionState
from cairn.domain.runs import AttemptRecord, Failure, Run, RunKind, TaskRecord
from cairn.domain.states import RunState, TaskState
from cairn.domain.values import Spilled
from cairn.engine.ports import NATIVE
from cairn.filters.tree import Comparison
from cairn.jobs.service import launch_request
from cairn.metadata.types import StoreName

if TYPE_CHECKING:
    from cairn.wiring import Cairn

_TASK_STATES = {
    TaskState.PENDING: "PENDING",
    TaskState.RUNNING: "RUNNING",
    TaskState.SUCCEEDED: "SUCCEEDED",
    TaskState.FAILED: "FAILED",
    TaskState.SKIPPED: "NOT_TRIGGERED",
    TaskState.CANCELLED: "CANCELLED",
}
_EXECUTION_STATES = {
    TaskState.PENDING: ExecutionState.NEW,
    TaskState.RUNNING: ExecutionState.RUNNING,
    TaskState.SUCCEEDED: ExecutionState.COMPLETE,
    TaskState.FAILED: ExecutionState.FAILED,
    TaskState.SKIPPED: ExecutionState.CANCELLED,
    TaskState.CANCELLED: ExecutionState.CANCELLED,
}
_POLICIES = {"slow": "PIPELINE_FAILURE_POLICY_FAIL_SLOW", "fast": "PIPELINE_FAILURE_POLICY_FAIL_FAST"}


def job_name(run: Run) -> str:
    return f"{Place(run.project, run.location)}/pipelineJobs/{run.job_id}"


def job_view(run: Run, spec: msgspec.Raw | None = None, detail: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`spec`: the pipeline's; `detail`: `job_detail`. Both are left out of a list's entries when not asked for."""
    found: dict[str, Any] = {"name": job_name(run), "displayName": run.display_name}
    put(
        found,
        createTime=run.create_time,
        startTime=run.start_time,
        endTime=run.end_time,
        updateTime=max(run.update_time, run.create_time),
    )
    if spec is not None:
        found["pipelineSpec"] = spec
    found["state"] = f"PIPELINE_STATE_{run.state}"
    if detail is not None:
        found["jobDetail"] = detail
    error = status(run.error)
    if error is None and run.state is RunState.CANCELLED:
        error = {"code": 1, "message": "the job was cancelled"}
    if error is not None and run.state in (RunState.FAILED, RunState.CANCELLED):
        found["error"] = error
    if run.labels:
        found["labels"] = run.labels
    found["runtimeConfig"] = _runtime(run)
    found |= run.client.get("vertex", {})
    if run.schedule:
        found["scheduleName"] = f"{Place(run.project, run.location)}/schedules/{run.schedule}"
    return found


def spec_of(cairn: Cairn, digest: str) -> msgspec.Raw:
    """The PipelineSpec of a recorded pipeline, whose text may have the platform's configuration beside it."""
    text = cairn.records.spec_text(digest)
    outer = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    return outer.get("pipelineSpec") or outer.get("pipeline_spec") or msgspec.Raw(text.encode())


def job_detail(cairn: Cairn, run: Run, *, tasks: bool = True) -> dict[str, Any]:
    """Without `tasks` as a list has it when it is asked for."""
    place = Place(run.project, run.location)
    # As recorded: clients look for the experiments of a run among its context's parents.
    store = StoreName(run.project, run.location)
    contexts = {one.id: one for one in cairn.records.contexts_by_id(store, [run.pipeline_name, run.job_id])}
    found: dict[str, Any] = {
        name: context_view(place, contexts[id_])
        for name, id_ in (("pipelineContext", run.pipeline_name), ("pipelineRunContext", run.job_id))
        if id_ in contexts
    }
    if tasks:
        recorded, attempts = cairn.records.tasks(run.uid), cairn.records.attempts(run.uid)
        if not run.state.terminal:
            recorded = _with_running(recorded, attempts)
        found["taskDetails"] = task_details(place, run, recorded, _launched(cairn, run, attempts))
    return found


def _launched(cairn: Cairn, run: Run, attempts: Sequence[AttemptRecord]) -> dict[str, list[str]]:
    """The custom jobs that native steps have started, by their tasks' paths, an attempt's after the one before it."""
    by_request = {launch_request(one.uid): one.path for one in attempts if one.executor == NATIVE}
    found: dict[str, list[str]] = {}
    token = "more" if by_request else ""
    while token:
        jobs, token = cairn.records.page_runs(
            where=Comparison(("parent",), "=", run.uid),
            query="launched",
            token="" if token == "more" else token,
            limit=1000,
            kinds=(RunKind.CUSTOM_JOB,),
        )
        for job in jobs:  # newest first
            if job.request_id in by_request:
                name = f"{Place(job.project, job.location)}/customJobs/{job.job_id}"
                found.setdefault(by_request[job.request_id], []).insert(0, name)
    return found


def _with_running(tasks: list[TaskRecord], attempts: Iterable[AttemptRecord]) -> list[TaskRecord]:
    """A leaf is recorded when it has ended: those that run are known by their attempts."""
    known = {task.path for task in tasks}
    running: dict[str, TaskRecord] = {}
    for one in attempts:
        if one.path not in known and one.path not in running:
            name, began = one.path.rpartition("/")[2], one.start_time
            running[one.path] = TaskRecord(
                one.run_uid, one.path, name, "", "leaf", TaskState.RUNNING, "", create_time=began, start_time=began
            )
    return [*tasks, *running.values()]


def task_details(
    place: Place, run: Run, tasks: Sequence[TaskRecord], launched: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """`launched`: names of the custom jobs that a task has started, by its path."""
    ids = {task.path: task_id(run.uid, task.path) for task in tasks}
    return [_task(place, run, task, ids, launched.get(task.path, ())) for task in tasks]


def task_id(run_uid: str, path: str) -> int:
    """An int64 that is the same at any time, also before the task is recorded."""
    return xxhash.xxh3_64_intdigest(f"{run_uid}/{path}".encode()) & (2**63 - 1)


def status(failure: Failure | None) -> dict[str, Any] | None:
    """google.rpc.Status."""
    if failure is None:
        return None
    text = f"{failure.place}: {failure.message}" if failure.place else failure.message
    return {"code": failure.code, "message": f"{text} ({failure.remedy})" if failure.remedy else text}


def _runtime(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = {"failurePolicy": _POLICIES.get(run.settings.failure_policy, _POLICIES["slow"])}
    if run.pipeline_root:
        found["gcsOutputDirectory"] = run.pipeline_root
    values = {name: value for name, value in run.parameters.items() if value is not None}
    if values:
        found["parameterValues"] = values
    if run.input_artifacts:
        found["inputArtifacts"] = {name: {"artifactId": one[0].id} for name, one in run.input_artifacts.items() if one}
    return found


def _task(place: Place, run: Run, task: TaskRecord, ids: Mapping[str, int], jobs: Sequence[str] = ()) -> dict[str, Any]:
    state = _state(run, task)
    found: dict[str, Any] = {"taskId": str(ids[task.path]), "taskName": task.name}
    parent = _parent(task)
    if parent in ids:
        found["parentTaskId"] = str(ids[parent])
    put(found, createTime=_created(task), startTime=task.start_time, endTime=task.end_time)
    if task.kind == "leaf":
        found["executorDetail"] = {"customJobDetail": _custom_job(jobs)} if jobs else {"containerDetail": {}}
    found["state"] = state
    if task.execution_id and task.start_time:
        found["execution"] = _execution(place, task)
    error = status(task.error)
    if error is not None:
        found["error"] = error
    found["pipelineTaskStatus"] = _history(task, state, error)
    for name, artifacts in (("inputs", task.inputs.artifacts), ("outputs", task.outputs.artifacts)):
        if artifacts:
            found[name] = {
                key: {"artifacts": [artifact_view(place, one) for one in several]} for key, several in artifacts.items()
            }
    found["taskUniqueName"] = ".".join(task.path.split("/"))
    return found


def _custom_job(jobs: Sequence[str]) -> dict[str, Any]:
    return {"job": jobs[-1], **({"failedJobs": list(jobs[:-1])} if len(jobs) > 1 else {})}


def _parent(task: TaskRecord) -> str:
    """The path of what a task lies in: its DAG's or iteration's, an iteration's loop."""
    return task.path.rpartition("[")[0] if task.kind == "iteration" else task.path.rpartition("/")[0]


def _state(run: Run, task: TaskRecord) -> str:
    if task.cached:
        return "SKIPPED"  # Vertex's word for a cache hit
    if run.state is RunState.CANCELLING and not task.state.terminal:
        return "CANCELLING" if task.state is TaskState.RUNNING else "CANCEL_PENDING"
    return _TASK_STATES[task.state]


def _history(task: TaskRecord, state: str, error: dict[str, Any] | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if _created(task):
        found.append({"updateTime": timestamp(_created(task)), "state": "PENDING"})
    if task.start_time and not task.cached and state != "NOT_TRIGGERED":
        found.append({"updateTime": timestamp(task.start_time), "state": "RUNNING"})
    if task.end_time:
        last: dict[str, Any] = {"updateTime": timestamp(task.end_time), "state": state}
        found.append({**last, "error": error} if error is not None else last)
    return found


def _execution(place: Place, task: TaskRecord) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": execution_name(place, task.execution_id),
        "displayName": task.path,
        "state": str(ExecutionState.CACHED if task.cached else _EXECUTION_STATES[task.state]),
        "etag": str(task.end_time or task.start_time),
        "schemaTitle": "system.ContainerExecution",
        "schemaVersion": "0.0.1",
        "metadata": dict(_values("input", task.inputs.parameters)) | dict(_values("output", task.outputs.parameters)),
    }
    put(found, createTime=_created(task), updateTime=task.end_time or task.start_time)
    return found


def _created(task: TaskRecord) -> int:
    """A leaf is recorded when it has ended, but was there when it started."""
    return min(task.create_time, task.start_time) if task.start_time else task.create_time


def _values(prefix: str, parameters: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in parameters.items():
        if isinstance(value, dict) and value.get("kind") == "spilled" and "uri" in value:
            value = value["uri"]
        yield f"{prefix}:{name}", value.uri if isinstance(value, Spilled) else value
