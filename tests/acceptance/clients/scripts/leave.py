"""Submits and goes away."""

import os
import tempfile

from connection import connect, unique
from google.cloud import aiplatform
from kfp import compiler
from pipelines import sleeping

connect()
path = os.path.join(tempfile.mkdtemp(), "sleeping.json")
compiler.Compiler().compile(sleeping, path)
job = aiplatform.PipelineJob(
    display_name="left",
    job_id=unique("left"),
    template_path=path,
    parameter_values={"seconds": 2.0},
    enable_caching=False,
)
job.submit()
print(job.name)
