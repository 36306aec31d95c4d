"""RunService of KFP v2beta1. Source: kubeflow/pipelines backend/api/v2beta1/run.proto."""

from __future__ import annotations

from typing import Any

import msgspec

from cairn.api.access import Role
from cairn.api.http import Call, Reply, json_reply
from cairn.api.kfp import experiments, messages, run_view, scoping, spec_json
from cairn.api.kfp.lists import list_query
from cairn.api.kfp.messages import MESSAGE, TEXT, WORD, body_of
from cairn.api.named_buckets import check_bucket
from cairn.domain.runs import Run, Submission
from cairn.domain.states import RunState
from cairn.errors import Conflict, InputRefused, NotFound
from cairn.experiments.types import Experiment
from cairn.filters.tree import And, Comparison, Filter, Scalar
from cairn.spec.load import load_text
from cairn.spec.types import Pipeline

_RUN: messages.Fields = {
    "experiment_id": TEXT,
    "run_id": TEXT,
    "display_name": TEXT,
    "storage_state": WORD,
    "description": TEXT,
    "pipeline_version_id": TEXT,
    "pipeline_spec": MESSAGE,
    "pipeline_version_reference": MESSAGE,
    "runtime_config": MESSAGE,
    "service_account": TEXT,
    "created_at": TEXT,
    "scheduled_at": TEXT,
    "finished_at": TEXT,
    "state": WORD,
    "error": MESSAGE,
    "run_details": MESSAGE,
    "recurring_run_id": TEXT,
    "state_history": list,
    "plugins_input": MESSAGE,
    "plugins_output": MESSAGE,
}
_REFERENCE: messages.Fields = {"pipeline_id": TEXT, "pipeline_version_id": TEXT}
_RUNTIME: messages.Fields = {"parameters": MESSAGE, "pipeline_root": TEXT}
_NAMES = {
    "id": "uid",
    "run_id": "uid",
    "name": "display_name",
    "display_name": "display_name",
    "created_at": "create_time",
    "scheduled_at": "create_time",
    "finished_at": "end_time",
    "state": "state",
    "status": "state",
    "storage_state": "archived",
    "experiment_id": "experiment",
    "recurring_run_id": "schedule",
    "pipeline_name": "pipeline_name",
    "labels": "labels",
}
_STATES = {told.casefold(): str(state) for state, told in run_view.RUN_STATES.items()}


def create(call: Call) -> Reply:
    asked = body_of(call, _RUN)
    experiment = experiment_of(call, asked.get("experiment_id") or call.first("experiment_id"))
    pipeline, submission = submission_of(call, asked, experiment)
    cairn = call.context.cairn
    run = cairn.runs.submit(pipeline, submission)
    call.context.host.offer(run, pipeline)
    return json_reply(run_view.detail(cairn, run))


def get(call: Call) -> Reply:
    return json_reply(run_view.detail(call.context.cairn, readable(call)))


def list_(call: Call) -> Reply:
    query = list_query(call, _NAMES, words=_words, scope="runs")
    projects = scoping.visible(call, call.first("namespace"))
    where = query.where
    if experiment_id := call.first("experiment_id"):
        experiment = experiments.readable(call, experiment_id)
        projects = frozenset((experiment.project,))
        where = _and(where, Comparison(("experiment",), "=", experiment.id))
    records = call.context.cairn.records
    found, token = records.page_runs(
        projects=projects, where=where, orders=query.orders, query=query.query, token=query.token, limit=query.limit
    )
    specs: dict[str, Any] = {}
    runs = [run_view.summary(call.context.cairn, run, specs) for run in found]
    count = records.count_runs(projects=projects, where=where)
    return messages.reply({"runs": runs, "total_size": count, "next_page_token": token})


def terminate(call: Call) -> Reply:
    """Asked for; the run is CANCELED once its steps are seen dead."""
    call.context.cairn.runs.cancel(writable(call))
    return messages.empty()


def retry(call: Call) -> Reply:
    """From what did not succeed."""
    run = writable(call)
    if not run.state.terminal:
        raise Conflict(f"run {run.uid} is {run_view.RUN_STATES[run.state]}: only a run that has ended is retried")
    if run.state is RunState.SUCCEEDED:
        raise Conflict(f"run {run.uid} has succeeded: there is nothing to retry")
    call.context.host.resume(run)
    return messages.empty()


def archive(call: Call) -> Reply:
    call.context.cairn.records.archive_run(writable(call).uid, archived=True)
    return messages.empty()


def unarchive(call: Call) -> Reply:
    """Raises Conflict below an archived experiment."""
    run = writable(call)
    if run.experiment:
        try:
            archived = call.context.cairn.experiments.experiment(run.experiment).archived
        except NotFound:
            archived = False
        if archived:
            raise Conflict("its experiment is archived", remedy="unarchive that first")
    call.context.cairn.records.archive_run(run.uid, archived=False)
    return messages.empty()


def delete(call: Call) -> Reply:
    """With its logs, and the artifacts that no other run refers to."""
    run = writable(call)
    if not run.state.terminal:
        raise Conflict(f"run {run.uid} has not ended", remedy="terminate it first")
    call.context.cairn.upkeep.delete(run)
    return messages.empty()


# --- parts -----------------------------------------------------------------------------------------------------------


def experiment_of(call: Call, id_: str) -> Experiment:
    """Where something is submitted to; without an id, the default one. Raises NotFound, PermissionDenied, Conflict."""
    if not id_:
        return call.context.cairn.experiments.default(scoping.writable(call, ""), call.identity.name)
    experiment = experiments.writable(call, id_)
    if experiment.archived:
        raise Conflict(f"experiment {experiment.name!r} is archived", remedy="unarchive it first")
    return experiment


def submission_of(call: Call, asked: dict[str, Any], experiment: Experiment) -> tuple[Pipeline, Submission]:
    """What a run, or each run of a recurring one, is made of. Raises InputRefused."""
    pipeline, reference = pipeline_of(call, asked)
    runtime = messages.message(asked.get("runtime_config", {}), _RUNTIME, "runtime_config")
    parameters = runtime.get("parameters", {})
    root = runtime.get("pipeline_root", "")
    check_bucket(call, root or pipeline.default_root, Role.EDITOR, "runtime_config.pipeline_root")
    said: dict[str, Any] = {"runtime_config": {"parameters": parameters, "pipeline_root": root}}
    if reference:
        said["pipeline_version_reference"] = reference
    if service_account := asked.get("service_account"):
        said["service_account"] = service_account
    settings = msgspec.structs.replace(call.context.cairn.run_settings(), detached=True)
    return pipeline, Submission(
        parameters,
        settings,
        project=experiment.project,
        location=experiment.location,
        display_name=asked.get("display_name", ""),
        description=asked.get("description", ""),
        pipeline_root=root,
        owner=call.identity.name,
        experiment=experiment.id,
        client={run_view.FACE: said},
        warnings=_warnings(asked),
    )


def pipeline_of(call: Call, asked: dict[str, Any]) -> tuple[Pipeline, dict[str, str]]:
    """The pipeline, and which uploaded one it is ({} for a spec that came along). Raises InputRefused, NotFound."""
    reference = messages.message(asked.get("pipeline_version_reference", {}), _REFERENCE, "pipeline_version_reference")
    version_id = reference.get("pipeline_version_id") or asked.get("pipeline_version_id", "")
    pipeline_id = reference.get("pipeline_id", "")
    if "pipeline_spec" in asked:
        if pipeline_id or version_id:
            raise InputRefused(
                "is given besides pipeline_spec: one of them is right", place="pipeline_version_reference"
            )
        return spec_json.read(asked["pipeline_spec"]), {}
    if not pipeline_id and not version_id:
        raise InputRefused("is missing, and so is pipeline_version_reference", place="pipeline_spec")
    service = call.context.cairn.pipelines
    if version_id:
        version = scoping.seen(call, lambda: service.version(pipeline_id, version_id), "pipeline version", version_id)
    else:
        scoping.seen(call, lambda: service.pipeline(pipeline_id), "pipeline", pipeline_id)
        version = service.latest(pipeline_id)
    told = {"pipeline_id": version.pipeline_id, "pipeline_version_id": version.id}
    return load_text(version.text, origin=f"pipeline version {version.name}"), told


def _warnings(asked: dict[str, Any]) -> tuple[str, ...]:
    found = []
    if asked.get("service_account"):
        found.append("the service account has no effect on this machine")
    if asked.get("plugins_input"):
        found.append(
            f"plugins_input has no effect: there is no plugin {', '.join(sorted(asked['plugins_input']))} here"
        )
    return tuple(found)


def readable(call: Call) -> Run:
    """The run that the path names. Raises NotFound."""
    return _named(call, scoping.seen)


def writable(call: Call) -> Run:
    """The run that the path names. Raises NotFound, PermissionDenied."""
    return _named(call, scoping.changed)


def _named(call: Call, how: Any) -> Run:
    """`how`: `scoping.seen` or `scoping.changed`."""
    id_ = call.variables["run_id"]
    run: Run = how(call, lambda: call.context.cairn.records.run(id_), "run", id_)
    if call.first("experiment_id") not in ("", run.experiment):
        raise NotFound(f"there is no run {id_!r} in experiment {call.first('experiment_id')[:80]!r}")
    return run


def _words(field: str, value: Scalar) -> Scalar:
    """States and storage states as the records have them."""
    if field == "state":
        found = _STATES.get(str(value).casefold())
    elif field == "archived":
        found = {"archived": "true", "available": "false"}.get(str(value).casefold())
    else:
        return value
    if found is None:
        raise InputRefused(
            f"{str(value)[:40]!r} is no {'state' if field == 'state' else 'storage state'}", place="filter"
        )
    return found


def _and(left: Filter | None, right: Filter) -> Filter:
    return right if left is None else And((left, right))
