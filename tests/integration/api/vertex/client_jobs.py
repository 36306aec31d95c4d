"""What somebody's own script does with google-cloud-aiplatform: python client_jobs.py URL SPEC.json

Prints one JSON object of what it was told.
"""

import json
import sys
import time

from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud.aiplatform import pipeline_jobs
from google.cloud.aiplatform.utils import gcs_utils

pipeline_jobs._JOB_WAIT_TIME = 0.1
gcs_utils.create_gcs_bucket_for_pipeline_artifacts_if_it_does_not_exist = lambda **_: None


def main(url, spec):
    aiplatform.init(
        project="demo", location="us-central1", api_endpoint=url, api_transport="rest",
        credentials=AnonymousCredentials(),
    )  # fmt: skip
    told = {"version": aiplatform.__version__}
    job = aiplatform.PipelineJob(
        display_name="from the client", template_path=spec, pipeline_root="gs://client/root", enable_caching=False,
        labels={"team": "x"}, failure_policy="fast", parameter_values={"n": 3},
    )  # fmt: skip
    job.submit(service_account="a@b", network="projects/1/global/networks/n")
    job.wait()
    told["state"] = job.state.name
    told["tasks"] = {task.task_name: task.state.name for task in job.task_details}
    told["policy"] = job.gca_resource.runtime_config.failure_policy.name
    told["account"] = job.gca_resource.service_account
    listed = aiplatform.PipelineJob.list(filter='labels.team="x" AND state="PIPELINE_STATE_SUCCEEDED"')
    told["listed"] = job.resource_name in [one.resource_name for one in listed]
    simple = aiplatform.PipelineJob.list(filter='display_name="from the client"', enable_simple_view=True)
    told["simple"] = job.resource_name in [one.resource_name for one in simple]
    got = aiplatform.PipelineJob.get(job.resource_name)
    told["parameters"] = dict(got.gca_resource.runtime_config.parameter_values)
    clone = got.clone(display_name="a clone", parameter_values={"n": 60})
    clone.submit()
    clone.cancel()
    while not clone.done():
        time.sleep(0.1)
    told["clone"] = clone.state.name
    clone.delete()
    try:
        aiplatform.PipelineJob.get(clone.resource_name)
        told["deleted"] = False
    except NotFound:
        told["deleted"] = True
    print(json.dumps(told))


main(*sys.argv[1:])
