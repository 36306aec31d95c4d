"""Real servers, killed: no tick is missed and none is doubled; the steps really run."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from cairn.wiring import open_cairn

PLACE = "projects/demo/locations/us-central1"


def test_a_server_that_is_killed_again_and_again_misses_no_tick_and_doubles_none(serve, pipeline_of, tmp_path):
    home, trace = tmp_path / "home", tmp_path / "trace"
    spec = pipeline_of("ticking", note=f'echo "$CAIRN_RUN" >> {trace}')
    server = serve(home)
    asked = {
        "display_name": "each two seconds",
        "pipeline_spec": spec,
        "max_concurrency": "10",
        "mode": "ENABLE",
        "trigger": {"cron_schedule": {"cron": "*/2 * * * * *"}},
    }
    made = server.post("/apis/v2beta1/recurringruns", asked)
    assert made.status == 200, made
    for _ in range(3):
        time.sleep(3.1)
        server.kill()
        time.sleep(3.3)
        server = serve(home)
    time.sleep(2.5)
    id_ = made.json["recurring_run_id"]
    assert server.post(f"/apis/v2beta1/recurringruns/{id_}:disable").status == 200
    _check_ticks(home, id_, seconds=2, at_least=9, trace=trace)


def _check_ticks(home: Path, id_: str, *, seconds: int, at_least: int, trace: Path) -> None:
    with open_cairn(str(home)) as cairn:
        schedule = cairn.schedules.find(id_)

        def runs():
            return cairn.records.list_runs(project=schedule.project, location=schedule.location, limit=1000)[::-1]

        until = time.monotonic() + 60
        while any(not run.state.terminal for run in runs()):
            assert time.monotonic() < until, [run.state for run in runs()]
            time.sleep(0.1)
        times = [run.schedule_time // 1_000_000 for run in runs()]
        first = schedule.create_time // 1_000_000 // seconds * seconds + seconds
        assert times == list(range(first, first + len(times) * seconds, seconds))
        assert len(times) >= at_least and schedule.started_run_count == len(times)
        assert schedule.next_run_time // 1_000_000 == times[-1] + seconds
        assert {str(run.state) for run in runs()} == {"SUCCEEDED"}
    assert len(trace.read_text().split()) == len(times)  # each step once


def test_two_servers_on_one_home_make_each_run_once(serve, pipeline_of, tmp_path):
    home = tmp_path / "home"
    server, other = serve(home), serve(home)
    asked = {
        "displayName": "s", "cron": "* * * * * *", "maxConcurrentRunCount": 20, "maxRunCount": 6,
        "createPipelineJobRequest": {"parent": PLACE, "pipelineJob": {"pipelineSpec": pipeline_of("twice", a="true")}},
    }  # fmt: skip
    name = server.post(f"/v1/{PLACE}/schedules", asked).json["name"]
    until = time.monotonic() + 30
    while other.get(f"/v1/{name}").json["state"] != "COMPLETED":
        assert time.monotonic() < until
        time.sleep(0.1)
    jobs = other.get(f"/v1/{PLACE}/pipelineJobs", filter=f"schedule_name={name}").json["pipelineJobs"]
    assert len(jobs) == 6 and len({job["displayName"] for job in jobs}) == 6
    times = sorted(datetime.strptime(job["displayName"][-14:], "%Y%m%d%H%M%S") for job in jobs)  # noqa: DTZ007
    assert (times[-1] - times[0]).total_seconds() == 5
    assert all(other.ended(job["name"])["state"] == "PIPELINE_STATE_SUCCEEDED" for job in jobs)


def test_a_schedule_that_another_process_writes_is_noticed(server, pipeline_of):
    import msgspec

    from cairn.domain.runs import ImageMapping, RunSettings, Submission
    from cairn.schedules.types import Definition, Schedule, Trigger

    with open_cairn(str(server.home)) as cairn:
        template = Submission(settings=RunSettings(images=(ImageMapping("*", "host"),)))
        text = msgspec.json.encode(pipeline_of("noticed", a="true")).decode()
        made = cairn.schedules.create(Schedule("", Trigger("* * * * * *"), template, max_run_count=1), Definition(text))
        until = time.monotonic() + 10
        while cairn.schedules.find(made.id).state != "COMPLETED":
            assert time.monotonic() < until
            time.sleep(0.05)
        [run] = cairn.records.list_runs()
        assert run.create_time - run.schedule_time < 1_500_000
