"""`cairn run --detach`, `cairn status`, `cairn stop`: the home's background host."""

import os
import signal
from pathlib import Path

import pytest

PIPELINES = Path(__file__).parent / "pipelines"
pytestmark = pytest.mark.network


def detached(cli, name, *arguments):
    done = cli("run", PIPELINES / f"{name}.yaml", "--detach", "--json", *arguments)
    assert done.status == 0, done.err
    assert "cairn runs watch" in done.err
    return done.json


def host_of(cli):
    found = cli("status", "--json").json["host"]
    return found["pid"] if found else None


def test_a_detached_run_is_run_by_one_host(own_home):
    cli = own_home
    first = detached(cli, "one", "a=3")
    host = host_of(cli)
    second = detached(cli, "chain", "a=3")
    assert first["state"] == "PENDING"
    assert cli("runs", "watch", first["run_id"], "--json").json["outputs"] == {"Output": 5}
    assert cli("runs", "watch", second["run_id"], "--json").json["outputs"] == {"Output": 15}
    assert host_of(cli) == host
    assert os.getsid(host) != os.getsid(0), "it has a session of its own"
    assert cli("stop", "--json").json["stopped"] == host
    assert host_of(cli) is None
    assert cli("stop").status == 0, "none is no error"


def test_a_stopped_host_lets_its_runs_go_and_the_next_one_adopts_them(own_home):
    cli = own_home
    run = detached(cli, "slow", "seconds=4", "--no-cache")
    cli.wait_until(lambda: "hello FIRST" in cli("runs", "logs", run["run_id"]).out)
    assert cli("stop", "--json").json["runs"] == [run["run_id"]]
    assert cli.newest("slow", "RUNNING")
    detached(cli, "one")
    watched = cli("runs", "watch", run["run_id"], "--json").json
    assert watched["state"] == "SUCCEEDED"
    assert [task["attempts"] for task in watched["tasks"]] == [1, 1]


def test_resume_hands_an_open_run_to_a_host_and_names_whoever_has_it(own_home):
    cli = own_home
    run = detached(cli, "slow", "seconds=4", "--no-cache")
    short = run["run_id"][:8]
    cli.wait_until(lambda: cli.newest("slow", "RUNNING"))
    held = cli("runs", "resume", short)
    assert held.status == 2
    assert f"the background host, process {host_of(cli)}" in held.err
    assert f"cairn runs watch {short}" in held.err
    cli("stop")
    assert cli("runs", "resume", short, "--detach", "--no-cache").status == 2
    again = cli("runs", "resume", short, "--detach", "--json")
    assert again.status == 0, again.err
    watched = cli("runs", "watch", short, "--json").json
    assert watched["state"] == "SUCCEEDED"
    assert [task["attempts"] for task in watched["tasks"]] == [1, 1]
    ended = cli("runs", "resume", short, "--detach")
    assert ended.status == 2
    assert "has ended" in ended.err
    assert f"cairn runs clone {short} --detach" in ended.err


def test_a_killed_host_is_replaced_and_its_run_goes_on(own_home):
    cli = own_home
    run = detached(cli, "slow", "seconds=3", "--no-cache")
    cli.wait_until(lambda: "hello first" in cli("runs", "logs", run["run_id"]).out)
    os.kill(host_of(cli), signal.SIGKILL)
    assert cli.wait_until(lambda: host_of(cli) is None)
    detached(cli, "one")
    assert cli("runs", "watch", run["run_id"], "--json").json["state"] == "SUCCEEDED"


def test_the_host_takes_up_a_run_whose_own_process_died(own_home):
    cli = own_home
    process = cli.start("run", PIPELINES / "slow.yaml", "seconds=2", "--no-cache")
    run = cli.wait_until(lambda: cli.newest("slow", "RUNNING"))
    process.kill()
    process.communicate()
    detached(cli, "one")
    assert cli("runs", "watch", run["run_id"], "--json").json["state"] == "SUCCEEDED"


def test_an_idle_host_leaves_and_the_next_run_starts_another(own_home):
    cli = own_home
    cli.variables["CAIRN_BACKGROUND_IDLE"] = "0.5"
    run = detached(cli, "one", "a=9")
    assert cli("runs", "watch", run["run_id"], "--json").json["state"] == "SUCCEEDED"
    cli.wait_until(lambda: host_of(cli) is None)
    for number in range(3):  # each may meet a host that is just leaving
        run = detached(cli, "one", f"a={number}")
        assert cli("runs", "watch", run["run_id"], "--json").json["state"] == "SUCCEEDED"


def test_a_detached_run_is_cancelled(own_home):
    cli = own_home
    run = detached(cli, "slow", "--no-cache")
    cli.wait_until(lambda: "hello first" in cli("runs", "logs", run["run_id"]).out)
    assert cli("runs", "cancel", run["run_id"], "--json").json[0]["state"] == "CANCELLED"
    assert cli.processes(run["run_id"]) == []
