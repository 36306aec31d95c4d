"""Trains the network on images of digits, as a custom training job of Vertex AI does it.

    python train.py --train_data=train.npz --learning_rate=0.01 --neurons=64

Nothing here knows of Cairn. The service says where things go: AIP_MODEL_DIR and AIP_CHECKPOINT_DIR, as gs://… that is
read and written below /gcs. Each epoch's validation accuracy is reported through cloudml-hypertune. A job that is
started again goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import hypertune
import numpy as np
from network import ACTIVATIONS, Network

METRIC = "validation_accuracy"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--train_data", required=True)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--validation_share", type=float, default=0.2)
    parser.add_argument("--checkpoint_every", type=int, default=10, help="epochs")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--learning_rate", type=float, default=0.001)
    parser.add_argument("--activation", choices=ACTIVATIONS, default="relu")
    parser.add_argument("--neurons", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.0)
    return parser.parse_args()


def directory(variable: str, otherwise: str) -> Path:
    """Where the service wants something to go. Cloud Storage is mounted below /gcs."""
    place = Path(os.environ.get(variable, otherwise).replace("gs://", "/gcs/", 1))
    place.mkdir(parents=True, exist_ok=True)
    return place


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Whole or not at all: a job may be ended at any moment."""
    unfinished = path.with_name(f".{path.name}")
    with unfinished.open("wb") as file:
        np.savez_compressed(file, **arrays)
    unfinished.replace(path)


def main() -> None:
    given = arguments()
    models, checkpoints = directory("AIP_MODEL_DIR", "model"), directory("AIP_CHECKPOINT_DIR", "checkpoints")
    with np.load(given.train_data) as data:
        images, digits = data["images"], data["digits"]
    order = np.random.default_rng(given.seed).permutation(len(images))
    held, kept = np.split(order, [round(len(order) * given.validation_share)])

    classes = int(digits.max()) + 1
    network = Network(images.shape[1], given.neurons, classes, given.activation, given.dropout, given.seed)
    first = 1
    for path in sorted(checkpoints.glob("epoch-*.npz"))[-1:]:
        with np.load(path) as state:
            network.restore(dict(state))
        first = int(path.stem.removeprefix("epoch-")) + 1
        print(f"going on after {path.name}")

    tuner = hypertune.HyperTune()
    for epoch in range(first, given.epochs + 1):
        rate, seed = given.learning_rate, [given.seed, epoch]
        loss = network.epoch(images[kept], digits[kept], rate, given.batch_size, seed)
        accuracy = float((network.predict(images[held]).argmax(axis=1) == digits[held]).mean())
        tuner.report_hyperparameter_tuning_metric(METRIC, accuracy, global_step=epoch)
        if epoch % given.checkpoint_every == 0 or epoch == given.epochs:
            save(checkpoints / f"epoch-{epoch:04d}.npz", network.state())
            print(f"epoch {epoch}: loss {loss:.4f}, {METRIC} {accuracy:.4f}", flush=True)

    chances = network.predict(images)
    right = chances.argmax(axis=1) == digits
    save(models / "model.npz", {**network.weights, "activation": np.array(given.activation)})
    metrics = {
        METRIC: float(right[held].mean()),
        "training_accuracy": float(right[kept].mean()),
        "training_loss": float(-np.log(chances[kept, digits[kept]] + 1e-12).mean()),
    }
    (models / "metrics.json").write_text(json.dumps(metrics))


if __name__ == "__main__":
    main()
