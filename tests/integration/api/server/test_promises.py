"""The server's promises: what was acknowledged is not lost, whatever is killed; one request makes one run."""

import concurrent.futures
import time

import pytest

PARENT = "/v1/projects/faults/locations/us-central1/pipelineJobs"
DONE = ("PIPELINE_STATE_SUCCEEDED", "PIPELINE_STATE_FAILED", "PIPELINE_STATE_CANCELLED")


def all_ended(server, wanted, seconds=90):
    """Jobs by name, once all of `wanted` are there and every job has ended: one may have been recorded without its
    answer having reached anybody."""
    deadline = time.monotonic() + seconds
    while True:
        jobs, token = {}, ""
        while True:
            page = server.get(PARENT, pageSize=100, pageToken=token).json
            jobs |= {job["name"]: job for job in page.get("pipelineJobs", [])}
            token = page.get("nextPageToken", "")
            if not token:
                break
        done = wanted <= jobs.keys() and all(job["state"] in DONE for job in jobs.values())
        if done or time.monotonic() > deadline:
            return jobs
        time.sleep(0.2)


def submitted(server, body, job_id):
    answer = server.post(PARENT, body, pipelineJobId=job_id)
    assert answer.status == 200, answer
    return answer.json["name"]


def test_two_hundred_runs_submitted_at_once_all_finish(server, pipeline_of, tmp_path):
    body = {"displayName": "many", "pipelineSpec": pipeline_of("many", a=f"echo x >> {tmp_path}/ran")}
    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        names = set(pool.map(lambda number: submitted(server, body, f"many-{number}"), range(200)))
    assert len(names) == 200
    jobs = all_ended(server, names)
    assert {jobs[name]["state"] for name in names} == {"PIPELINE_STATE_SUCCEEDED"}
    assert len((tmp_path / "ran").read_text().splitlines()) == 200


def test_a_killed_server_loses_nothing_that_it_acknowledged(serve, pipeline_of, tmp_path):
    home = tmp_path / "home"
    server = serve(home)
    body = {"pipelineSpec": pipeline_of("killed", a="sleep 0.2", b=f"echo x >> {tmp_path}/ran")}
    acknowledged = set()

    def submit(number):
        try:
            acknowledged.add(submitted(server, body, f"killed-{number}"))
        except OSError:
            return  # the server was gone: nothing was promised

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(submit, number) for number in range(100)]
        while len(acknowledged) < 40:
            time.sleep(0.005)
        server.kill()
        concurrent.futures.wait(waiting)
    assert 40 <= len(acknowledged) < 100
    again = serve(home)
    jobs = all_ended(again, acknowledged)
    assert acknowledged <= jobs.keys()
    assert {job["state"] for job in jobs.values()} == {"PIPELINE_STATE_SUCCEEDED"}
    assert len((tmp_path / "ran").read_text().splitlines()) >= len(jobs)


@pytest.mark.parametrize("count", [1000])
def test_a_thousand_submits_of_one_request_at_once_make_one_run(server, pipeline_of, tmp_path, count):
    body = {
        "pipeline": pipeline_of("once", a=f"echo x >> {tmp_path}/ran"),
        "request_id": "3f2b9a52-0000-4000-8000-000000000001",
    }

    def submit(_):
        answer = server.post("/cairn/v1/runs", body)
        assert answer.status == 200, answer
        return answer.json["run_id"]

    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        made = set(pool.map(submit, range(count)))
    assert len(made) == 1
    deadline = time.monotonic() + 30
    while server.get(f"/cairn/v1/runs/{made.copy().pop()}").json["state"] != "SUCCEEDED":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (tmp_path / "ran").read_text() == "x\n"
