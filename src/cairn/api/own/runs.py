"""Runs: list, show, submit, cancel, resume, delete, why, diff."""

from __future__ import annotations

import contextlib
from typing import Any, NoReturn

import msgspec

from cairn.api.access import Role
from cairn.api.http import Call
from cairn.api.named_buckets import check_bucket
from cairn.api.own import types
from cairn.api.own.operations import body_of, choice, integer
from cairn.domain.runs import Run, Submission
from cairn.domain.states import RunState
from cairn.engine import comparisons, differences, report
from cairn.errors import InputRefused, NotFound, PermissionDenied
from cairn.filters.runs import wanted_runs
from cairn.spec.load import load_text
from cairn.spec.types import Pipeline

PAGE = 100
MAX_PAGE = 1000


def find(call: Call, reference: str, role: Role = Role.VIEWER) -> Run:
    """A run by uid, its beginning, or job id, in any project that the identity may see.

    Raises NotFound also for another project's, PermissionDenied when `role` is not granted there.
    """
    run = _seen(call, reference)
    granted = call.identity.role_in(run.project)
    if granted < Role.VIEWER:
        raise NotFound(f"there is no run {reference!r}")
    if granted < role:
        raise PermissionDenied(f"needs the role {role.name.lower()} in project {run.project}")
    return run


def _seen(call: Call, reference: str) -> Run:
    """Looked for in each project that the identity may see: that several fit would tell of the others."""
    find_run, project, location = call.context.cairn.records.find_run, call.first("project"), call.first("location")
    visible = call.identity.projects
    if project or visible is None:
        return find_run(reference, project=project, location=location) if _open(visible, project) else _none(reference)
    found = []
    for name in sorted(visible):
        with contextlib.suppress(NotFound):
            found.append(find_run(reference, project=name, location=location))
    if len(found) > 1:
        places = ", ".join(f"{run.uid} in {run.project}" for run in found[:8])
        raise InputRefused(f"{reference!r} may be one of several runs: {places}", remedy="give a run's uid")
    return found[0] if found else _none(reference)


def _open(visible: frozenset[str] | None, project: str) -> bool:
    return visible is None or project in visible


def _none(reference: str) -> NoReturn:
    raise NotFound(f"there is no run {reference!r}")


def list_runs(call: Call) -> types.RunList:
    limit = integer(call, "page_size", PAGE, low=1, high=MAX_PAGE)
    state = choice(call, "state", list(RunState))
    project = call.first("project")
    visible = call.identity.projects
    if visible is not None:
        if project and project not in visible:
            raise NotFound(f"there is no project {project!r}")
        projects: frozenset[str] | None = frozenset({project}) if project else visible
    else:
        projects = frozenset({project}) if project else None
    found, token = call.context.cairn.records.page_runs(
        projects=projects,
        location=call.first("location"),
        where=wanted_runs([state] if state else [], call.first("pipeline"), {}),
        query=f"{state}/{call.first('pipeline')}",
        token=call.first("page_token"),
        limit=limit,
    )
    return types.RunList([summary(run) for run in found], token)


def summary(run: Run) -> types.RunSummary:
    return types.RunSummary(
        run.uid,
        run.job_id,
        run.project,
        run.location,
        run.pipeline_name,
        run.display_name,
        str(run.state),
        run.labels,
        run.create_time,
        run.start_time,
        run.end_time,
        _failure(run),
    )


def _failure(run: Run) -> types.Failure | None:
    error = run.error
    return None if error is None else types.Failure(error.message, error.kind, error.code, error.place, error.remedy)


def show(call: Call) -> dict[str, Any]:
    return detail(call, find(call, call.variables["run"]))


def detail(call: Call, run: Run) -> dict[str, Any]:
    """The object that `cairn run --json` prints."""
    cairn = call.context.cairn
    leaves = report.leaves(cairn.runs.pipeline_of(run), run, cairn.records.tasks(run.uid), cairn.store)
    return report.run_object(run, leaves, cairn.store)


def submit(call: Call) -> types.RunSummary:
    wanted: types.NewRun = body_of(call, types.NewRun)
    role = call.identity.role_in(wanted.project)
    if role is Role.NONE:
        raise NotFound(f"there is no project {wanted.project!r}")
    if role < Role.EDITOR:
        raise PermissionDenied(f"needs the role editor in project {wanted.project}")
    cairn = call.context.cairn
    pipeline = read_pipeline(wanted.pipeline)
    check_bucket(call, wanted.pipeline_root or pipeline.default_root, Role.EDITOR, "pipeline_root")
    settings = cairn.run_settings()
    if wanted.cache is not None:
        settings = msgspec.structs.replace(settings, use_cache=wanted.cache)
    if wanted.failure_policy:
        settings = msgspec.structs.replace(settings, failure_policy=wanted.failure_policy)
    submission = Submission(
        wanted.parameters,
        msgspec.structs.replace(settings, detached=True),
        project=wanted.project,
        location=wanted.location,
        job_id=wanted.job_id,
        display_name=wanted.display_name,
        labels=wanted.labels,
        request_id=wanted.request_id,
        pipeline_root=wanted.pipeline_root,
        owner=call.identity.name,
    )
    run = cairn.runs.submit(pipeline, submission)
    call.context.host.offer(run, pipeline)
    return summary(run)


def read_pipeline(given: dict[str, Any] | str) -> Pipeline:
    """Raises SpecError."""
    text = given if isinstance(given, str) else msgspec.json.encode(given).decode()
    return load_text(text, origin="pipeline")


def cancel(call: Call) -> types.RunSummary:
    wanted: types.Cancellation = body_of(call, types.Cancellation)
    run = find(call, call.variables["run"], Role.EDITOR)
    call.context.cairn.runs.cancel(run, kill=wanted.kill)
    return summary(run)


def resume(call: Call) -> types.RunSummary:
    wanted: types.Resumption = body_of(call, types.Resumption)
    run = find(call, call.variables["run"], Role.EDITOR)
    if not run.state.terminal:
        raise InputRefused(f"run {run.job_id} has not ended: {run.state}")
    pipeline = read_pipeline(wanted.pipeline) if wanted.pipeline is not None else None
    call.context.host.resume(run, pipeline)
    return summary(call.context.cairn.records.run(run.uid))


def delete(call: Call) -> dict[str, Any]:
    run = find(call, call.variables["run"], Role.EDITOR)
    return {"deleted": run.uid, "bytes_freed": call.context.cairn.upkeep.delete(run)}


def why(call: Call) -> dict[str, Any]:
    run = find(call, call.variables["run"])
    path = _wanted(call, "task")
    records = call.context.cairn.records
    record = next((one for one in records.tasks(run.uid) if one.path == path), None)
    if record is None:
        raise NotFound(f"run {run.job_id} has no task {path!r}")
    return comparisons.why(records, run, record)


def diff(call: Call) -> dict[str, Any]:
    first = find(call, call.variables["run"])
    second = find(call, _wanted(call, "with"))
    return {"a": first.uid, "b": second.uid, **differences.between(call.context.cairn.runs, first, second)}


def _wanted(call: Call, name: str) -> str:
    value = call.first(name)
    if not value:
        raise InputRefused("is missing", place=name)
    return value
