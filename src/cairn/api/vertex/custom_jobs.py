"""JobService's custom jobs: runs of one step (`cairn.jobs`)."""

from __future__ import annotations

from typing import Any

from cairn.api.http import Call
from cairn.api.vertex.experiment_runs import experiment_run
from cairn.api.vertex.job_runs import FIELDS, Resource, check_job_spec, naming, note_warnings, settings_of, told_back
from cairn.api.vertex.job_view import CUSTOM_JOBS, JOB_STATE, custom_job_view
from cairn.api.vertex.names import place_of
from cairn.api.vertex.run_filter import RunFilter
from cairn.domain.runs import Run, RunKind
from cairn.jobs.service import KINDS


def _view(run: Run, call: Call) -> dict[str, Any]:  # noqa: ARG001
    return custom_job_view(run)


RESOURCE = Resource(
    collection=CUSTOM_JOBS,
    field="customJob",
    message="google.cloud.aiplatform.v1.CustomJob",
    noun="custom job",
    kinds=KINDS,
    listed=(RunKind.CUSTOM_JOB, RunKind.TRAINING_PIPELINE),  # a trial's stand in its tuning job
    filter=RunFilter(FIELDS, JOB_STATE),
    view=_view,
)


def create(request: dict[str, Any], call: Call) -> dict[str, Any]:
    place = place_of(request.get("parent", ""))
    request_id = RESOURCE.request_id(call)
    known = RESOURCE.asked_before(place, request_id, call)
    if known is not None:
        return custom_job_view(known)
    message = told_back(request.get("customJob") or {}, "displayName", "jobSpec", "labels", "encryptionSpec")
    RESOURCE.check(message)
    check_job_spec(message.get("jobSpec"), "customJob.jobSpec", place, call)
    experiment = experiment_run(call.context.cairn, place, message["jobSpec"], "customJob.jobSpec")
    if experiment is not None:
        message["jobSpec"] = {**message["jobSpec"], "experimentRun": experiment.name}
    with naming("customJob", "customJob.jobSpec"):
        created = call.context.cairn.jobs.create(
            message,
            project=place.project,
            location=place.location,
            request_id=request_id,
            owner=call.identity.name,
            settings=settings_of(call),
        )
    if created.new:
        if experiment is not None:
            experiment.record(call.context.cairn)
        call.context.host.offer(created.run, created.pipeline)
    note_warnings(created.run, call)
    return custom_job_view(created.run)


HANDLERS = {
    "JobService.CreateCustomJob": create,
    "JobService.GetCustomJob": RESOURCE.get,
    "JobService.ListCustomJobs": RESOURCE.list_,
    "JobService.CancelCustomJob": RESOURCE.cancel,
    "JobService.DeleteCustomJob": RESOURCE.delete,
}
