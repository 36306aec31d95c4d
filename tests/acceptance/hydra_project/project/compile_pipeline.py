"""Builds the pipeline of configs/pipeline.yaml: `python compile_pipeline.py [--custom-job] [OUTPUT]`."""

import argparse
from pathlib import Path

import yaml
from kfp import compiler, components, dsl

HERE = Path(__file__).parent


def as_custom_job(component, spec):
    """Training on a machine of its own; google-cloud-pipeline-components is only needed for this."""
    from google_cloud_pipeline_components.v1.custom_job import create_custom_training_job_from_component

    return create_custom_training_job_from_component(
        component,
        machine_type=spec["machine_type"],
        accelerator_type=spec["accelerator_type"],
        accelerator_count=spec["accelerator_count"],
        replica_count=spec["replica_count"],
    )


def build(config, custom_job=False):
    prepare = components.load_component_from_file(str(HERE / "components/data_preparation/component.yaml"))
    train = components.load_component_from_file(str(HERE / "components/training/component.yaml"))
    machine = config["custom_job_spec"]
    if custom_job:
        train = as_custom_job(train, machine)
    given = config["parameters"]

    @dsl.pipeline(name=config["name"], pipeline_root=config["pipeline_root"])
    def pipeline(
        rows: int = given["rows"],
        max_epochs: int = given["max_epochs"],
        learning_rate: float = given["learning_rate"],
        model: str = given["model"],
        note: str = given["note"],
    ) -> float:
        data = prepare(rows=rows, drop=[3, 5])
        training = train(
            data_dir=data.outputs["data_dir"],
            max_epochs=max_epochs,
            learning_rate=learning_rate,
            model=model,
            note=note,
        )
        if not custom_job:
            training.set_cpu_limit(machine["cpu_limit"]).set_memory_limit(machine["memory_limit"])
            training.set_accelerator_type(machine["accelerator_type"]).set_accelerator_limit(
                machine["accelerator_count"]
            )
        for task in (data, training):
            task.set_caching_options(config["enable_caching"])
        return training.outputs["score"]

    return pipeline


CONFIG = yaml.safe_load((HERE / "configs/pipeline.yaml").read_text())
pipeline = build(CONFIG)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--custom-job", action="store_true")
    parser.add_argument("output", nargs="?", default="pipeline.yaml")
    options = parser.parse_args()
    compiler.Compiler().compile(build(CONFIG, options.custom_job), options.output)
