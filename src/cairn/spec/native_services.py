"""What Google's pipeline components ask for: what Cairn does itself, what is to come, and what it does not have.

By the launcher's `--type`; components of the package that are no launchers, by their module. Source: the sources of
google-cloud-pipeline-components 1.0.44 and 2.22.0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

CUSTOM_JOB = "CustomJob"
TUNING_JOB = "HyperparameterTuningJob"
TUNING_JOB_WITH_METRICS = "HyperparameterTuningJobWithMetrics"
WAIT = "Wait"
SERVED = (CUSTOM_JOB, TUNING_JOB, TUNING_JOB_WITH_METRICS, WAIT)
OWN_COMMAND = "cairn-native"  # the command of a step of Cairn's own jobs
TUNE = "Tune"  # its `--type`: drives the trials of the tuning job whose run it is in

_REGISTRY = "the model registry and its endpoints, which come with a later version of Cairn"
_UNTIL_THEN = "until then, keep the model as an artifact of the step that trains it"
_COMING = {
    "UploadModel": _REGISTRY,
    "DeleteModel": _REGISTRY,
    "GetModel": _REGISTRY,
    "ExportModel": _REGISTRY,
    "CreateEndpoint": _REGISTRY,
    "DeleteEndpoint": _REGISTRY,
    "DeployModel": _REGISTRY,
    "UndeployModel": _REGISTRY,
    "BatchPredictionJob": "batch predictions, which come with a later version of Cairn",
    "InfraValidationJob": _REGISTRY,
}
_AUTOML = (
    "AutoML",
    "train a model of your own: CustomTrainingJobOp with a program, and HyperparameterTuningJobRunOp to tune it",
)
_BIGQUERY = (
    "BigQuery",
    "query it from a component of your own (google-cloud-bigquery, DuckDB), train with CustomTrainingJobOp",
)
_SPARK = ("Dataproc", "run Spark in a container component (pyspark with --master local[*])")
_BEAM = ("Dataflow", "run the Beam pipeline in a container component with --runner=DirectRunner")
_EMAIL = ("e-mail notifications", "`cairn run --notify URL|COMMAND`, or a component of your own in dsl.ExitHandler")
# (what a type begins with, the service, what could replace it)
_ABSENT: tuple[tuple[str, tuple[str, str]], ...] = (
    ("AutoML", _AUTOML),
    ("Bigquery", _BIGQUERY),
    ("Dataproc", _SPARK),
    ("Dataflow", _BEAM),
    ("VertexNotificationEmail", _EMAIL),
    ("VertexPromptValidation", ("prompt validation", "leave the step out")),
)
# Components that are no launchers, by what their module ends with or holds.
_MODULES: tuple[tuple[str, tuple[str, str]], ...] = (
    ("bigquery.", _BIGQUERY),
    ("dataproc.", _SPARK),
    ("dataflow", _BEAM),
    ("automl_training_job.", _AUTOML),
    ("notebooks.executor", ("notebook executions", "run the notebook with papermill in a component of your own")),
    ("vertex_notification_email.", _EMAIL),
    ("get_model", (_REGISTRY, _UNTIL_THEN)),
    ("import_model_evaluation", (_REGISTRY, "log the metrics as a system.Metrics or ClassificationMetrics artifact")),
    ("import_evaluated_annotation", (_REGISTRY, "log the metrics as a ClassificationMetrics artifact")),
    (
        "tensorboard_experiment_creator",
        ("the uploader of experiments", "give the training job a TensorBoard"),
    ),
    ("templated_custom_job.", ("Google's tuning of large language models", "train with CustomTrainingJobOp")),
)
_CLASS = re.compile(r"[A-Za-z]\w*")


def refusal_of(kind: str, module: str, words: Sequence[str]) -> tuple[str, str]:
    """(why it is refused, what to do instead); ("", "") for what is done here."""
    if kind in SERVED:
        return "", ""
    name = kind or module
    if kind in _COMING:
        return f"{name} needs {_COMING[kind]}", _UNTIL_THEN
    for beginning, (service, instead) in _ABSENT:
        if kind.startswith(beginning):
            return _absent(name, service), instead
    if module.endswith("remote_runner"):
        return _of_remote_runner(words)
    for part, (service, instead) in _MODULES:
        if part in module:
            if service == _REGISTRY:
                return f"{name} needs {_REGISTRY}", instead
            return _absent(name, service), instead
    return f"{name} needs a service of Google Cloud that Cairn does not have", "do it in a component of your own"


def _absent(name: str, service: str) -> str:
    return f"{name} needs {service}, which Cairn does not have"


def _of_remote_runner(words: Sequence[str]) -> tuple[str, str]:
    """Components that call a method of a class of the client: AutoML, datasets, endpoints."""
    given = dict(pairwise(words))
    cls, method = given.get("--cls_name", ""), given.get("--method_name", "")
    name = f"{cls}.{method}" if _CLASS.fullmatch(cls) else "this component"
    if cls.startswith("AutoML"):
        return _absent(name, _AUTOML[0]), _AUTOML[1]
    if "Dataset" in cls:
        return (
            _absent(name, "managed datasets"),
            "import the data as an artifact: dsl.importer with its URI",
        )
    if cls in ("Model", "Endpoint", "BatchPredictionJob"):
        return f"{name} needs {_REGISTRY}", _UNTIL_THEN
    return f"{name} needs a service of Google Cloud that Cairn does not have", "do it in a component of your own"
