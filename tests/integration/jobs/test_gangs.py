"""Jobs of several replicas: all or none, one for all, and what each of them is told."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from worker_pools import HOST, container

from cairn.domain.resources import Capacity
from cairn.domain.runs import Run
from cairn.domain.states import AttemptState, RunState
from cairn.engine.addresses import Addresses
from cairn.errors import UnsupportedFeature
from cairn.wiring import Cairn

TELL = """printf '{"cluster": %s, "tensorflow": %s}\\n' "$CLUSTER_SPEC" "${TF_CONFIG:-null}\""""

RunJob = Callable[..., Run]
Said = Callable[[Run], dict[str, str]]


def test_each_replica_is_told_who_and_where_the_others_are(run: RunJob, said: Said) -> None:
    pools = [container(TELL), container(TELL, 2), container(TELL), container(TELL)]
    ended = run(pools, create={"environment": {"CLOUD_ML_TRIAL_ID": "7"}})
    assert ended.state is RunState.SUCCEEDED, ended.error
    told = {name: json.loads(text) for name, text in said(ended).items()}
    assert list(told) == ["workerpool0-0", "workerpool1-0", "workerpool1-1", "workerpool2-0", "workerpool3-0"]
    clusters = [each["cluster"]["cluster"] for each in told.values()]
    assert all(cluster == clusters[0] for cluster in clusters)
    assert {name: len(places) for name, places in clusters[0].items()} == {
        "workerpool0": 1, "workerpool1": 2, "workerpool2": 1, "workerpool3": 1,
    }  # fmt: skip
    everywhere = [place for places in clusters[0].values() for place in places]
    assert len(set(everywhere)) == 5
    assert all(place.startswith("127.0.0.1:") for place in everywhere)
    worker = told["workerpool1-1"]
    assert worker["cluster"]["task"] == {"type": "workerpool1", "index": 1, "trial": "7"}
    assert worker["cluster"]["environment"] == "cloud"
    assert len(worker["cluster"]["job"]["workerPoolSpecs"]) == 4
    roles = {name: each["tensorflow"]["task"] for name, each in told.items()}
    assert roles == {
        "workerpool0-0": {"type": "chief", "index": 0, "trial": "7"},
        "workerpool1-0": {"type": "worker", "index": 0, "trial": "7"},
        "workerpool1-1": {"type": "worker", "index": 1, "trial": "7"},
        "workerpool2-0": {"type": "ps", "index": 0, "trial": "7"},
        "workerpool3-0": {"type": "evaluator", "index": 0, "trial": "7"},
    }
    # Evaluators are no part of the cluster that trains.
    assert told["workerpool3-0"]["tensorflow"]["cluster"] == {
        "chief": clusters[0]["workerpool0"], "worker": clusters[0]["workerpool1"], "ps": clusters[0]["workerpool2"],
    }  # fmt: skip


def test_ranks_are_for_those_who_train(run: RunJob, said: Said) -> None:
    tell = "echo rank=$RANK size=$WORLD_SIZE node=$PET_NODE_RANK of $PET_NNODES local=$LOCAL_RANK $MASTER_ADDR"
    ended = run([container(tell), container(tell, 2), container(tell)])
    assert said(ended) == {
        "workerpool0-0": "rank=0 size=3 node=0 of 3 local=0 127.0.0.1\n",
        "workerpool1-0": "rank=1 size=3 node=1 of 3 local=0 127.0.0.1\n",
        "workerpool1-1": "rank=2 size=3 node=2 of 3 local=0 127.0.0.1\n",
        "workerpool2-0": "rank= size= node= of local=\n",
    }


def test_one_that_is_alone_is_a_cluster_of_one_and_no_tensorflow_cluster(run: RunJob, said: Said) -> None:
    tell = f"{TELL}; echo $RANK $WORLD_SIZE $CLOUD_ML_JOB_ID $CLOUD_ML_REGION ${{LOCAL_RANK:-none}}"
    ended = run([container(tell)], create={"location": "us-central1"})
    first, second = said(ended)["workerpool0-0"].splitlines()
    assert list(json.loads(first)["cluster"]["cluster"]) == ["workerpool0"]
    assert json.loads(first)["tensorflow"] is None
    assert second == f"0 1 {ended.job_id} us-central1 none"


def test_the_jobs_own_variables_win(run: RunJob, said: Said) -> None:
    own = [{"name": name, "value": "mine"} for name in ("RANK", "CLUSTER_SPEC", "AIP_MODEL_DIR", "CLOUD_ML_JOB_ID")]
    pool = container("echo $RANK $CLUSTER_SPEC $AIP_MODEL_DIR $CLOUD_ML_JOB_ID $WORLD_SIZE", env=own)
    ended = run([pool], baseOutputDirectory={"outputUriPrefix": "gs://b/out"})
    assert said(ended) == {"workerpool0-0": "mine mine mine mine 1\n"}


def test_output_directories_are_there_and_named_as_on_vertex(run: RunJob, said: Said, cairn: Cairn) -> None:
    script = "echo $AIP_MODEL_DIR $AIP_CHECKPOINT_DIR $AIP_TENSORBOARD_LOG_DIR; echo m > /gcs/out/a/model/$RANK"
    resource = "projects/p/locations/l/tensorboards/1"
    both = f"{script}; test $AIP_TENSORBOARD_RESOURCE_NAME = {resource}"
    ended = run(
        [container(both), container(both)],
        baseOutputDirectory={"outputUriPrefix": "gs://out/a/"}, tensorboard=resource,
    )  # fmt: skip
    assert ended.state is RunState.SUCCEEDED, ended.error
    assert said(ended)["workerpool1-0"] == "gs://out/a/model/ gs://out/a/checkpoints/ gs://out/a/logs/\n"
    bucket = Path(cairn.home.root, "buckets/gs/out/a")
    assert sorted(path.name for path in (bucket / "model").iterdir()) == ["0", "1"]
    assert (bucket / "checkpoints").is_dir()


def test_buckets_that_a_command_names_are_seen(run: RunJob, said: Said, cairn: Cairn) -> None:
    bucket = Path(cairn.home.root, "buckets/gs/data-1")
    bucket.mkdir(parents=True)
    (bucket / "x:y").write_text("seen\n")
    for script, env in (
        ("cat '/gcs/data-1/x:y'", []),
        ("cat $DATA", [{"name": "DATA", "value": "/gcs/data-1/x:y"}]),
        ("cd /; cat gcs/data-1/x:y", []),
        ("true\ncat /gcs/data-1/x:y || cat /gcs/none/x", []),
    ):
        ended = run([container("true"), container(script, env=env)])
        assert ended.state is RunState.SUCCEEDED, ended.error
        assert said(ended)["workerpool1-0"] == "seen\n"
    assert [path.name for path in bucket.parent.iterdir()] == ["data-1"]


def test_one_failing_replica_ends_the_others_and_is_named(run: RunJob, cairn: Cairn) -> None:
    began = time.monotonic()
    ended = run([container("sleep 60"), container('test $RANK = 1 || { echo "no layer" >&2; exit 4; }; sleep 60', 2)])
    assert time.monotonic() - began < 30
    assert ended.state is RunState.FAILED
    assert ended.error is not None
    assert ended.error.message == "workerpool1-1: exit status 4: no layer"
    assert [one.state for one in cairn.records.attempts(ended.uid)] == [AttemptState.FAILED]


def test_the_chiefs_success_is_the_jobs_and_ends_parameter_servers(run: RunJob, said: Said) -> None:
    server = "trap 'echo asked to end; exit 1' TERM; while :; do sleep 0.1; done"
    ended = run([container("sleep 0.2"), {}, container(server)])
    assert ended.state is RunState.SUCCEEDED, ended.error
    assert said(ended)["workerpool2-0"] == "asked to end\n"


def test_workers_have_a_moment_to_end_by_themselves(run: RunJob, said: Said) -> None:
    ended = run([container("true"), container("sleep 0.5; echo done")])
    assert ended.state is RunState.SUCCEEDED
    assert said(ended)["workerpool1-0"] == "done\n"


def test_replicas_share_what_the_machine_has_and_it_is_said_once(run: RunJob, cairn: Cairn) -> None:
    ended = run([container("true", machine="n1-standard-64"), container("true", 2, machine="n1-standard-64")])
    assert ended.state is RunState.SUCCEEDED
    (warning,) = ended.warnings
    assert "the 3 replicas of job ask for 192 cores" in warning
    assert "they share what this machine has" in warning
    (attempt,) = cairn.records.attempts(ended.uid)
    assert attempt.resources.cpu_millis == cairn.capacity.cpu_millis


def test_strict_refuses_before_anything_is_recorded(run: RunJob, cairn: Cairn) -> None:
    with pytest.raises(UnsupportedFeature, match="the 2 replicas of job ask for 128 cores"):
        run([container("true", 2, machine="n1-standard-64")], settings=replace(HOST, strict=True))
    assert cairn.jobs.page() == ([], "")


def test_a_job_is_admitted_as_a_whole_or_waits(cairn: Cairn) -> None:
    """Two jobs that each want more than half of the machine never run at a time."""
    cairn.records.set_capacity(Capacity(4000, 64 << 30))
    cairn.__dict__["capacity"] = Capacity(4000, 64 << 30)
    script = "date +%s%N; sleep 0.5; date +%s%N"
    pools = [container(script, machine="e2-medium"), container(script, 2, machine="e2-medium")]
    message = {"displayName": "half", "jobSpec": {"workerPoolSpecs": pools}}
    made = [cairn.jobs.create(message, settings=HOST) for _ in range(2)]
    engine = cairn.engine()
    for each in made:
        engine.bring(each.run, each.pipeline)
    engine.run_until_done()
    engine.close()
    spans = []
    for each in made:
        (attempt,) = cairn.records.attempts(each.run.uid)
        assert attempt.resources.cpu_millis == 3000
        logs = [Path(attempt.directory, "stdout.log"), *Path(attempt.directory).glob("replica-*/stdout.log")]
        times = [int(line) for log in logs for line in log.read_text().split()]
        assert len(times) == 6
        spans.append((min(times), max(times)))
    (_, first_end), (second_start, _) = sorted(spans)
    assert first_end <= second_start


def test_a_job_that_is_not_admitted_in_time_fails_and_says_so(cairn: Cairn) -> None:
    holds = {"displayName": "holds", "jobSpec": {"workerPoolSpecs": [container("sleep 30", machine="n1-standard-96")]}}
    waits = {
        "displayName": "waits",
        "jobSpec": {"workerPoolSpecs": [container("true")], "scheduling": {"maxWaitDuration": "1s"}},
    }
    first, second = (cairn.jobs.create(message, settings=HOST) for message in (holds, waits))
    engine = cairn.engine()
    engine.bring(first.run, first.pipeline)
    while not cairn.records.attempts(first.run.uid):
        engine.turn(0.1)
    engine.bring(second.run, second.pipeline)
    while second.run.uid not in engine.finished:
        engine.turn(0.1)
    ended = engine.finished[second.run.uid]
    engine.cancel(first.run.uid, kill=True)
    engine.run_until_done()
    engine.close()
    assert ended.state is RunState.FAILED
    assert ended.error is not None
    assert "no room for it within 1 seconds (maxWaitDuration)" in ended.error.message


def test_what_a_job_has_waited_counts_when_another_engine_takes_it_up(cairn: Cairn) -> None:
    holds = {"displayName": "holds", "jobSpec": {"workerPoolSpecs": [container("sleep 30", machine="n1-standard-96")]}}
    scheduling = {"maxWaitDuration": "3s"}
    waits = {"displayName": "waits", "jobSpec": {"workerPoolSpecs": [container("true")], "scheduling": scheduling}}
    first, second = (cairn.jobs.create(message, settings=HOST) for message in (holds, waits))
    holding, engine = cairn.engine(), cairn.engine()
    holding.bring(first.run, first.pipeline)
    while not cairn.records.attempts(first.run.uid):
        holding.turn(0.1)
    began = time.monotonic()
    for _ in range(20):  # of an engine that dies, and one that comes after it
        engine.bring(second.run, second.pipeline)
        until = time.monotonic() + 0.5
        while time.monotonic() < until and second.run.uid not in engine.finished:
            engine.turn(0.05)
        if second.run.uid in engine.finished:
            break
        engine.close()
        engine = cairn.engine()
    took = time.monotonic() - began
    ended = engine.finished[second.run.uid]
    engine.close()
    holding.cancel(first.run.uid, kill=True)
    holding.run_until_done()
    holding.close()
    assert ended.error is not None
    assert "no room for it within 3 seconds" in ended.error.message
    assert took < 8


def test_a_time_out_is_the_jobs(run: RunJob) -> None:
    ended = run([container("sleep 30"), container("sleep 30")], scheduling={"timeout": "1s"})
    assert ended.state is RunState.FAILED
    assert ended.error is not None
    assert (ended.error.kind, ended.error.code) == ("DeadlineExceeded", 4)


def test_a_time_out_counts_over_restarts(run: RunJob, cairn: Cairn) -> None:
    """Four attempts of 0.8 seconds are not done within two."""
    scheduling = {"restartJobOnWorkerRestart": True, "timeout": "2s"}
    ended = run([container("sleep 0.8; exit 1")], scheduling=scheduling)
    assert ended.error is not None
    assert (ended.error.kind, ended.error.code) == ("DeadlineExceeded", 4)
    attempts = cairn.records.attempts(ended.uid)
    assert len(attempts) in (2, 3)  # where the machine is slow, two have used the time up


@pytest.mark.parametrize(("disabled", "state", "attempts"), [(False, "SUCCEEDED", 3), (True, "FAILED", 1)])
def test_a_job_restarts_when_a_worker_fails(
    run: RunJob, cairn: Cairn, tmp_path: Path, disabled: bool, state: str, attempts: int
) -> None:
    count = tmp_path / "count"
    worker = f"echo x >> {count}; test $(wc -l < {count}) -ge 3"
    scheduling = {"restartJobOnWorkerRestart": True, "disableRetries": disabled}
    ended = run([container("sleep 1"), container(worker)], scheduling=scheduling)
    assert str(ended.state) == state
    assert len(cairn.records.attempts(ended.uid)) == attempts


def test_restarts_are_three(run: RunJob, cairn: Cairn) -> None:
    ended = run([container("exit 1")], scheduling={"restartJobOnWorkerRestart": True})
    assert ended.state is RunState.FAILED
    assert len(cairn.records.attempts(ended.uid)) == 4


def test_a_job_that_took_too_long_is_not_restarted(run: RunJob, cairn: Cairn) -> None:
    ended = run([container("sleep 9")], scheduling={"restartJobOnWorkerRestart": True, "timeout": "1s"})
    assert ended.state is RunState.FAILED
    assert len(cairn.records.attempts(ended.uid)) == 1


def test_ports_of_two_engines_differ_and_are_free(tmp_path: Path) -> None:
    first, second = Addresses(str(tmp_path)), Addresses(str(tmp_path))
    one, two = first.take("a", 40), second.take("b", 40)
    assert len({*one, *two}) == 80
    for port in one:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    first.release("a")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(str, two))
    second.close()
    assert not list(tmp_path.iterdir())


def test_a_port_that_somebody_else_has_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as theirs, socket.socket() as free:
        theirs.bind(("127.0.0.1", 0))
        free.bind(("127.0.0.1", 0))
        taken, port = theirs.getsockname()[1], free.getsockname()[1]
        free.close()
        monkeypatch.setattr("cairn.engine.addresses._candidates", lambda: [taken, port, taken + 1, taken + 2])
        assert Addresses(str(tmp_path)).take("a", 1) == [port]


def test_a_job_that_is_long_to_tell_runs_all_the_same(run: RunJob, said: Callable[[Run], dict[str, str]]) -> None:
    """Each replica is told of the whole job, in a variable that the kernel takes 128 KiB of."""
    pool = container('[ -n "$CLUSTER_SPEC" ] && [ -n "$TF_CONFIG" ] && echo "${#0}"')
    pool["containerSpec"]["args"] = ["x" * 60_000]
    assert said(run([pool, pool, pool])) == {f"workerpool{index}-0": "60000\n" for index in range(3)}
