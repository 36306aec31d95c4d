"""Tune a small network that reads handwritten digits, train it with the best parameters, and decide whether it is good.

    cairn run examples/tuning/pipeline.py --image '*/trainer:*=project:examples/tuning/trainer'

The shape of a production training pipeline, written with the public packages only: it compiles with `kfp dsl compile`
and runs unchanged on Vertex AI, where `data`, `image` and the pipeline root name things of one's own. See README.md.
"""

from pathlib import Path
from typing import NamedTuple

from google.cloud.aiplatform import hyperparameter_tuning as tuning
from google_cloud_pipeline_components.v1.custom_job import CustomTrainingJobOp
from google_cloud_pipeline_components.v1.hyperparameter_tuning_job import (
    HyperparameterTuningJobRunOp,
    serialize_metrics,
    serialize_parameters,
)
from kfp import dsl
from kfp.dsl import Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

DIGITS = str(Path(__file__).resolve().parent / "data" / "digits.csv")
METRIC = {"validation_accuracy": "maximize"}
SEARCH = {
    "learning_rate": tuning.DoubleParameterSpec(min=1e-4, max=1e-1, scale="log"),
    "activation": tuning.CategoricalParameterSpec(values=["relu", "tanh", "logistic"]),
    "neurons": tuning.CategoricalParameterSpec(values=["16", "32", "64", "128"]),
    "dropout": tuning.CategoricalParameterSpec(values=["0.0", "0.2", "0.5"]),
}
# One thread for each training: so small a network is not trained faster by more, and the sums are taken in one order.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
THRESHOLDS = {"accuracy": 0.93, "recall": 0.92}
# Where jobs put what they make: a place of this run's own, which lies in the pipeline root.
JOBS = f"{dsl.PIPELINE_ROOT_PLACEHOLDER}/jobs/{dsl.PIPELINE_JOB_NAME_PLACEHOLDER}"

# One list of packages for several steps, so that one environment is built and shared.
plain = dsl.component(base_image="python:3.11")
numeric = dsl.component(base_image="python:3.11", packages_to_install=["numpy==2.4.1", "scikit-learn==1.9.1"])
asking = dsl.component(base_image="python:3.11", packages_to_install=["google-cloud-aiplatform==1.165.1"])


@numeric
def prepare(data: Input[Dataset], test_share: float, seed: int, train: Output[Dataset], test: Output[Dataset]):
    """Pixels between 0 and 1; each digit has the same share in both sets."""
    import numpy as np
    from sklearn.model_selection import train_test_split

    table = np.loadtxt(data.path, delimiter=",", skiprows=1, dtype=int)
    images, digits = table[:, :-1] / 16, table[:, -1]
    sets = train_test_split(images, digits, test_size=test_share, random_state=seed, stratify=digits)
    for artifact, pixels, truth in ((train, sets[0], sets[2]), (test, sets[1], sets[3])):
        with open(artifact.path, "wb") as file:
            np.savez_compressed(file, images=pixels, digits=truth)
        artifact.metadata["classes"] = [str(digit) for digit in np.unique(digits)]
        artifact.metadata["rows"] = len(truth)
    print(f"{len(sets[2])} images to train on, {len(sets[3])} to test with")


@plain
def trainer_arguments(train: Input[Dataset], epochs: int, batch_size: int, seed: int) -> dict:
    """As texts: a service gives a number in a dictionary back as a fraction."""
    return {
        "train_data": train.path,
        "epochs": str(epochs),
        "batch_size": str(batch_size),
        "seed": str(seed),
    }


@plain
def worker_pools(image: str, machine_type: str, arguments: dict, hyperparameters: dict, environment: dict) -> list:
    """One replica. Where there is a tuning job, it adds each trial's parameters to the arguments."""
    given = {**arguments, **hyperparameters}
    return [
        {
            "machine_spec": {"machine_type": machine_type},
            "replica_count": 1,
            "container_spec": {
                "image_uri": image,
                "command": ["python", "train.py"],
                "args": [f"--{name}={value}" for name, value in given.items()],
                "env": [{"name": name, "value": value} for name, value in environment.items()],
            },
        }
    ]


@asking
def best_parameters(tuning_job: str, metric: str, location: str, trials: Output[Artifact]) -> NamedTuple(
    "Best", [("parameters", dict), ("value", float)]
):
    """Of the trial with the highest metric; the earliest of equal ones."""
    import json
    from collections import namedtuple

    from google.cloud.aiplatform_v1 import JobServiceClient, Trial

    [resource] = json.loads(tuning_job)["resources"]
    name = resource["resourceUri"].partition("/v1/")[2]
    client = JobServiceClient(client_options={"api_endpoint": f"{location}-aiplatform.googleapis.com"})
    job = client.get_hyperparameter_tuning_job(name=name)

    table = []
    for trial in job.trials:
        measured = {each.metric_id: each.value for each in trial.final_measurement.metrics}
        if trial.state == Trial.State.SUCCEEDED and metric in measured:
            found = {each.parameter_id: str(each.value) for each in trial.parameters}
            table.append({"trial": int(trial.id), "value": measured[metric], "parameters": found})
    if not table:
        raise SystemExit(f"no trial of {name} has reported {metric}")
    table.sort(key=lambda row: (-row["value"], row["trial"]))
    for row in table:
        print(row["trial"], f"{row['value']:.4f}", row["parameters"])
    with open(trials.path, "w") as file:
        json.dump(table, file)
    return namedtuple("Best", ["parameters", "value"])(table[0]["parameters"], table[0]["value"])


@asking
def collect(
    training_job: str,
    location: str,
    model: Output[Model],
    checkpoints: Output[Artifact],
    metrics: Output[Metrics],
):
    """What the job has left in its base output directory, as artifacts where they lie."""
    import json

    from google.cloud.aiplatform_v1 import JobServiceClient

    [resource] = json.loads(training_job)["resources"]
    name = resource["resourceUri"].partition("/v1/")[2]
    client = JobServiceClient(client_options={"api_endpoint": f"{location}-aiplatform.googleapis.com"})
    base = client.get_custom_job(name=name).job_spec.base_output_directory.output_uri_prefix.rstrip("/")

    model.uri, checkpoints.uri, metrics.uri = f"{base}/model", f"{base}/checkpoints", f"{base}/model/metrics.json"
    model.metadata.update(framework="numpy", training_job=name)
    with open(metrics.path) as file:
        for key, value in json.load(file).items():
            metrics.log_metric(key, value)


@numeric
def evaluate(
    model: Input[Model], test: Input[Dataset], metrics: Output[Metrics], confusion: Output[ClassificationMetrics]
) -> dict:
    """On images that neither tuning nor training has seen. Precision, recall and F1 are means over the digits."""
    import numpy as np
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

    with np.load(test.path) as data:
        images, truth = data["images"], data["digits"]
    with np.load(f"{model.path}/model.npz") as saved:
        inner = images @ saved["hidden"] + saved["hidden_bias"]
        activate = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh, "logistic": lambda x: 1 / (1 + np.exp(-x))}
        answers = (activate[str(saved["activation"])](inner) @ saved["output"] + saved["output_bias"]).argmax(axis=1)

    precision, recall, f1, _ = precision_recall_fscore_support(truth, answers, average="macro", zero_division=0)
    scores = {
        "accuracy": float(accuracy_score(truth, answers)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
    }
    for name, value in scores.items():
        metrics.log_metric(name, value)
    classes = [str(name) for name in test.metadata["classes"]]
    confusion.log_confusion_matrix(classes, confusion_matrix(truth, answers, labels=range(len(classes))).tolist())
    print(", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    return scores


@plain
def judge(scores: dict, thresholds: dict) -> str:
    short = [f"{name} {scores[name]:.4f} < {least}" for name, least in thresholds.items() if scores[name] < least]
    print("good enough" if not short else "not good enough: " + ", ".join(short))
    return "refuse" if short else "accept"


@plain
def accept(model: Input[Model], scores: dict, accepted: Output[Model]) -> str:
    """The same files, with what was found of them. (Register and deploy them from here.)"""
    accepted.uri = model.uri
    accepted.metadata.update(model.metadata)
    accepted.metadata.update(scores)
    return "accepted"


@plain
def refuse(scores: dict) -> str:
    return f"refused with an accuracy of {scores['accuracy']:.4f}"


class Result(NamedTuple):
    decision: str
    parameters: dict
    scores: dict


@dsl.pipeline(
    name="digits",
    description="Prepare, tune, train with the best parameters, evaluate, decide.",
    pipeline_root="gs://digits/pipelines",
)
def digits(
    data: str = DIGITS,
    image: str = "europe-docker.pkg.dev/demo/digits/trainer:1.0.0",
    machine_type: str = "n1-standard-4",
    location: str = "us-central1",
    trials: int = 6,
    parallel_trials: int = 2,
    epochs: int = 30,
    batch_size: int = 32,
    test_share: float = 0.25,
    seed: int = 7,
    environment: dict = ENVIRONMENT,
    thresholds: dict = THRESHOLDS,
) -> Result:
    table = dsl.importer(artifact_uri=data, artifact_class=Dataset, reimport=False)
    sets = prepare(data=table.output, test_share=test_share, seed=seed)
    arguments = trainer_arguments(train=sets.outputs["train"], epochs=epochs, batch_size=batch_size, seed=seed)

    trial_pools = worker_pools(
        image=image, machine_type=machine_type, arguments=arguments.output, hyperparameters={}, environment=environment
    ).set_display_name("trial-pools")
    tuned = HyperparameterTuningJobRunOp(
        display_name="digits-tuning",
        location=location,
        base_output_directory=f"{JOBS}/tuning",
        worker_pool_specs=trial_pools.output,
        study_spec_metrics=serialize_metrics(METRIC),
        study_spec_parameters=serialize_parameters(SEARCH),
        study_spec_measurement_selection_type="LAST_MEASUREMENT",
        max_trial_count=trials,
        parallel_trial_count=parallel_trials,
    )
    best = best_parameters(tuning_job=tuned.outputs["gcp_resources"], metric=next(iter(METRIC)), location=location)

    pools = worker_pools(
        image=image,
        machine_type=machine_type,
        arguments=arguments.output,
        hyperparameters=best.outputs["parameters"],
        environment=environment,
    )
    trained = CustomTrainingJobOp(
        display_name="digits-training",
        location=location,
        base_output_directory=f"{JOBS}/training",
        worker_pool_specs=pools.output,
    )
    made = collect(training_job=trained.outputs["gcp_resources"], location=location)

    scores = evaluate(model=made.outputs["model"], test=sets.outputs["test"])
    verdict = judge(scores=scores.outputs["Output"], thresholds=thresholds)
    with dsl.If(verdict.output == "accept", name="good-enough"):
        accepted = accept(model=made.outputs["model"], scores=scores.outputs["Output"])
    with dsl.Else(name="not-good-enough"):
        refused = refuse(scores=scores.outputs["Output"])

    return Result(
        decision=dsl.OneOf(accepted.outputs["Output"], refused.output),
        parameters=best.outputs["parameters"],
        scores=scores.outputs["Output"],
    )
