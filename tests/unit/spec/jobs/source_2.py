"""`python source_2.py`, where google-cloud-pipeline-components 2 is installed, writes launched_2.json anew."""

import json
from pathlib import Path

from google_cloud_pipeline_components.v1.custom_job import (
    CustomTrainingJobOp,
    create_custom_training_job_from_component,
)
from kfp import compiler, components, dsl

HERE = Path(__file__).parent
train = components.load_component_from_file(str(HERE / "component.yaml"))


@dsl.component(base_image="python:3.11")
def use(model: dsl.Input[dsl.Model], score: float, data: dsl.Output[dsl.Dataset]) -> str:
    Path(data.path).write_text(Path(model.path).read_text())
    return f"{score}"


training = create_custom_training_job_from_component(
    train, machine_type="n1-standard-8", accelerator_type="NVIDIA_TESLA_T4", accelerator_count=2, timeout="90.5s"
)
lightweight = create_custom_training_job_from_component(
    use, machine_type="n1-standard-4", env=[{"name": "COLOUR", "value": "blue"}], base_output_directory="gs://b/out"
)
several = create_custom_training_job_from_component(train, display_name="several", replica_count=3)


def pool(machine_type: str, word: str) -> list:
    container = {
        "image_uri": "example.com/shell:1",
        "command": ["sh", "-c", 'printf %s "$0" > "$1"'],
        "args": [word, "/dev/null"],
    }
    return [{"machine_spec": {"machine_type": machine_type}, "replica_count": 1, "container_spec": container}, {}]


@dsl.pipeline(name="launched")
def launched(max_epochs: int = 3, machine: str = "n1-standard-2", word: str = "hello", network: str = ""):
    data = dsl.importer(artifact_uri="gs://bucket/data", artifact_class=dsl.Dataset).output
    trained = training(data_dir=data, max_epochs=max_epochs, service_account="robot@project", network=network)
    lightweight(model=trained.outputs["model_dir"], score=trained.outputs["score"])
    CustomTrainingJobOp(display_name="one", worker_pool_specs=pool("n2-standard-2", "constant"))
    CustomTrainingJobOp(display_name="two", worker_pool_specs=pool(machine, word), labels={"team": "red"})
    CustomTrainingJobOp(display_name="three", worker_pool_specs=pool("n2-standard-2", "constant"))


@dsl.pipeline(name="replicas")
def replicas():
    data = dsl.importer(artifact_uri="gs://bucket/data", artifact_class=dsl.Dataset).output
    several(data_dir=data, max_epochs=1)


def short(value):
    """Without the descriptions: they are four fifths of the text."""
    if isinstance(value, dict):
        return {key: short(inner) for key, inner in value.items() if key != "description"}
    return [short(inner) for inner in value] if isinstance(value, list) else value


for pipeline in (launched, replicas):
    path = HERE / f"{pipeline.name}_2.json"
    compiler.Compiler().compile(pipeline, str(path))
    path.write_text(json.dumps(short(json.loads(path.read_text())), indent=1, sort_keys=True) + "\n")
