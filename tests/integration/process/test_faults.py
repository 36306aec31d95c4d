"""Whatever is killed, each attempt gives one exit, and nothing of it survives that."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cairn.domain.states import ExitReason
from cairn.executors.process import recovery
from cairn.testing.executors import alive, collect, log, run, wait_until

# A step with a child, a daemon that left its session, and one that did not even keep its environment.
FAMILY = """
    sleep 60 & echo $!
    setsid sleep 60 & echo $!
    (env -i setsid sh -c 'sleep 60 & echo $!; exec sleep 60' &)
    sleep 0.2; echo $$; wait
"""


def _family(executor, commands):
    request = commands.shell(FAMILY)
    executor.start(request)
    pids = wait_until(lambda: len(_numbers(request)) == 4 and _numbers(request))
    assert all(alive(pid) for pid in pids)
    return request, pids


def _numbers(request):
    try:
        return [int(line) for line in log(request).split()]
    except OSError:
        return []


def _waiter(request):
    return recovery.read_waiter(request.directory).pid


def _parents():
    """The warm parents of this process."""
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def test_a_killed_waiter_leaves_nothing_and_its_attempt_is_lost(executor, commands):
    request, pids = _family(executor, commands)
    os.kill(_waiter(request), signal.SIGKILL)
    (ended,) = collect(executor)
    assert (ended.uid, ended.exit.reason) == (request.uid, ExitReason.LOST)
    wait_until(lambda: not [pid for pid in pids if alive(pid)], patience=2)
    assert not executor.adopt(request.uid, request.directory)
    assert run(executor, commands.command("true")).code == 0


def test_a_killed_forked_step_is_its_own_failure(executor, components):
    request = components.call("def step() -> str:\n    import os\n    os.kill(os.getpid(), 9)\n    return ''\n")
    found = run(executor, request)
    assert (found.reason, found.signal) == (ExitReason.SIGNALLED, signal.SIGKILL)


def test_a_killed_waiter_of_a_forked_step_leaves_nothing(executor, components):
    source = """
        def step() -> str:
            import os, subprocess, sys, time
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    print(os.getpid(), flush=True)
                    time.sleep(60)
                os._exit(0)
            print(subprocess.Popen(['setsid', 'sleep', '60']).pid, os.getpid(), flush=True)
            time.sleep(60)
            return ''
    """
    request = components.call(source)
    executor.start(request)
    numbers = wait_until(lambda: _printed_numbers(request, 3))
    os.kill(_waiter(request), signal.SIGKILL)
    (ended,) = collect(executor)
    assert ended.exit.reason is ExitReason.LOST
    wait_until(lambda: not [pid for pid in numbers if alive(pid)], patience=2)


def _printed_numbers(request, count):
    try:
        lines = [line for line in log(request).splitlines() if line.replace(" ", "").isdigit()]
    except OSError:
        return None
    found = [int(word) for line in lines for word in line.split()]
    return found if len(found) == count else None


def test_a_killed_warm_parent_is_replaced_and_running_attempts_go_on(executor, commands):
    before = set(_parents())
    request = commands.shell("echo begun; sleep 0.4; exit 6")
    executor.start(request)
    wait_until(lambda: _exists_with(request, "begun"))
    (parent,) = set(_parents()) - before
    os.kill(parent, signal.SIGKILL)
    (ended,) = collect(executor)
    assert (ended.exit.reason, ended.exit.code) == (ExitReason.EXITED, 6)
    assert run(executor, commands.shell("exit 2")).code == 2


def _exists_with(request, text):
    try:
        return text in log(request)
    except OSError:
        return False


def test_waiter_and_warm_parent_killed_together_leave_nothing(executor, commands):
    before = set(_parents())
    request = commands.shell("sleep 60 & echo $!; setsid sleep 60 & echo $!; echo $$; sleep 60")
    executor.start(request)
    pids = wait_until(lambda: len(_numbers(request)) == 3 and _numbers(request))
    (parent,) = set(_parents()) - before
    os.kill(parent, signal.SIGKILL)
    os.kill(_waiter(request), signal.SIGKILL)
    (ended,) = collect(executor)
    assert ended.exit.reason is ExitReason.LOST
    assert not [pid for pid in pids if alive(pid)]


def test_a_stopped_and_continued_waiter_reports_as_usual(executor, commands):
    request = commands.shell("echo begun; sleep 0.2; exit 3")
    executor.start(request)
    wait_until(lambda: _exists_with(request, "begun"))
    waiter = _waiter(request)
    os.kill(waiter, signal.SIGSTOP)
    time.sleep(0.5)
    assert executor.collect() == []
    os.kill(waiter, signal.SIGCONT)
    (ended,) = collect(executor)
    assert ended.exit.code == 3


ENGINE = """
    import os, select, sys, time
    from cairn.domain.resources import Resources
    from cairn.engine.ports import Environment, ProcessSpec, StartAttempt
    from cairn.executors.process import ProcessExecutor
    executor = ProcessExecutor()
    executor.warm(Environment(key="host"), 3)
    process = ProcessSpec(argv=("sh", "-c", sys.argv[2]), environment=Environment(key="host"))
    executor.start(StartAttempt(uid=sys.argv[1], directory=sys.argv[1], processes=(process,), resources=Resources()))
    print(os.getpid(), flush=True)
    while True:
        select.select([executor.fileno()], [], [])
        executor.collect()
"""


@pytest.fixture
def killed_engine(tmp_path):
    """An engine that started an attempt and was killed; gives the attempt's directory."""
    directory = tmp_path / "attempt"
    directory.mkdir()

    def start(script):
        engine = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(ENGINE), str(directory), script],
            stdout=subprocess.PIPE,
            env={**os.environ, "TEST_MARK": str(directory)},
        )
        assert engine.stdout.readline()
        wait_until((directory / "begun").exists)
        engine.kill()
        engine.wait()
        engine.stdout.close()
        return str(directory)

    return start


def _launchers(mark):
    """Parents and supervisors of the engine that was started with this mark; other tests run beside this one."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            is_launcher = entry.name.isdigit() and b"launcher_main.py" in (entry / "cmdline").read_bytes()
            if is_launcher and f"TEST_MARK={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return {pid for pid in found if alive(pid)}


def test_a_killed_engines_attempt_goes_on_and_is_adopted(executor, killed_engine):
    directory = killed_engine("touch ../begun; while ! test -e ../go; do sleep 0.02; done; exit 8")
    assert executor.adopt(directory, directory)
    Path(directory, "go").touch()
    (ended,) = collect(executor)
    assert (ended.uid, ended.exit.reason, ended.exit.code) == (directory, ExitReason.EXITED, 8)


def test_nothing_idle_survives_a_killed_engine(killed_engine):
    directory = killed_engine("touch ../begun; while ! test -e ../go; do sleep 0.02; done")
    assert _launchers(directory), "its waiter should be there as long as the step runs"
    Path(directory, "go").touch()
    wait_until(lambda: Path(directory, "exit.json").exists())
    wait_until(lambda: not _launchers(directory), patience=3)


def test_an_attempt_that_no_engine_can_find_any_more_is_ended(killed_engine):
    directory = killed_engine("echo $$ > ../pids; touch ../begun; sleep 60")
    step = int(Path(directory, "pids").read_text())
    time.sleep(1.2)
    assert alive(step)
    Path(directory).rename(directory + "-elsewhere")
    wait_until(lambda: not alive(step), patience=3)


def test_stop_reaches_an_adopted_attempt_and_all_that_left_its_session(executor, killed_engine):
    directory = killed_engine("setsid sleep 60 & echo $! $$ > ../pids; touch ../begun; trap '' TERM; wait; sleep 60")
    pids = [int(pid) for pid in Path(directory, "pids").read_text().split()]
    assert executor.adopt(directory, directory)
    executor.stop(directory)
    time.sleep(0.1)
    executor.stop(directory, kill=True)
    (ended,) = collect(executor)
    assert ended.exit.reason is ExitReason.CANCELLED
    assert not [pid for pid in pids if alive(pid)]


def test_waiter_killed_after_the_engine_is_found_when_the_next_one_comes(executor, killed_engine):
    directory = killed_engine("setsid sleep 60 & echo $! $$ > ../pids; touch ../begun; sleep 60")
    pids = [int(pid) for pid in Path(directory, "pids").read_text().split()]
    os.kill(recovery.read_waiter(directory).pid, signal.SIGKILL)
    if executor.adopt(directory, directory):  # the kernel had not yet let go of its lock
        assert collect(executor)[0].exit.reason is ExitReason.LOST
    assert not [pid for pid in pids if alive(pid)]


def test_a_waiter_killed_while_adopted_is_lost(executor, killed_engine):
    directory = killed_engine("echo $$ > ../pids; touch ../begun; sleep 60")
    assert executor.adopt(directory, directory)
    os.kill(recovery.read_waiter(directory).pid, signal.SIGKILL)
    (ended,) = collect(executor)
    assert ended.exit.reason is ExitReason.LOST
    assert not alive(int(Path(directory, "pids").read_text()))


def test_an_exit_from_before_a_power_cut_proves_nothing(executor, commands):
    request = commands.shell("exit 0")
    run(executor, request)
    published = Path(request.directory, "exit.json")
    published.write_text(published.read_text().replace(recovery.processes.boot_id(), "another boot"))
    assert not executor.adopt(request.uid, request.directory)


def test_a_torn_exit_is_no_exit(executor, commands):
    request = commands.shell("exit 0")
    run(executor, request)
    published = Path(request.directory, "exit.json")
    published.write_text(published.read_text()[:20])
    assert not executor.adopt(request.uid, request.directory)


@pytest.mark.skipif(os.getuid() != 0, reason="a file system of its own needs root")
def test_a_full_disk_delays_the_exit_and_loses_nothing(executor, commands, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        commands.root = small
        request = commands.shell("cat /dev/zero > ../fill; yes | head -c 300000; exit 9")
        executor.start(request)
        time.sleep(0.5)
        assert executor.collect() == []
        Path(request.directory, "fill").unlink()
        (ended,) = collect(executor)
        assert (ended.exit.reason, ended.exit.code) == (ExitReason.EXITED, 9)
        assert recovery.read_exit(request.directory).code == 9
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


@pytest.mark.skipif(os.getuid() != 0, reason="a file system of its own needs root")
def test_a_start_on_a_full_disk_is_refused_with_the_reason(executor, commands, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=True)
    try:
        commands.root = small
        request = commands.command("true", files=((str(small / "big"), b"x" * 1_000_000),))
        executor.start(request)
        wait_until(lambda: executor.collect() or (small / "big").exists())  # collecting sends the rest of the request
        (small / "big").unlink()
        (ended,) = collect(executor)
        assert ended.exit.reason is ExitReason.NOT_STARTED
        assert "ENOSPC" in ended.exit.message
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_an_attempt_directory_that_is_gone_is_an_exit(executor, commands):
    request = commands.command("true")
    Path(request.directory).rmdir()
    found = run(executor, request)
    assert found.reason is ExitReason.NOT_STARTED


def test_many_requests_before_the_parent_is_ready_all_end(executor, commands):
    requests = [commands.shell(f"exit {number % 7}") for number in range(40)]
    for request in requests:
        executor.start(request)
    ended = {one.uid: one.exit.code for one in collect(executor, 40)}
    assert [ended[request.uid] for request in requests] == [number % 7 for number in range(40)]


def test_a_request_of_many_megabytes_arrives_whole(executor, commands, tmp_path):
    content = os.urandom(30_000_000)
    request = commands.command("true", files=((str(tmp_path / "big"), content),))
    assert run(executor, request).code == 0
    assert (tmp_path / "big").read_bytes() == content
