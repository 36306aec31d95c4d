"""Ctrl-C, SIGTERM, SIGKILL, and what is done with the run afterwards."""

import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

PIPELINES = Path(__file__).parent / "pipelines"
pytestmark = pytest.mark.network


def said_hello(cli, run_id, count):
    return cli("runs", "logs", run_id).out.count("hello ") >= count


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_and_resume_goes_on(cli, number):
    process = cli.start("run", PIPELINES / "slow.yaml", "--json", "--no-cache", "seconds=60")
    run = cli.wait_until(lambda: cli.newest("slow", "RUNNING"))
    cli.wait_until(lambda: said_hello(cli, run["run_id"], 2))
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert '"state":"CANCELLED"' in out
    assert f"cairn runs resume {run['run_id'][:8]}" in err
    assert cli.processes(run["run_id"]) == []
    resumed = cli.start("runs", "resume", run["run_id"], "--json")
    cli.wait_until(lambda: cli.newest("slow", "RUNNING") and said_hello(cli, run["run_id"], 2))
    states = cli.task_states(run["run_id"])
    assert states["say"] == "SUCCEEDED", "what had succeeded is kept"
    resumed.send_signal(signal.SIGINT)
    assert resumed.wait(30) == 130
    resumed.communicate()


def test_a_second_interrupt_kills(cli):
    process = cli.start("run", PIPELINES / "deaf.yaml", "--json", "--no-cache")
    run = cli.wait_until(lambda: cli.newest("deaf", "RUNNING"))
    cli.wait_until(lambda: "deaf\n" in cli("runs", "logs", run["run_id"], "stubborn").out)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None, "it waits for the step, which ignores SIGTERM"
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert time.monotonic() - begun < 5
    assert process.returncode == 130
    assert cli.processes(run["run_id"]) == []


def test_a_run_whose_process_was_killed_is_mentioned_and_resumed(cli):
    process = cli.start("run", PIPELINES / "slow.yaml", "--no-cache", "seconds=3")
    run = cli.wait_until(lambda: cli.newest("slow", "RUNNING"))
    cli.wait_until(lambda: said_hello(cli, run["run_id"], 2))
    process.kill()
    process.communicate()
    assert "no engine" in cli("runs", "list").out
    assert f"cairn runs resume {run['run_id'][:8]}" in cli.run("one").err
    resumed = cli("runs", "resume", run["run_id"], "--json")
    assert resumed.status == 0, resumed.err
    attempts = {task["path"]: task["attempts"] for task in resumed.json["tasks"]}
    assert attempts == {"say": 1, "say-2": 1}, "the step that still ran was adopted"
    assert resumed.json["outputs"] == {"Output": "FIRST"}


def test_another_process_cancels(cli):
    process = cli.start("run", PIPELINES / "slow.yaml", "--json", "--no-cache")
    run = cli.wait_until(lambda: cli.newest("slow", "RUNNING"))
    cancelled = cli("runs", "cancel", run["run_id"], "--json")
    assert cancelled.json[0]["state"] == "CANCELLED"
    assert process.wait(30) == 130
    process.communicate()
    refused = cli("runs", "cancel", run["run_id"])
    assert refused.status == 2
    assert "has ended already" in refused.err


def test_a_run_without_an_engine_is_cancelled_with_all_its_processes(cli):
    process = cli.start("run", PIPELINES / "slow.yaml", "--no-cache")
    run = cli.wait_until(lambda: cli.newest("slow", "RUNNING"))
    cli.wait_until(lambda: said_hello(cli, run["run_id"], 1))
    process.kill()
    process.communicate()
    assert cli("runs", "cancel", run["run_id"]).status == 0
    assert cli.newest("slow", "CANCELLED")["run_id"] == run["run_id"]
    assert cli.processes(run["run_id"]) == []


def on_a_terminal(cli, *arguments, interrupt_after=None, answers=(), **more):
    """Run a command with a terminal; (status, what it showed). `answers`: (what to wait for, what to type)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cli.work)
        command = cli.command(*arguments)
        os.execve(command[0], command, {**cli.variables, "TERM": "xterm", "LINES": "40", "COLUMNS": "120", **more})
    shown = b""
    pending = list(answers)
    begun = time.monotonic()
    while time.monotonic() - begun < 60:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
        if interrupt_after is not None and time.monotonic() - begun > interrupt_after:
            os.write(terminal, b"\x03")
            interrupt_after = None
        if pending and pending[0][0].encode() in shown:
            os.write(terminal, pending.pop(0)[1].encode())
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode(errors="replace").replace("\r\n", "\n")


def test_on_a_terminal_the_tree_is_live_and_stays_at_the_end(cli):
    status, shown = on_a_terminal(cli, "run", PIPELINES / "slow.yaml", "seconds=1", "--no-cache")
    assert status == 0
    assert "\x1b[1A" in shown, "it is redrawn in place"
    assert "hello FIRST" in shown, "the last line of a running step's log"
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)[-600:]
    assert "✓ say-2" in last
    assert "succeeded in" in last


def test_ctrl_c_on_a_terminal_cancels(cli):
    status, shown = on_a_terminal(cli, "run", PIPELINES / "slow.yaml", "--no-cache", interrupt_after=1.5)
    assert status == 130
    assert "cancelling" in shown
    assert "cairn runs resume" in shown


def test_no_color_is_respected(cli):
    status, shown = on_a_terminal(cli, "run", PIPELINES / "slow.yaml", "seconds=0.5", "--no-cache", NO_COLOR="1")
    assert status == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown)
    _, shown = on_a_terminal(cli, "runs", "list", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown)


def test_debug_stops_at_a_breakpoint_in_the_users_own_file(cli):
    source = (
        (PIPELINES / "steps.py").read_text().replace("    total = a + b\n", "    total = a + b\n    breakpoint()\n")
    )
    (cli.work / "one.py").write_text(source)
    done = cli("run", cli.copy_of("one"), "a=30", "--json")
    run_id = done.json["run_id"]
    before = cli("runs", "show", run_id, "add", "--json").json
    status, shown = on_a_terminal(
        cli, "runs", "debug", run_id, "add", answers=[("(Pdb)", "p total * 1000\n"), ("32000", "c\n")]
    )
    assert status == 0, shown
    assert f"{cli.work / 'one.py'}(" in shown, "pdb names the user's file"
    assert "(edited since the run)" in shown
    assert cli("runs", "show", run_id, "add", "--json").json == before
    scratch = Path(re.search(r"what it wrote is in (\S+)", shown)[1])
    written = list(scratch.rglob("executor_output.json"))
    assert len(written) == 1
    assert '"Output": 32' in written[0].read_text()


def test_debug_runs_the_recorded_source_where_there_is_no_other(cli):
    done = cli("run", cli.copy_of("one"), "a=31", "--json")
    debugged = cli("runs", "debug", done.json["run_id"], "add")
    assert debugged.status == 0, debugged.err
    assert "recorded source" in debugged.err
    done = subprocess.run(
        cli.command("runs", "debug", "latest", "add", "--listen", "5678"),
        env=cli.variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "debugpy" in done.stderr
