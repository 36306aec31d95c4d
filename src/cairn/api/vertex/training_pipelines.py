"""PipelineService's training pipelines: a custom job under a second name.

Source: `google.cloud.aiplatform.v1` TrainingPipeline; the inputs of a custom task are a CustomJobSpec
(gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cairn.api.http import Call
from cairn.api.vertex import codec
from cairn.api.vertex.experiment_runs import experiment_run
from cairn.api.vertex.job_runs import FIELDS, Resource, check_job_spec, naming, note_warnings, settings_of, told_back
from cairn.api.vertex.job_view import PIPELINE_STATE, TRAINING_PIPELINE, TRAINING_PIPELINES, training_pipeline_view
from cairn.api.vertex.names import place_of
from cairn.api.vertex.pipeline_job_request import whole
from cairn.api.vertex.run_filter import RunFilter
from cairn.api.vertex.training_data import data_variables
from cairn.domain.runs import Run, RunKind
from cairn.errors import InputRefused, UnsupportedFeature

CUSTOM_TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
_DEFINITION = re.compile(r"gs://google-cloud-aiplatform/schema/trainingjob/definition/(\w+?)_\d+\.\d+\.\d+\.yaml")
_SPEC = "google.cloud.aiplatform.v1.CustomJobSpec"
_INPUTS = "trainingPipeline.trainingTaskInputs"
# What Cairn does not train by itself, and what could: the first part of the definition's name that fits.
_INSTEAD = (
    ("hyperparameter_tuning", "create a HyperparameterTuningJob"),
    ("tabular", "train with scikit-learn, XGBoost or AutoGluon in a CustomTrainingJob"),
    ("tables", "train with scikit-learn, XGBoost or AutoGluon in a CustomTrainingJob"),
    ("forecasting", "train with StatsForecast, NeuralForecast or Darts in a CustomTrainingJob"),
    ("image", "fine-tune a torchvision or timm model in a CustomTrainingJob"),
    ("video", "fine-tune a PyTorchVideo model in a CustomTrainingJob"),
    ("text", "fine-tune a Transformers model in a CustomTrainingJob"),
    ("", "train in a CustomTrainingJob"),
)


def _view(run: Run, call: Call) -> dict[str, Any]:  # noqa: ARG001
    return training_pipeline_view(run)


RESOURCE = Resource(
    collection=TRAINING_PIPELINES,
    field="trainingPipeline",
    message="google.cloud.aiplatform.v1.TrainingPipeline",
    noun="training pipeline",
    kinds=(RunKind.TRAINING_PIPELINE,),
    listed=(RunKind.TRAINING_PIPELINE,),
    filter=RunFilter(FIELDS, PIPELINE_STATE, {"training_task_definition": CUSTOM_TASK}),
    view=_view,
)


def create(request: dict[str, Any], call: Call) -> dict[str, Any]:
    place = place_of(request.get("parent", ""))
    request_id = RESOURCE.request_id(call)
    known = RESOURCE.asked_before(place, request_id, call)
    if known is not None:
        return training_pipeline_view(known)
    given = request.get("trainingPipeline") or {}
    RESOURCE.check(given)
    _check_task(given.get("trainingTaskDefinition", ""))
    _check_model(given)
    spec = codec.parse(_SPEC, _inputs(given.get("trainingTaskInputs")), _INPUTS)
    check_job_spec(spec, _INPUTS, place, call)
    experiment = experiment_run(call.context.cairn, place, spec, _INPUTS)
    if experiment is not None:
        spec["experimentRun"] = experiment.name
    told = told_back(
        given, "displayName", "inputDataConfig", "trainingTaskDefinition", "trainingTaskInputs", "encryptionSpec"
    )
    with naming("trainingPipeline", _INPUTS):
        created = call.context.cairn.jobs.create(
            {**told_back(given, "displayName", "labels", "encryptionSpec"), "jobSpec": spec},
            project=place.project,
            location=place.location,
            request_id=request_id,
            owner=call.identity.name,
            settings=settings_of(call),
            kind=RunKind.TRAINING_PIPELINE,
            environment=data_variables(given.get("inputDataConfig"), call),
            client={TRAINING_PIPELINE: told},
        )
    if created.new:
        if experiment is not None:
            experiment.record(call.context.cairn)
        call.context.host.offer(created.run, created.pipeline)
    note_warnings(created.run, call)
    return training_pipeline_view(created.run)


HANDLERS = {
    "PipelineService.CreateTrainingPipeline": create,
    "PipelineService.GetTrainingPipeline": RESOURCE.get,
    "PipelineService.ListTrainingPipelines": RESOURCE.list_,
    "PipelineService.CancelTrainingPipeline": RESOURCE.cancel,
    "PipelineService.DeleteTrainingPipeline": RESOURCE.delete,
}


def _check_task(definition: str) -> None:
    place = "trainingPipeline.trainingTaskDefinition"
    found = _DEFINITION.fullmatch(definition)
    if found is None:
        raise InputRefused(f"{definition[:200]!r} is no training task", place=place, remedy=CUSTOM_TASK)
    if found[1] != "custom_task":
        instead = next(remedy for part, remedy in _INSTEAD if part in found[1])
        raise UnsupportedFeature(f"Cairn does not have {found[1]}", place=place, remedy=instead)


def _check_model(given: Mapping[str, Any]) -> None:
    for field in ("modelToUpload", "modelId", "parentModel"):
        if given.get(field):
            raise UnsupportedFeature(
                "the trained model cannot be uploaded: this version of Cairn has no model registry",
                place=f"trainingPipeline.{field}",
                remedy="leave out the serving container; the model stays in the directory that AIP_MODEL_DIR names",
            )


def _inputs(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise InputRefused("is required: the job's worker pools", place=_INPUTS)
    found: dict[str, Any] = whole(value)
    return found
