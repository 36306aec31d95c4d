"""The same pipeline through Vertex AI's client: nothing in here knows of Cairn.

    cairn exec -- python on_vertex.py

runs it on this machine; `python on_vertex.py --bucket=… --image=…` with a Google account runs it in the cloud.
Needs what requirements.txt names.
"""

import argparse
import tempfile
from pathlib import Path

from google.cloud import aiplatform, storage
from kfp import compiler
from pipeline import DIGITS, digits


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bucket", default="digits")
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE", help="the pipeline's, such as trials=4")
    given = parser.parse_args()

    aiplatform.init(staging_bucket=f"gs://{given.bucket}")
    client = storage.Client()
    bucket = client.lookup_bucket(given.bucket) or client.create_bucket(given.bucket)
    bucket.blob("data/digits.csv").upload_from_filename(DIGITS)

    template = str(Path(tempfile.mkdtemp()) / "digits.json")
    compiler.Compiler().compile(digits, template)
    values = dict(each.split("=", 1) for each in given.parameters)
    job = aiplatform.PipelineJob(
        display_name="digits",
        template_path=template,
        pipeline_root=f"gs://{given.bucket}/pipelines",
        parameter_values={
            "data": f"gs://{given.bucket}/data/digits.csv",
            **{name: int(value) if value.isdigit() else value for name, value in values.items()},
        },
    )
    job.run()

    executions = {task.task_name: task.execution.metadata for task in job.task_details}
    print("parameters:", dict(executions["best-parameters"]["output:parameters"]))
    print("scores:", dict(executions["evaluate"]["output:Output"]))
    print("verdict:", executions["judge"]["output:Output"])


if __name__ == "__main__":
    main()
