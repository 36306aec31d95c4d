"""Two Hydra programs, chained: what `prepare` writes is what `train` reads.

cairn run pipeline.py --config-dir conf train.lr=0.1
"""

from pathlib import Path

from kfp import dsl

import cairn.hydra

MEASUREMENTS = str(Path(__file__).resolve().parents[1] / "training" / "data" / "breast_cancer.csv")

prepare = cairn.hydra.component(
    "prepare/main.py",
    name="prepare",
    image="example/prepare:1",
    inputs=["fence", "share", "seed"],
    input_artifacts={"source": dsl.Dataset},
    output_artifacts={"output": dsl.Dataset},
)
train = cairn.hydra.component(
    "train/main.py",
    name="train",
    image="example/train:1",
    inputs=["lr", "epochs", "seed", "model", "optimizer"],
    input_artifacts={"data": dsl.Dataset},
    output_artifacts={"model_file": dsl.Model, "metrics": dsl.Metrics},
)


@dsl.pipeline(name="hydra-example", description="Data preparation and training, each a Hydra program.")
def example(
    prepare_fence: float, prepare_share: float, seed: int,
    train_lr: float, train_epochs: int, train_model: dict, train_optimizer: dict, data: str = MEASUREMENTS,
):  # fmt: skip
    measurements = dsl.importer(artifact_uri=data, artifact_class=dsl.Dataset)
    prepared = prepare(source=measurements.output, fence=prepare_fence, share=prepare_share, seed=seed)
    train(
        data=prepared.outputs["output"],
        lr=train_lr,
        epochs=train_epochs,
        seed=seed,
        model=train_model,
        optimizer=train_optimizer,
    )
