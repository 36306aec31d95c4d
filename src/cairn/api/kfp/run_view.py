"""A run as KFP v2beta1 tells it (`V2beta1Run`), made from the records.

Source: kubeflow/pipelines backend/api/v2beta1/run.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cairn.api.kfp import spec_json
from cairn.api.kfp.messages import filled, moment, rpc_status
from cairn.domain.artifacts import Artifact
from cairn.domain.runs import AttemptRecord, Failure, JournalEntry, Run, TaskRecord
from cairn.domain.states import RunState, TaskState
from cairn.engine.report import readable

if TYPE_CHECKING:
    from cairn.wiring import Cairn

FACE = "kfp"  # in `Run.client`: what this API was told and tells back
_JOURNAL_PAGE = 10_000

RUN_STATES = {
    RunState.PENDING: "PENDING",
    RunState.RUNNING: "RUNNING",
    RunState.CANCELLING: "CANCELING",
    RunState.SUCCEEDED: "SUCCEEDED",
    RunState.FAILED: "FAILED",
    RunState.CANCELLED: "CANCELED",
}
_TASK_STATES = {**{state: str(state) for state in TaskState}, TaskState.CANCELLED: "CANCELED"}


def summary(cairn: Cairn, run: Run, specs: dict[str, Any] | None = None) -> dict[str, Any]:
    """A run as lists have it: all but its tasks and history. `specs`: those already read, by digest."""
    said = run.client.get(FACE, {})
    found: dict[str, Any] = {
        "run_id": run.uid,
        "experiment_id": run.experiment,
        "display_name": run.display_name or run.job_id,
        "description": run.description,
        "storage_state": "ARCHIVED" if run.archived else "AVAILABLE",
        "state": RUN_STATES[run.state],
        "created_at": moment(run.create_time),
        "scheduled_at": moment(run.schedule_time or run.create_time),
        "runtime_config": _runtime_config(cairn, run, said),
        "recurring_run_id": run.schedule,
        "service_account": said.get("service_account", ""),
    }
    if reference := said.get("pipeline_version_reference"):
        found["pipeline_version_reference"] = reference
    else:
        found["pipeline_spec"] = _spec(cairn, run, {} if specs is None else specs)
    if run.end_time and run.state.terminal:
        found["finished_at"] = moment(run.end_time)
    if run.error is not None:
        found["error"] = rpc_status(run.error)
    if run.warnings:
        found["plugins_output"] = {"cairn": {"entries": {"warnings": {"value": list(run.warnings)}}}}
    return filled(found)


def detail(cairn: Cairn, run: Run) -> dict[str, Any]:
    """A run with its tasks and every state it was in."""
    tasks = cairn.records.tasks(run.uid)
    attempts: dict[str, list[AttemptRecord]] = {}
    for attempt in cairn.records.attempts(run.uid):
        attempts.setdefault(attempt.path, []).append(attempt)
    history = _history(cairn, run.uid)
    ids = {task.path: task.uid for task in tasks}
    children: dict[str, list[str]] = {}
    for task in tasks:
        children.setdefault(_above(task.path, ids), []).append(task.uid)
    details = [
        _task(task, ids, children.get(task.path, []), attempts.get(task.path, []), history.get(task.path, []))
        for task in tasks
    ]
    return {
        **summary(cairn, run),
        "state_history": [_status(one, RUN_STATES[RunState(one.state)], run.error) for one in history.get("", [])],
        "run_details": filled({"task_details": details}),
    }


def _runtime_config(cairn: Cairn, run: Run, said: Mapping[str, Any]) -> dict[str, Any]:
    if "runtime_config" in said:
        return dict(said["runtime_config"])
    values = {name: readable(value, cairn.store) for name, value in run.parameters.items()}
    return {"parameters": values, "pipeline_root": run.pipeline_root}


def _spec(cairn: Cairn, run: Run, specs: dict[str, Any]) -> Any:
    if run.spec_digest not in specs:
        specs[run.spec_digest] = spec_json.told(cairn.records.spec_text(run.spec_digest))
    return specs[run.spec_digest]


def _history(cairn: Cairn, run_uid: str) -> dict[str, list[JournalEntry]]:
    """Changes of state by task's path, the run's own under ""; one of several equal ones in a row."""
    found: dict[str, list[JournalEntry]] = {}
    after = 0
    while entries := cairn.records.journal(after, run_uid=run_uid, limit=_JOURNAL_PAGE):
        for entry in entries:
            if entry.kind not in ("run", "task"):
                continue
            known = found.setdefault(entry.path, [])
            if not known or known[-1].state != entry.state:
                known.append(entry)
        after = entries[-1].sequence
        if len(entries) < _JOURNAL_PAGE:
            break
    return found


def _task(
    task: TaskRecord,
    ids: Mapping[str, str],
    children: Iterable[str],
    attempts: list[AttemptRecord],
    history: list[JournalEntry],
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "run_id": task.run_uid,
        "task_id": task.uid,
        "display_name": task.path.rpartition("/")[2],
        "parent_task_id": ids.get(_above(task.path, ids), ""),
        "state": task_state(task),
        "create_time": moment(task.create_time),
        "execution_id": task.execution_id,
        "inputs": _artifacts(task.inputs.artifacts),
        "outputs": _artifacts(task.outputs.artifacts),
        "child_tasks": [{"task_id": uid} for uid in children],
        "state_history": [_status(one, _TASK_STATES[TaskState(one.state)], task.error) for one in history],
    }
    if task.start_time:
        found["start_time"] = moment(task.start_time)
    if task.end_time:
        found["end_time"] = moment(task.end_time)
    if task.error is not None and task.state is not TaskState.SKIPPED:
        found["error"] = rpc_status(task.error)
    if attempts:
        earlier = [attempt.uid for attempt in attempts[:-1]]
        found["executor_detail"] = filled({"main_job": attempts[-1].uid, "failed_main_jobs": earlier})
    return filled(found)


def task_state(task: TaskRecord) -> str:
    """A cached task is SKIPPED: "Entity has been skipped. For example, due to caching"."""
    if task.cached and task.state is TaskState.SUCCEEDED:
        return "SKIPPED"
    return _TASK_STATES[task.state]


def _above(path: str, known: Mapping[str, str]) -> str:
    """The path of the task that a task is within: `loop[0]/train` is in `loop[0]`, and that in `loop`."""
    while path:
        if path.endswith("]") and path.rpartition("[")[0] in known:
            return path.rpartition("[")[0]
        path = path.rpartition("/")[0]
        if path in known:
            return path
    return ""


def _artifacts(found: Mapping[str, tuple[Artifact, ...]]) -> dict[str, Any]:
    return {name: {"artifact_ids": [one.id for one in artifacts]} for name, artifacts in found.items()}


def _status(entry: JournalEntry, state: str, error: Failure | None) -> dict[str, Any]:
    found: dict[str, Any] = {"update_time": moment(entry.time), "state": state}
    return {**found, "error": rpc_status(error)} if error is not None and state == "FAILED" else found
