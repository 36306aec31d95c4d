"""ScheduleService over REST, as google-cloud-aiplatform asks it."""

from __future__ import annotations

import time
import zlib
from datetime import UTC, datetime, timedelta

import pytest

PARENT = "projects/{}/locations/us-central1"


@pytest.fixture
def place(request):
    """A project of the test's own on the shared server."""
    return PARENT.format(f"s-{zlib.crc32(request.node.name.encode())}")


@pytest.fixture
def body(pipeline_of, place):
    def make(**fields):
        request = {
            "parent": place,
            "pipelineJob": {
                "displayName": "nightly",
                "pipelineSpec": pipeline_of("demo-pipe", greet="echo hi"),
                "runtimeConfig": {"gcsOutputDirectory": "gs://stage/root"},
                "labels": {"team": "a"},
            },
        }
        base = {"displayName": "s1", "cron": "0 5 * * *", "maxConcurrentRunCount": "1"}
        return {**base, "createPipelineJobRequest": request, **fields}

    return make


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_schedule_is_told_back_with_every_field(shared_server, body, place):
    end = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    asked = body(endTime=end, maxRunCount="7", maxConcurrentActiveRunCount=3, allowQueueing=True)
    made = shared_server.post(f"/v1/{place}/schedules", asked).json
    assert made["name"].startswith(f"{place}/schedules/") and made["name"].rpartition("/")[2].isdecimal()
    assert made["createPipelineJobRequest"] == asked["createPipelineJobRequest"]
    assert {name: made[name] for name in ("displayName", "cron", "state", "endTime", "allowQueueing")} == {
        "displayName": "s1", "cron": "0 5 * * *", "state": "ACTIVE", "endTime": end, "allowQueueing": True,
    }  # fmt: skip
    assert (made["maxRunCount"], made["maxConcurrentRunCount"], made["maxConcurrentActiveRunCount"]) == ("7", "1", "3")
    assert when(made["nextRunTime"]).hour == 5 and when(made["nextRunTime"]) > when(made["createTime"])
    assert made["startTime"] == made["createTime"]
    assert "lastPauseTime" not in made and "lastScheduledRunResponse" not in made and "catchUp" not in made
    assert shared_server.get(f"/v1/{made['name']}").json == made


def test_it_is_paused_resumed_and_deleted(shared_server, body, place):
    name = shared_server.post(f"/v1/{place}/schedules", body()).json["name"]
    assert shared_server.post(f"/v1/{name}:pause").json == {}
    paused = shared_server.get(f"/v1/{name}").json
    assert paused["state"] == "PAUSED" and paused["lastPauseTime"] and "nextRunTime" not in paused
    assert shared_server.post(f"/v1/{name}:resume", {"catchUp": True}).json == {}
    resumed = shared_server.get(f"/v1/{name}").json
    assert resumed["state"] == "ACTIVE" and resumed["catchUp"] is True and resumed["lastResumeTime"]
    operation = shared_server.delete(f"/v1/{name}").json
    assert operation["done"] is True and "error" not in operation
    assert shared_server.get(f"/v1/{name}").status == 404
    assert shared_server.delete(f"/v1/{name}").status == 404


def test_the_whole_object_with_a_mask_changes_what_the_mask_names(shared_server, body, place):
    made = shared_server.post(f"/v1/{place}/schedules", body()).json
    sent = {**made, "cron": "TZ=Europe/Berlin 30 6 * * *", "displayName": "other", "state": 1, "startedRunCount": "9"}
    changed = shared_server.patch(f"/v1/{made['name']}", sent, updateMask="cron").json
    assert (changed["cron"], changed["displayName"]) == ("TZ=Europe/Berlin 30 6 * * *", "s1")
    assert when(changed["nextRunTime"]).minute == 30 and "startedRunCount" not in changed
    sent = {**changed, "maxRunCount": "5", "maxConcurrentRunCount": 2, "allowQueueing": True}
    mask = "max_run_count,maxConcurrentRunCount,allow_queueing"
    changed = shared_server.patch(f"/v1/{made['name']}", sent, updateMask=mask).json
    assert (changed["maxRunCount"], changed["maxConcurrentRunCount"], changed["allowQueueing"]) == ("5", "2", True)
    job = {**made["createPipelineJobRequest"]["pipelineJob"], "displayName": "weekly"}
    sent = {**changed, "createPipelineJobRequest": {"parent": place, "pipelineJob": job}}
    changed = shared_server.patch(f"/v1/{made['name']}", sent, updateMask="create_pipeline_job_request").json
    assert changed["createPipelineJobRequest"]["pipelineJob"]["displayName"] == "weekly"
    assert shared_server.get(f"/v1/{made['name']}").json == changed
    unset = {name: value for name, value in changed.items() if name != "cron"}
    assert shared_server.patch(f"/v1/{made['name']}", unset, updateMask="cron").status == 400
    assert "no field" in shared_server.patch(f"/v1/{made['name']}", unset, updateMask="crom").error


@pytest.mark.parametrize(
    ("fields", "place_named"),
    [
        ({"cron": "every day"}, "cron"),
        ({"cron": "TZ=Nowhere/Land 0 5 * * *"}, "time zone"),
        ({"cron": ""}, "schedule.cron"),
        ({"displayName": ""}, "schedule.displayName"),
        ({"displayName": "x" * 129}, "display_name"),
        ({"maxConcurrentRunCount": "0"}, "maxConcurrentRunCount"),
        ({"maxConcurrentRunCount": "-1"}, "maxConcurrentRunCount"),
        ({"maxRunCount": "-5"}, "maxRunCount"),
        ({"endTime": "2020-01-01T00:00:00Z", "startTime": "2021-01-01T00:00:00Z"}, "end_time"),
        ({"createPipelineJobRequest": None}, "createPipelineJobRequest"),
        ({"createPipelineJobRequest": {"parent": "projects/x/locations/y"}}, "createPipelineJobRequest.parent"),
        ({"unheard": 1}, "unheard"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(shared_server, body, place, fields, place_named):
    answer = shared_server.post(f"/v1/{place}/schedules", body(**fields))
    assert answer.status == 400 and place_named in answer.error


def test_parameters_that_do_not_fit_are_refused_at_once(shared_server, body, place):
    asked = body()
    asked["createPipelineJobRequest"]["pipelineJob"]["runtimeConfig"]["parameterValues"] = {"unknown": 1}
    answer = shared_server.post(f"/v1/{place}/schedules", asked)
    assert answer.status == 400 and "unknown" in answer.error
    assert shared_server.get(f"/v1/{place}/schedules").json == {}


def test_notebook_executions_are_not_there_yet(shared_server, body, place):
    asked = body(createNotebookExecutionJobRequest={"parent": place})
    del asked["createPipelineJobRequest"]
    assert shared_server.post(f"/v1/{place}/schedules", asked).status == 501


def test_they_are_listed_with_filter_order_and_pages(shared_server, body, place):
    for number in range(5):
        asked = body(displayName=f"n{number}", startTime=f"2030-01-0{5 - number}T00:00:00Z")
        assert shared_server.post(f"/v1/{place}/schedules", asked).status == 200

    def names(**query):
        return [one["displayName"] for one in shared_server.get(f"/v1/{place}/schedules", **query).json["schedules"]]

    assert names() == ["n4", "n3", "n2", "n1", "n0"]
    assert names(orderBy="create_time") == ["n0", "n1", "n2", "n3", "n4"]
    assert names(orderBy="start_time desc") == ["n0", "n1", "n2", "n3", "n4"]
    assert names(filter='state="ACTIVE" AND display_name:"n*"', pageSize=2) == ["n4", "n3"]
    assert names(filter='displayName="n1" OR start_time<"2030-01-01T12:00:00Z"') == ["n4", "n1"]
    assert names(filter='next_run_time>"2030-01-03T12:00:00Z"') == ["n1", "n0"]
    assert names(filter="create_pipeline_job_request:* AND NOT end_time:*") == ["n4", "n3", "n2", "n1", "n0"]
    first = shared_server.get(f"/v1/{place}/schedules", pageSize=3).json
    second = shared_server.get(f"/v1/{place}/schedules", pageSize=3, pageToken=first["nextPageToken"]).json
    assert len(second["schedules"]) == 2 and "nextPageToken" not in second
    assert shared_server.get(f"/v1/{place}/schedules", filter="nonsense(").status == 400
    assert shared_server.get(f"/v1/{PARENT.format('another')}/schedules").json == {}


def test_its_runs_run_and_are_listed_by_its_name(shared_server, body, place):
    made = shared_server.post(f"/v1/{place}/schedules", body(cron="* * * * * *", maxRunCount=3)).json
    until = time.monotonic() + 30
    while (now := shared_server.get(f"/v1/{made['name']}").json)["state"] != "COMPLETED":
        assert time.monotonic() < until, now
        time.sleep(0.1)
    assert now["startedRunCount"] == "3" and "nextRunTime" not in now
    found = shared_server.get(f"/v1/{place}/pipelineJobs", filter=f"schedule_name={made['name']}").json["pipelineJobs"]
    assert len(found) == 3 and now["lastScheduledRunResponse"]["runResponse"] == found[0]["name"]
    assert when(now["lastScheduledRunResponse"]["scheduledRunTime"]).microsecond == 0
    for job in found:
        assert job["scheduleName"] == made["name"] and job["displayName"].startswith("nightly-20")
        assert job["labels"]["team"] == "a" and job["runtimeConfig"]["gcsOutputDirectory"] == "gs://stage/root"
        assert shared_server.ended(job["name"])["state"] == "PIPELINE_STATE_SUCCEEDED"
    for verb in ("pause", "resume"):
        assert "completed" in shared_server.post(f"/v1/{made['name']}:{verb}").error
