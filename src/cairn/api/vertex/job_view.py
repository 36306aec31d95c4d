"""A run as aiplatform.v1 `CustomJob` and `TrainingPipeline`, canonical JSON. Both may be the same run."""

from __future__ import annotations

from typing import Any

from cairn.api.vertex.names import Place
from cairn.api.vertex.pipeline_job_view import status
from cairn.api.vertex.times import put
from cairn.domain.runs import Run
from cairn.domain.states import RunState
from cairn.jobs.service import JOB

CUSTOM_JOBS, TRAINING_PIPELINES = "customJobs", "trainingPipelines"
TRAINING_PIPELINE = "trainingPipeline"  # in Run.client: the message as it was given
JOB_STATE, PIPELINE_STATE = "JOB_STATE_", "PIPELINE_STATE_"
_CANCELLED = {"code": 1, "message": "the job was cancelled"}


def resource_name(run: Run, collection: str) -> str:
    return f"{Place(run.project, run.location)}/{collection}/{run.job_id}"


def custom_job_view(run: Run) -> dict[str, Any]:
    """Of a job whatever it was made for: by itself, for a training pipeline, a trial, or a pipeline's step."""
    told = {name: value for name, value in run.client.get(JOB, {}).items() if name not in ("displayName", "labels")}
    return {**what_ran(run, CUSTOM_JOBS, JOB_STATE), **told}


def training_pipeline_view(run: Run) -> dict[str, Any]:
    told = dict(run.client.get(TRAINING_PIPELINE, {}))
    told["trainingTaskMetadata"] = {"backingCustomJob": resource_name(run, CUSTOM_JOBS)}
    return {**what_ran(run, TRAINING_PIPELINES, PIPELINE_STATE), **told}


def what_ran(run: Run, collection: str, prefix: str) -> dict[str, Any]:
    """What every kind of job tells of its run."""
    found: dict[str, Any] = {
        "name": resource_name(run, collection),
        "displayName": run.display_name,
        "state": f"{prefix}{run.state}",
    }
    put(
        found,
        createTime=run.create_time,
        startTime=run.start_time,
        endTime=run.end_time,
        updateTime=max(run.update_time, run.create_time),
    )
    error = status(run.error)
    if error is None and run.state is RunState.CANCELLED:
        error = _CANCELLED
    if error is not None and run.state in (RunState.FAILED, RunState.CANCELLED):
        found["error"] = error
    if run.labels:
        found["labels"] = run.labels
    return found
