"""`cairn jobs`: the real command."""

import json
import os
import time
from pathlib import Path

import pytest

IMAGE = ("--image", "example.com/trainer:1", "--image", "*=host")
JOB = """
displayName: from a file
labels: {team: vision}
jobSpec:
  workerPoolSpecs:
    - containerSpec: {imageUri: example.com/trainer:1, command: [sh, -c, "echo $WORLD_SIZE"]}
      replicaCount: 1
    - {}
    - container_spec: {image_uri: example.com/trainer:1, command: [sh, -c, "sleep 60"]}
"""


@pytest.fixture
def home(cli, tmp_path):
    return cli.at(tmp_path / "home")


def test_a_command_runs_in_replicas_and_is_shown(home):
    ran = home("jobs", "run", *IMAGE, "--replicas", 3, "--env", "A=b", "--label", "k=v", "--display-name", "three",
               "--json", "--", "sh", "-c", "echo $A $RANK of $WORLD_SIZE")  # fmt: skip
    assert ran.status == 0, ran.err
    assert "job  succeeded" in ran.err
    job_id = ran.json["job_id"]
    (listed,) = home("jobs", "list", "--label", "k=v", "--json").json
    assert (listed["job_id"], listed["display_name"], listed["state"]) == (job_id, "three", "SUCCEEDED")
    assert home("jobs", "list", "--state", "failed", "--json").json == []
    shown = home("jobs", "show", "latest", "--json").json
    assert [pool["replicaCount"] for pool in shown["job"]["jobSpec"]["workerPoolSpecs"]] == [1, 2]
    told = home("jobs", "show", job_id).out
    assert "workerpool1" in told
    assert "2 replicas" in told
    assert home("jobs", "logs", job_id).out.splitlines() == [
        "workerpool0-0 | b 0 of 3",
        "workerpool1-0 | b 1 of 3",
        "workerpool1-1 | b 2 of 3",
    ]
    assert home("jobs", "logs", job_id, "--replica", "workerpool1-1").out == "b 2 of 3\n"
    pieces = [json.loads(line) for line in home("jobs", "logs", job_id, "--json").out.splitlines()]
    assert pieces[0] == {"replica": "workerpool0-0", "attempt": 1, "stream": "stdout", "text": "b 0 of 3\n"}
    missing = home("jobs", "logs", job_id, "--replica", "nobody")
    assert missing.status == 2
    assert "workerpool1-1" in missing.err
    assert home("runs", "list", "--json").json == []
    refused = home("runs", "debug", job_id, "job")
    assert refused.status == 2
    assert "several replicas" in refused.err
    refused = home("runs", "clone", job_id)
    assert refused.status == 2
    assert "cairn jobs run" in refused.err
    assert home("jobs", "delete", job_id, "--yes").status == 0
    assert home("jobs", "show", job_id).status == 2


def test_a_failing_replica_is_named_with_what_it_said(home):
    ran = home("jobs", "run", *IMAGE, "--replicas", 2, "--", "sh", "-c",
               "test $RANK = 0 || { echo no layer >&2; exit 3; }; sleep 60")  # fmt: skip
    assert ran.status == 1
    assert "workerpool1-0: exit status 3: no layer" in ran.err


@pytest.mark.parametrize("whole", [True, False])
def test_a_job_of_a_file(home, tmp_path, whole):
    text = (
        JOB if whole else JOB.partition("jobSpec:\n")[2].replace("\n  ", "\n").replace("  workerPool", "workerPool", 1)
    )
    (tmp_path / "job.yaml").write_text(text)
    ran = home("jobs", "run", tmp_path / "job.yaml", "--image", "*=host", "--json", "--base-output-dir", "gs://b/x")
    assert ran.status == 0, ran.err
    shown = home("jobs", "show", "latest", "--json").json
    assert shown["display_name"] == ("from a file" if whole else "job")
    assert shown["labels"] == ({"team": "vision"} if whole else {})
    assert shown["job"]["jobSpec"]["baseOutputDirectory"] == {"outputUriPrefix": "gs://b/x"}
    assert os.path.isdir(home.home / "buckets/gs/b/x/model")
    assert home("jobs", "logs", "latest").out == "workerpool0-0 | 1\n"


def test_the_job_of_the_page_runs_as_it_says(home, tmp_path):
    page = (Path(__file__).parents[3] / "docs/jobs.md").read_text()
    text = page.split("<!-- example: job.yaml -->\n```yaml\n")[1].partition("```")[0]
    (tmp_path / "job.yaml").write_text(text)
    ran = home("jobs", "run", tmp_path / "job.yaml", "--image", "acme/*=host", "--json")
    assert ran.status == 0, ran.err
    printed = home("jobs", "logs", "latest").out
    assert len(printed.splitlines()) == 3
    assert printed in page


def test_a_job_left_to_the_background_is_followed_and_cancelled(home):
    left = home("jobs", "run", *IMAGE, "--detach", "--", "sh", "-c", "echo begun; sleep 60")
    assert left.status == 0, left.err
    follower = home.start("jobs", "stream-logs", "latest")
    assert follower.stdout.readline() == "begun\n"
    cancelled = home("jobs", "cancel", "latest", "--json")
    assert cancelled.status == 0, cancelled.err
    assert [one["state"] for one in cancelled.json] == ["CANCELLED"]
    until = time.monotonic() + 20
    assert follower.wait(timeout=max(0.1, until - time.monotonic())) == 0
    follower.stdout.close()
    follower.stderr.close()
    again = home("jobs", "cancel", "latest")
    assert again.status == 2
    assert "has ended" in again.err
    home("stop")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give a FILE"),
        (("nowhere.yaml",), "there is no such file"),
        ((*IMAGE, "--replicas", "0", "--", "true"), "at least one replica"),
        ((*IMAGE, "--env", "A", "--", "true"), "--env NAME=VALUE"),
        ((*IMAGE, "--image", "b:2", "--", "true"), "2 images are named"),
        ((*IMAGE, "--machine-type", "n1-standrad-4", "--", "true"), "n1-standard-4"),
        (("--image", "example.com/trainer:1", "--", "true"), "--executor docker"),
        ((*IMAGE, "--strict", "--machine-type", "m1-ultramem-160", "--", "true"), "asks for"),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_remedy(home, words, said):
    refused = home("jobs", "run", *words)
    assert refused.status == 2, refused.err
    assert said in refused.err
    assert home("jobs", "list", "--json").json == []


@pytest.mark.parametrize(
    ("written", "misspelt", "place", "remedy"),
    [
        ("replicaCount: 1", "replicaCuont: 1", "jobSpec.workerPoolSpecs[0].replicaCuont", "write replicaCount"),
        ("image_uri", "image", "jobSpec.workerPoolSpecs[2].container_spec.image", "write imageUri"),
        ("labels: {team: vision}", "label: {team: vision}", "label", "write labels"),
        ("displayName: from a file", "wholly: different", "wholly", "leave it out"),
    ],
)
def test_a_field_that_there_is_not_is_refused_with_the_nearest(home, tmp_path, written, misspelt, place, remedy):
    (tmp_path / "job.yaml").write_text(JOB.replace(written, misspelt))
    refused = home("jobs", "run", tmp_path / "job.yaml", "--image", "*=host")
    assert refused.status == 2, refused.err
    assert f"job.yaml: {place}: there is no such field" in refused.err
    assert f"→ {remedy}" in refused.err
    assert home("jobs", "list", "--json").json == []


def test_what_is_wrong_in_a_file_is_told_by_its_place_there(home, tmp_path):
    (tmp_path / "job.yaml").write_text(JOB.replace("replicaCount: 1", "replicaCount: two"))
    refused = home("jobs", "run", tmp_path / "job.yaml", "--image", "*=host")
    assert refused.status == 2
    assert "error: the custom job: jobSpec.workerPoolSpecs[0].replicaCount: 'two' is no count" in refused.err


def test_a_job_that_there_is_not_is_looked_for_among_jobs(home):
    refused = home("jobs", "show", "nope")
    assert refused.status == 2
    assert "there is no job 'nope'" in refused.err
    assert "cairn jobs list" in refused.err


def test_without_a_container_engine_the_other_way_is_named(home, tmp_path):
    home.variables["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
    refused = home("jobs", "run", "--executor", "docker", "--image", "example.com/trainer:1", "--", "true")
    assert refused.status == 2
    assert "no container engine answers at" in refused.err
    assert "--executor process --image 'example.com/trainer:1=host'" in refused.err
    assert home("jobs", "list", "--json").json == []


def test_a_shell_completes_jobs(home):
    job = home("jobs", "run", *IMAGE, "--display-name", "mine", "--json", "--", "true").json

    def completed(incomplete):
        words = f"cairn jobs show {incomplete}"
        found = home(_CAIRN_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD="3")
        return [line.partition(",")[2] for line in found.out.splitlines() if line]

    assert completed("") == ["latest", job["job_id"]]
    assert completed(job["job_id"][:5]) == [job["job_id"]]
    assert job["run_id"][:8] in completed(job["run_id"][:6])
    assert completed("zz") == []


def test_a_field_without_an_effect_here_is_only_warned_about(home, tmp_path):
    text = JOB.replace("jobSpec:\n", "state: JOB_STATE_SUCCEEDED\njobSpec:\n  serviceAccount: me@example.com\n")
    (tmp_path / "job.yaml").write_text(text)
    ran = home("jobs", "run", tmp_path / "job.yaml", "--image", "*=host")
    assert ran.status == 0, ran.err
    assert "no effect on this machine: the service account" in ran.err


def test_a_job_is_told_of_as_a_job(home):
    ran = home("jobs", "run", *IMAGE, "--", "true")
    assert ran.status == 0, ran.err
    job_id = home("jobs", "list", "--json").json[0]["job_id"]
    assert ran.err.startswith(f"job {job_id} (")
    assert ran.out.startswith(f"job {job_id} succeeded in ")
    assert "look further: cairn jobs show " in ran.out
    failed = home("jobs", "run", *IMAGE, "--", "false")
    assert failed.status == 1
    assert "whole log: cairn jobs logs " in failed.err
    assert "once more: cairn runs resume " in failed.err
    for text in (ran.err + ran.out, failed.out):
        assert "runs" not in text
