"""PipelineService's pipeline jobs: runs, as Vertex names and orders them."""

from __future__ import annotations

import re
import time
from typing import Any

import msgspec

from cairn.api.access import Role
from cairn.api.http import Call
from cairn.api.named_buckets import check_bucket
from cairn.api.vertex import masks
from cairn.api.vertex.names import place_of, resource
from cairn.api.vertex.naming import requested_id
from cairn.api.vertex.pipeline_job_filter import read_filter, read_order
from cairn.api.vertex.pipeline_job_request import check_job_id, configuration_of, read_job, submission_of
from cairn.api.vertex.pipeline_job_view import job_detail, job_name, job_view, spec_of
from cairn.domain.ids import random_uid
from cairn.domain.runs import Run, RunKind
from cairn.errors import InputRefused, NotFound, WrongState

MESSAGE = "google.cloud.aiplatform.v1.PipelineJob"
DEFAULT_PAGE, MAX_PAGE = 100, 1000
MAX_BATCH = 32  # names in a batch, as the API says


def create(request: dict[str, Any], call: Call) -> dict[str, Any]:
    place = place_of(request.get("parent", ""))
    cairn = call.context.cairn
    request_id = requested_id(call)
    if request_id:
        known = cairn.records.requested_run(*place, request_id)
        if known is not None:
            return _full(call, known)
    job = request.get("pipelineJob") or {}
    check_bucket(call, job.get("templateUri", ""), Role.VIEWER, "pipelineJob.templateUri")
    pipeline = read_job(cairn, job)
    job_id = request.get("pipelineJobId", "")
    uid = random_uid()
    submission = submission_of(
        cairn,
        place,
        job,
        uid=uid,
        job_id=check_job_id(job_id) if job_id else _new_id(pipeline.name, uid),
        request_id=request_id,
        owner=call.identity.name,
        configuration=configuration_of(call.headers),
    )
    root = submission.pipeline_root or pipeline.default_root
    check_bucket(call, root, Role.EDITOR, "pipelineJob.runtimeConfig.gcsOutputDirectory")
    run = cairn.runs.submit(pipeline, submission)
    if run.uid == uid:  # else the same request has made it before
        call.context.host.offer(run, pipeline)
    return _full(call, run)


def get(request: dict[str, Any], call: Call) -> dict[str, Any]:
    return _full(call, _find(request.get("name", ""), call))


def list_(request: dict[str, Any], call: Call) -> dict[str, Any]:
    place = place_of(request.get("parent", ""))
    mask = request.get("readMask", "")
    size = request.get("pageSize", 0)
    if size < 0:
        raise InputRefused("a page has at least one entry", place="pageSize")
    text, order = request.get("filter", ""), request.get("orderBy", "")
    runs, token = call.context.cairn.records.page_runs(
        projects=[place.project],
        location=place.location,
        where=read_filter(text),
        orders=read_order(order),
        query=f"pipelineJobs\n{text}\n{order}",
        token=request.get("pageToken", ""),
        limit=min(size or DEFAULT_PAGE, MAX_PAGE),
    )
    specs: dict[str, msgspec.Raw] = {}
    wanted = {path[0] for path in masks.mask_paths(mask)} or {"pipelineSpec"}
    found = []
    for run in runs:
        if "pipelineSpec" in wanted and run.spec_digest not in specs:
            specs[run.spec_digest] = spec_of(call.context.cairn, run.spec_digest)
        detail = job_detail(call.context.cairn, run, tasks=False) if "jobDetail" in wanted else None
        found.append(masks.masked(MESSAGE, job_view(run, specs.get(run.spec_digest), detail), mask))
    answer: dict[str, Any] = {"pipelineJobs": found} if found else {}
    return {**answer, "nextPageToken": token} if token else answer


def cancel(request: dict[str, Any], call: Call) -> dict[str, Any]:
    """Ask for it: the job is CANCELLING, then CANCELLED, unless it ends first."""
    _cancel(_find(request.get("name", ""), call), call)
    return {}


def delete(request: dict[str, Any], call: Call) -> dict[str, Any]:
    _delete(_find(request.get("name", ""), call), call)
    return {}


def batch_cancel(request: dict[str, Any], call: Call) -> dict[str, Any]:
    """All or none are asked: a name that is not there, or has ended, refuses the batch."""
    runs = _batch(request, call)
    for run in runs:
        _check_open(run)
    for run in runs:
        _cancel(run, call)
    return {"pipelineJobs": [job_view(run) for run in _again(runs, call)]}


def batch_delete(request: dict[str, Any], call: Call) -> dict[str, Any]:
    """All or none: one that still runs refuses the batch."""
    runs = _batch(request, call)
    for run in runs:
        _check_ended(run)
    for run in runs:
        _delete(run, call)
    return {"pipelineJobs": [job_view(run) for run in runs]}


HANDLERS = {
    "PipelineService.CreatePipelineJob": create,
    "PipelineService.GetPipelineJob": get,
    "PipelineService.ListPipelineJobs": list_,
    "PipelineService.CancelPipelineJob": cancel,
    "PipelineService.DeletePipelineJob": delete,
    "PipelineService.BatchCancelPipelineJobs": batch_cancel,
    "PipelineService.BatchDeletePipelineJobs": batch_delete,
}


def _full(call: Call, run: Run) -> dict[str, Any]:
    if run.warnings:
        call.notes["x-cairn-warnings"] = _header("; ".join(run.warnings))
    cairn = call.context.cairn
    return job_view(run, spec_of(cairn, run.spec_digest), job_detail(cairn, run))


def _find(name: str, call: Call) -> Run:
    """By the job's id, or by the run's own. Raises NotFound."""
    place, job_id = resource(name, "pipelineJobs")
    run = call.context.cairn.records.run_by_job_id(place.project, place.location, job_id)
    if run is None or run.kind is not RunKind.PIPELINE:
        raise NotFound(f"there is no pipeline job {name!r}")
    return run


def _batch(request: dict[str, Any], call: Call) -> list[Run]:
    place = place_of(request.get("parent", ""))
    names = request.get("names") or []
    if not names:
        raise InputRefused("names no job", place="names")
    if len(names) > MAX_BATCH:
        raise InputRefused(f"{len(names)} are named; {MAX_BATCH} are the most", place="names")
    for index, name in enumerate(names):
        if resource(name, "pipelineJobs", f"names[{index}]")[0] != place:
            raise InputRefused(f"{name!r} is not in {place}", place=f"names[{index}]")
    return [_find(name, call) for name in dict.fromkeys(names)]


def _again(runs: list[Run], call: Call) -> list[Run]:
    return [call.context.cairn.records.run(run.uid) for run in runs]


def _cancel(run: Run, call: Call) -> None:
    _check_open(run)
    call.context.cairn.runs.cancel(run)


def _delete(run: Run, call: Call) -> None:
    _check_ended(run)
    call.context.cairn.upkeep.delete(run)


def _check_open(run: Run) -> None:
    if run.state.terminal:
        raise WrongState(f"has ended: PIPELINE_STATE_{run.state}", place=job_name(run))


def _check_ended(run: Run) -> None:
    if not run.state.terminal:
        raise WrongState(
            f"has not ended: PIPELINE_STATE_{run.state}", place=job_name(run), remedy="cancel it, then delete it"
        )


def _new_id(pipeline: str, uid: str) -> str:
    stem = re.sub(r"[^a-z0-9]+", "-", pipeline.lower()).strip("-")[:90] or "pipeline"
    return f"{stem}-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{uid[:6]}"


def _header(text: str) -> str:
    return text.encode("ascii", "replace").decode().replace("\n", " ")[:2000]
