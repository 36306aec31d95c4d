"""The pipeline of compile_pipeline.py with `cairn.hydra`: no component.yaml, no table of arguments."""

from pathlib import Path

import yaml
from kfp import dsl

import cairn.hydra

HERE = Path(__file__).parent
CONFIG = yaml.safe_load((HERE / "configs/pipeline.yaml").read_text())
GIVEN = CONFIG["parameters"]

prepare = cairn.hydra.component(
    "components/data_preparation/main.py",
    name="data_preparation",
    image="europe-docker.pkg.dev/acme/pipelines/data-preparation:1.4",
    inputs=["datamodule.rows", "datamodule.drop"],
    output_artifacts={"output.data_dir": dsl.Dataset},
    output_parameters={"output.kept": int},
)
train = cairn.hydra.component(
    "components/training/main.py",
    name="training",
    image="europe-docker.pkg.dev/acme/pipelines/training:2.0",
    inputs=["trainer.max_epochs", "optimizer.lr", "note"],
    imports=["main.py"],  # registers the schema
    overrides=[f"model={GIVEN['model']}"],
    input_artifacts={"datamodule.data_dir": dsl.Dataset},
    output_artifacts={"output.model_dir": dsl.Model, "output.metrics": dsl.Metrics},
    output_parameters={"output.score": float},
)


@dsl.pipeline(name=CONFIG["name"])
def pipeline(
    rows: int = GIVEN["rows"],
    max_epochs: int = GIVEN["max_epochs"],
    learning_rate: float = GIVEN["learning_rate"],
    note: str = GIVEN["note"],
) -> float:
    data = prepare(datamodule_rows=rows, datamodule_drop=[3, 5])
    training = train(
        datamodule_data_dir=data.outputs["output_data_dir"],
        trainer_max_epochs=max_epochs,
        optimizer_lr=learning_rate,
        note=note,
    )
    training.set_cpu_limit(CONFIG["custom_job_spec"]["cpu_limit"])
    return training.outputs["output_score"]
