"""CustomJob.run(experiment=…): the job's code logs to the experiment by itself."""

import sys

from connection import BUCKET, connect, log_text, passed, unique
from google.api_core import exceptions
from google.cloud import aiplatform, storage
from google.cloud.aiplatform import jobs

jobs._JOB_WAIT_TIME = 0.2  # only how long the client sleeps between two looks
connect()
try:
    storage.Client().create_bucket(BUCKET[5:])
except exceptions.Conflict:
    pass
name = unique("tried")
experiment = aiplatform.Experiment.create(name)
LOGGING = """
from google.cloud import aiplatform
aiplatform.log_params({"rate": 0.5})
aiplatform.log_metrics({"accuracy": 0.75})
"""


TELLING = "import os; print(os.environ['AIP_EXPERIMENT_RUN_NAME'], end='')"


def job_of(display_name, script):
    return aiplatform.CustomJob(
        display_name,
        [
            {
                "machine_spec": {"machine_type": "n1-standard-4"},
                "replica_count": 1,
                "container_spec": {
                    "image_uri": "python:3.12",
                    "command": [sys.executable, "-c", script],
                    "args": [],
                },
            }
        ],
        staging_bucket=BUCKET,
    )


job = job_of("made up " + name, LOGGING)
job.run(experiment=name)
assert job.job_spec.experiment.endswith("/contexts/" + name)
found = aiplatform.get_experiment_df(name)
assert len(found) == 1, found
row = found.iloc[0]
assert (row["param.rate"], row["metric.accuracy"], row["state"]) == (0.5, 0.75, "COMPLETE"), found
assert job.job_spec.experiment_run.endswith(f"/contexts/{name}-{row['run_name']}"), job.job_spec.experiment_run
passed("a run of the experiment is made for the job")

run = aiplatform.ExperimentRun.create("mine", experiment=experiment)
given = job_of("given " + name, TELLING)
given.run(experiment=experiment, experiment_run=run)
assert log_text(given) == run.resource_name
found = aiplatform.get_experiment_df(name).set_index("run_name")
assert len(found) == 2 and found.loc["mine", "state"] == "COMPLETE", found
passed("a run that there is")
