"""An ordinary Vertex AI script: nothing in it knows of Cairn.

    cairn exec -- python train_on_vertex.py

runs it on this machine; `python train_on_vertex.py` with a Google account runs it in the cloud.
Needs google-cloud-aiplatform and kfp.
"""

import os
import tempfile

from google.cloud import aiplatform
from kfp import compiler, dsl


@dsl.component
def make_points(count: int, seed: int, points: dsl.Output[dsl.Dataset]):
    """Points of the plane: above the line y = x or below it."""
    import json
    import random

    generator = random.Random(seed)
    rows = [[generator.uniform(-1, 1), generator.uniform(-1, 1)] for _ in range(count)]
    with open(points.path, "w") as file:
        json.dump([[x, y, int(y > x)] for x, y in rows], file)
    points.metadata["rows"] = count


@dsl.component
def train(points: dsl.Input[dsl.Dataset], epochs: int, model: dsl.Output[dsl.Model]):
    """A perceptron."""
    import json

    with open(points.path) as file:
        rows = json.load(file)
    weights = [0.0, 0.0, 0.0]
    for _ in range(epochs):
        for x, y, label in rows:
            error = label - int(weights[0] * x + weights[1] * y + weights[2] > 0)
            weights = [weights[0] + error * x, weights[1] + error * y, weights[2] + error]
    with open(model.path, "w") as file:
        json.dump(weights, file)


@dsl.component
def evaluate(points: dsl.Input[dsl.Dataset], model: dsl.Input[dsl.Model], metrics: dsl.Output[dsl.Metrics]) -> float:
    import json

    with open(points.path) as file:
        rows = json.load(file)
    with open(model.path) as file:
        a, b, c = json.load(file)
    right = sum(int(a * x + b * y + c > 0) == label for x, y, label in rows)
    metrics.log_metric("accuracy", right / len(rows))
    return right / len(rows)


@dsl.pipeline(name="perceptron")
def perceptron(count: int = 200, epochs: int = 20) -> float:
    training = make_points(count=count, seed=1)
    testing = make_points(count=count, seed=2)
    trained = train(points=training.outputs["points"], epochs=epochs)
    judged = evaluate(points=testing.outputs["points"], model=trained.outputs["model"])
    return judged.outputs["Output"]


def main():
    template = os.path.join(tempfile.mkdtemp(), "perceptron.json")
    compiler.Compiler().compile(perceptron, template)

    aiplatform.init()
    job = aiplatform.PipelineJob(
        display_name="perceptron", template_path=template, parameter_values={"count": 300, "epochs": 30}
    )
    job.run()

    for task in job.task_details:
        if task.task_name == "evaluate":
            print("accuracy:", dict(task.outputs["metrics"].artifacts[0].metadata)["accuracy"])


if __name__ == "__main__":
    main()
