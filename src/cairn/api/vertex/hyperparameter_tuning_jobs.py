"""JobService's hyperparameter tuning jobs: runs whose one step tries what its study suggests (`cairn.jobs.tuning_jobs`,
`cairn.tuning`)."""

from __future__ import annotations

from typing import Any

from cairn.api.http import Call
from cairn.api.vertex.job_runs import FIELDS, Resource, check_job_spec, naming, note_warnings, settings_of, told_back
from cairn.api.vertex.job_view import JOB_STATE, what_ran
from cairn.api.vertex.names import place_of
from cairn.api.vertex.run_filter import RunFilter
from cairn.api.vertex.study_view import trial_view
from cairn.domain.runs import Run, RunKind
from cairn.errors import NotFound
from cairn.jobs.service import JOB
from cairn.jobs.tuning_jobs import STUDY

TUNING_JOBS = "hyperparameterTuningJobs"
_TOLD = (
    "displayName", "studySpec", "maxTrialCount", "parallelTrialCount", "maxFailedTrialCount", "trialJobSpec", "labels",
    "encryptionSpec",
)  # fmt: skip


def _view(run: Run, call: Call) -> dict[str, Any]:  # noqa: ARG001
    """Without trials, as lists have it by the API."""
    told = {name: value for name, value in run.client.get(JOB, {}).items() if name not in ("displayName", "labels")}
    return {**what_ran(run, TUNING_JOBS, JOB_STATE), **told}


def _full(run: Run, call: Call) -> dict[str, Any]:
    studies = call.context.cairn.studies
    found = _view(run, call)
    try:
        study = studies.get(run.client.get(STUDY, ""), project=run.project, location=run.location)
    except NotFound:
        return found  # it has not begun
    trials = [trial_view(one) for one in studies.trials(study)]
    return {**found, "trials": trials} if trials else found


RESOURCE = Resource(
    collection=TUNING_JOBS,
    field="hyperparameterTuningJob",
    message="google.cloud.aiplatform.v1.HyperparameterTuningJob",
    noun="hyperparameter tuning job",
    kinds=(RunKind.TUNING_JOB,),
    listed=(RunKind.TUNING_JOB,),
    filter=RunFilter(FIELDS, JOB_STATE),
    view=_view,
)


def create(request: dict[str, Any], call: Call) -> dict[str, Any]:
    place = place_of(request.get("parent", ""))
    request_id = RESOURCE.request_id(call)
    known = RESOURCE.asked_before(place, request_id, call)
    if known is not None:
        return _full(known, call)
    message = told_back(request.get(RESOURCE.field) or {}, *_TOLD)
    RESOURCE.check(message)
    check_job_spec(message.get("trialJobSpec"), f"{RESOURCE.field}.trialJobSpec", place, call)
    with naming(RESOURCE.field, f"{RESOURCE.field}.trialJobSpec"):
        created = call.context.cairn.tuning_jobs.create(
            message,
            project=place.project,
            location=place.location,
            request_id=request_id,
            owner=call.identity.name,
            settings=settings_of(call),
        )
    if created.new:
        call.context.host.offer(created.run, created.pipeline)
    note_warnings(created.run, call)
    return _full(created.run, call)


def get(request: dict[str, Any], call: Call) -> dict[str, Any]:
    return _full(RESOURCE.find(request.get("name", ""), call), call)


HANDLERS = {
    "JobService.CreateHyperparameterTuningJob": create,
    "JobService.GetHyperparameterTuningJob": get,
    "JobService.ListHyperparameterTuningJobs": RESOURCE.list_,
    "JobService.CancelHyperparameterTuningJob": RESOURCE.cancel,
    "JobService.DeleteHyperparameterTuningJob": RESOURCE.delete,
}
