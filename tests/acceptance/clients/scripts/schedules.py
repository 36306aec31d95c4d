"""PipelineJobSchedule: create, update, pause, resume, list_jobs, delete. Its ticks run real pipelines."""

import os
import tempfile

from connection import BUCKET, connect, passed, unique, until
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform_v1.types import PipelineState
from kfp import compiler
from pipelines import arithmetic

connect()
path = os.path.join(tempfile.mkdtemp(), "arithmetic.json")
compiler.Compiler().compile(arithmetic, path)
job = aiplatform.PipelineJob(
    display_name=unique("scheduled"),
    template_path=path,
    parameter_values={"numbers": [2, 3], "factor": 2},
    pipeline_root=BUCKET + "/root",
    enable_caching=False,
)

schedule = job.create_schedule(
    cron="TZ=Europe/Berlin * * * * *", display_name=unique("minutely"), max_run_count=1, max_concurrent_run_count=1
)
assert schedule.state.name == "ACTIVE", schedule.state
assert schedule.cron == "TZ=Europe/Berlin * * * * *", schedule.cron
assert schedule.max_run_count == 1
assert schedule.gca_resource.next_run_time is not None
passed("create")

listed = aiplatform.PipelineJobSchedule.list(filter=f'display_name="{schedule.display_name}"')
assert [each.resource_name for each in listed] == [schedule.resource_name]
again = aiplatform.PipelineJobSchedule.get(schedule.resource_name)
assert again.display_name == schedule.display_name
passed("list, get")

yearly = aiplatform.PipelineJobSchedule(pipeline_job=job, display_name=unique("yearly"))
yearly.create(cron="0 3 1 1 *", max_concurrent_run_count=2, service_account="runner@demo.iam.gserviceaccount.com")
yearly.pause()
assert aiplatform.PipelineJobSchedule.get(yearly.resource_name).state.name == "PAUSED"
passed("pause")
yearly.resume(catch_up=False)
assert aiplatform.PipelineJobSchedule.get(yearly.resource_name).state.name == "ACTIVE"
passed("resume")
yearly.update(cron="0 4 1 1 *", max_run_count=5, display_name=yearly.display_name + "-changed")
changed = aiplatform.PipelineJobSchedule.get(yearly.resource_name)
assert changed.cron.endswith("0 4 1 1 *"), changed.cron
assert changed.max_run_count == 5 and changed.max_concurrent_run_count == 2
assert changed.display_name.endswith("-changed")
passed("update")
assert yearly.list_jobs() == []

# the next minute's tick makes one run, which computes, and then the schedule is completed
jobs = until(schedule.list_jobs, seconds=75, step=1)
assert len(jobs) == 1
run = jobs[0]
until(lambda: run.state == PipelineState.PIPELINE_STATE_SUCCEEDED, seconds=60)
whole = aiplatform.PipelineJob.get(run.resource_name)  # a list shows a part
assert whole.gca_resource.schedule_name == schedule.resource_name, whole.gca_resource.schedule_name
tasks = {task.task_name: task for task in whole.task_details}
assert dict(tasks["total"].execution.metadata).get("output:Output") == 10
until(lambda: aiplatform.PipelineJobSchedule.get(schedule.resource_name).state.name == "COMPLETED", seconds=20)
passed("tick, list_jobs")

for one in (schedule, yearly):
    name = one.resource_name
    one.delete()
    try:
        aiplatform.PipelineJobSchedule.get(name)
        raise AssertionError("the deleted schedule is still there")
    except exceptions.NotFound:
        pass
passed("delete")
