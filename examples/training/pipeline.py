"""Train a classifier on real measurements, and publish it only if it beats a baseline.

    cairn run examples/training/pipeline.py
    cairn run examples/training/pipeline.py fence=2 minimum_gain=0.5

A plain KFP v2 pipeline: `kfp dsl compile` compiles it, and it runs unchanged on Kubeflow Pipelines and on Vertex AI
Pipelines, where `data` names an object of theirs.
"""

from pathlib import Path
from typing import NamedTuple

from kfp import dsl
from kfp.dsl import ClassificationMetrics, Dataset, Input, Markdown, Metrics, Model, Output

MEASUREMENTS = str(Path(__file__).resolve().parent / "data" / "breast_cancer.csv")

# One list for every step, so that one environment is built and shared.
step = dsl.component(
    base_image="python:3.11",
    packages_to_install=["pandas==3.1.1", "scikit-learn==1.9.1"],
)


@step
def remove_outliers(
    measurements: Input[Dataset], fence: float, label: str, kept: Output[Dataset], outliers: Output[Dataset]
) -> NamedTuple("Rows", [("kept_rows", int), ("outlier_rows", int)]):
    """A row is an outlier when a measurement lies more than `fence` interquartile ranges outside the quartiles.

    The measurements are positive and skewed, so they are judged on a logarithmic scale.
    """
    from collections import namedtuple

    import numpy as np
    import pandas as pd

    table = pd.read_csv(measurements.path)
    logs = np.log1p(table.drop(columns=label))
    low, high = logs.quantile(0.25), logs.quantile(0.75)
    reach = fence * (high - low)
    outside = (logs < low - reach) | (logs > high + reach)
    strange = outside.any(axis=1)

    table[~strange].to_csv(kept.path, index=False)
    found = table[strange].copy()
    found.insert(0, "outside_the_fence", [", ".join(outside.columns[row]) for row in outside[strange].to_numpy()])
    found.to_csv(outliers.path, index_label="row")
    for part, rows in ((kept, ~strange), (outliers, strange)):
        part.metadata["rows"] = int(rows.sum())
    print(f"{len(found)} of {len(table)} rows are outliers; most often in:")
    print(outside.sum().sort_values(ascending=False).head(5).to_string())
    return namedtuple("Rows", ["kept_rows", "outlier_rows"])(int((~strange).sum()), len(found))


@step
def split(
    table: Input[Dataset],
    label: str,
    evaluation_share: float,
    seed: int,
    training: Output[Dataset],
    evaluation: Output[Dataset],
):
    """Each diagnosis has the same share in both sets."""
    import pandas as pd
    from sklearn.model_selection import train_test_split

    rows = pd.read_csv(table.path)
    parts = train_test_split(rows, test_size=evaluation_share, random_state=seed, stratify=rows[label])
    for part, artifact in zip(parts, (training, evaluation), strict=True):
        part.to_csv(artifact.path, index=False)
        artifact.metadata["rows"] = len(part)
    print(f"{len(parts[0])} rows to train on, {len(parts[1])} to evaluate with")


@step
def train(training: Input[Dataset], label: str, regularisation: float, model: Output[Model]):
    import joblib
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = pd.read_csv(training.path)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=1 / regularisation, max_iter=1000))
    classifier.fit(rows.drop(columns=label), rows[label])
    joblib.dump(classifier, model.path)
    model.metadata["framework"] = "scikit-learn"
    model.metadata["trained_on_rows"] = len(rows)


@step
def evaluate(
    model: Input[Model],
    training: Input[Dataset],
    evaluation: Input[Dataset],
    label: str,
    positive: str,
    metrics: Output[Metrics],
    curves: Output[ClassificationMetrics],
) -> NamedTuple("Scores", [("accuracy", float), ("baseline_accuracy", float)]):
    """The baseline always answers with the diagnosis that is the more frequent one in the training set."""
    from collections import namedtuple

    import joblib
    import pandas as pd
    from sklearn.dummy import DummyClassifier
    from sklearn.metrics import accuracy_score, confusion_matrix, recall_score, roc_auc_score, roc_curve

    known, unseen = pd.read_csv(training.path), pd.read_csv(evaluation.path)
    features, truth = unseen.drop(columns=label), unseen[label]
    classifier = joblib.load(model.path)
    baseline = DummyClassifier(strategy="most_frequent").fit(known.drop(columns=label), known[label])

    answers = classifier.predict(features)
    certainty = classifier.predict_proba(features)[:, list(classifier.classes_).index(positive)]
    accuracy = float(accuracy_score(truth, answers))
    baseline_accuracy = float(accuracy_score(truth, baseline.predict(features)))
    metrics.log_metric("accuracy", accuracy)
    metrics.log_metric("baseline_accuracy", baseline_accuracy)
    metrics.log_metric("recall_" + positive, float(recall_score(truth, answers, pos_label=positive)))
    metrics.log_metric("roc_auc", float(roc_auc_score(truth == positive, certainty)))

    classes = [str(name) for name in classifier.classes_]
    curves.log_confusion_matrix(classes, confusion_matrix(truth, answers, labels=classes).tolist())
    false_positive, true_positive, threshold = roc_curve(truth == positive, certainty)
    threshold[0] = 1.0  # infinity, which JSON does not know
    curves.log_roc_curve(false_positive.tolist(), true_positive.tolist(), threshold.tolist())
    print(f"accuracy {accuracy:.3f}, baseline {baseline_accuracy:.3f}")
    return namedtuple("Scores", ["accuracy", "baseline_accuracy"])(accuracy, baseline_accuracy)


@step
def quality_gate(accuracy: float, baseline_accuracy: float, minimum_gain: float) -> str:
    gain = accuracy - baseline_accuracy
    verdict = "pass" if gain >= minimum_gain else "refuse"
    print(f"{verdict}: a gain of {gain:.3f} over the baseline, {minimum_gain:.3f} is asked")
    return verdict


@step
def publish(model: Input[Model], metrics: Input[Metrics], published: Output[Model], card: Output[Markdown]):
    import shutil
    from pathlib import Path

    shutil.copyfile(model.path, published.path)
    published.metadata.update(model.metadata)
    rows = [f"| {name} | {value:.3f} |" for name, value in sorted(metrics.metadata.items()) if isinstance(value, float)]
    Path(card.path).write_text("\n".join(["# Published model", "", "| metric | value |", "|---|---|", *rows, ""]))


@step
def refuse(accuracy: float, baseline_accuracy: float, minimum_gain: float):
    raise SystemExit(
        f"The model is refused: its accuracy of {accuracy:.3f} is {accuracy - baseline_accuracy:.3f} above the "
        f"baseline's {baseline_accuracy:.3f}, and minimum_gain asks for {minimum_gain:.3f}."
    )


@dsl.pipeline(name="training", description="Outliers, split, training, evaluation against a baseline, quality gate.")
def training(
    data: str = MEASUREMENTS,
    label: str = "diagnosis",
    positive: str = "malignant",
    fence: float = 3.0,
    evaluation_share: float = 0.3,
    seed: int = 42,
    regularisation: float = 1.0,
    minimum_gain: float = 0.2,
) -> float:
    measurements = dsl.importer(artifact_uri=data, artifact_class=Dataset, reimport=False)
    cleaned = remove_outliers(measurements=measurements.output, fence=fence, label=label)
    sets = split(table=cleaned.outputs["kept"], label=label, evaluation_share=evaluation_share, seed=seed)
    trained = train(training=sets.outputs["training"], label=label, regularisation=regularisation)
    scores = evaluate(
        model=trained.outputs["model"],
        training=sets.outputs["training"],
        evaluation=sets.outputs["evaluation"],
        label=label,
        positive=positive,
    )
    verdict = quality_gate(
        accuracy=scores.outputs["accuracy"],
        baseline_accuracy=scores.outputs["baseline_accuracy"],
        minimum_gain=minimum_gain,
    )
    with dsl.If(verdict.output == "pass", name="good-enough"):
        publish(model=trained.outputs["model"], metrics=scores.outputs["metrics"])
    with dsl.Else(name="not-good-enough"):
        refuse(
            accuracy=scores.outputs["accuracy"],
            baseline_accuracy=scores.outputs["baseline_accuracy"],
            minimum_gain=minimum_gain,
        )
    return scores.outputs["accuracy"]
