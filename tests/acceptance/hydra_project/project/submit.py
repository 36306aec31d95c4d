"""`python submit.py PIPELINE`: to Vertex AI, with the public client."""

import sys
from pathlib import Path

import yaml
from google.cloud import aiplatform

CONFIG = yaml.safe_load((Path(__file__).parent / "configs/pipeline.yaml").read_text())

aiplatform.init(project=CONFIG["project"], location=CONFIG["location"])
job = aiplatform.PipelineJob(
    display_name=CONFIG["name"],
    template_path=sys.argv[1],
    parameter_values=CONFIG["parameters"],
    enable_caching=False,
)
job.submit()
job.wait()
print("state", job.state.name)
