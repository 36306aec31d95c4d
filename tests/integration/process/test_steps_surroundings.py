"""What a step finds around it: links, snapshots, limits, time-outs, replicas."""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from lightweight_steps import output

from cairn.domain.resources import Resources
from cairn.domain.states import ExitReason
from cairn.engine.ports import ProcessSpec
from cairn.executors.process import ProcessExecutor, recovery
from cairn.launcher.limits import THREAD_COUNTS
from cairn.testing.executors import alive, collect, log, run, wait_until


@pytest.fixture
def mounting(executor, missing_service):
    if not executor.can_mount():
        missing_service("mount namespaces", "the kernel refuses them to this user")


@pytest.fixture
def shared(tmp_path):
    directory = tmp_path / "bucket"
    (directory / "deep").mkdir(parents=True)
    (directory / "deep" / "object").write_text("content")
    return directory


@pytest.mark.usefixtures("mounting")
@pytest.mark.parametrize("seen", ["/gcs/some-bucket", "/kfp-workspace", "/usr/share/cairn-test/deep/er", "/mnt"])
def test_a_link_is_seen_where_the_step_expects_it_and_nowhere_else(executor, commands, shared, seen):
    existed = Path(seen).exists()
    entries = os.listdir("/"), os.listdir("/usr/share")
    request = commands.shell(
        f"cat {seen}/deep/object && echo new > {seen}/written && ls /usr/bin | wc -l", links=((seen, str(shared)),)
    )
    found = run(executor, request)
    assert (found.code, log(request, "stderr")) == (0, "")
    assert log(request).startswith("content")
    assert int(log(request)[len("content") :]) > 100
    assert (shared / "written").read_text() == "new\n"
    assert Path(seen).exists() == existed
    assert (os.listdir("/"), os.listdir("/usr/share")) == entries


@pytest.mark.usefixtures("mounting")
def test_a_forked_step_sees_its_links_and_the_next_one_does_not(executor, components, shared):
    source = "def step() -> bool:\n    import os\n    return os.path.exists('/gcs/b/deep/object')\n"
    first, second = components.call(source, links=(("/gcs/b", str(shared)),)), components.call(source)
    assert run(executor, first).code == 0
    assert run(executor, second).code == 0
    assert (output(first), output(second)) == (True, False)


@pytest.mark.usefixtures("mounting")
def test_several_links_and_a_single_file(executor, commands, shared, tmp_path):
    secret = tmp_path / "key"
    secret.write_text("hush")
    links = (("/gcs/one", str(shared)), ("/gcs/two", str(shared)), ("/etc/cairn-secret/key", str(secret)))
    request = commands.shell(
        "cat /gcs/one/deep/object /gcs/two/deep/object /etc/cairn-secret/key; test -e /etc/passwd", links=links
    )
    assert run(executor, request).code == 0
    assert log(request) == "contentcontenthush"


@pytest.mark.usefixtures("mounting")
@pytest.mark.parametrize(
    "link", [("/", "/tmp"), ("relative", "/tmp"), ("/a/../etc", "/tmp"), ("/gcs/x", "/nowhere/at/all")]
)
def test_a_link_that_cannot_be_is_not_started(executor, commands, link):
    found = run(executor, commands.command("true", links=(link,)))
    assert found.reason is ExitReason.NOT_STARTED
    assert found.message


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")
def test_an_ordinary_user_gets_links_by_a_user_namespace(tmp_path, shared):
    probe = """
import ctypes, os, sys
from cairn.launcher import mounts
os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # dumpable again, or /proc/self stays root's
os.makedirs(sys.argv[2]) if not os.path.exists(sys.argv[2]) else None
mounts.enter([("/gcs/b", sys.argv[1])], sys.argv[2])
print(open("/gcs/b/deep/object").read(), os.getuid())
"""
    place = Path("/tmp") / f"cairn-view-{os.getpid()}"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    reachable = place / "bucket"
    subprocess.run(["cp", "-r", str(shared), str(reachable)], check=True)
    try:
        done = subprocess.run(
            [sys.executable, "-c", probe, str(reachable), str(place / "attempt")],
            capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
    finally:
        subprocess.run(["rm", "-rf", str(place)], check=True)
    if "Operation not permitted" in done.stderr or "No space left" in done.stderr:
        pytest.skip("user namespaces: the kernel refuses them")
    assert done.stdout == "content 65534\n", done.stderr


@pytest.fixture
def project(tmp_path, commands):
    """An environment of a project's directory, and that directory."""
    template = tmp_path / "project"
    (template / "package").mkdir(parents=True)
    (template / "package" / "data.txt").write_text("original")
    (template / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (template / "run.sh").chmod(0o755)
    (template / "link").symlink_to("package/data.txt")
    return msgspec.structs.replace(commands.environment, working_directory=str(template)), template


def test_a_snapshot_is_the_attempts_own(executor, commands, project):
    environment, template = project
    script = "./run.sh; printf changed >> package/data.txt; cat link; touch new; rm run.sh"
    first, second = (commands.shell(script, environment=environment) for _ in "ab")
    executor.start(first)
    executor.start(second)
    assert [one.exit.code for one in collect(executor, 2)] == [0, 0]
    for request in (first, second):
        assert log(request) == "ran\noriginalchanged"
    assert sorted(path.name for path in template.rglob("*")) == ["data.txt", "link", "package", "run.sh"]
    assert (template / "package" / "data.txt").read_text() == "original"


def test_in_place_uses_the_directory_itself(executor, commands, project):
    environment, template = project
    environment = msgspec.structs.replace(environment, in_place=True)
    request = commands.shell("pwd; touch new", environment=environment)
    assert run(executor, request).code == 0
    assert log(request).strip() == str(template)
    assert (template / "new").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="hiding the cgroups needs root")
def test_where_there_is_no_cgroup_memory_is_watched_and_cpus_are_bound(tmp_path):
    limit = 96 << 20
    script = "import os,time; a = len(os.sched_getaffinity(0)); print(a, flush=True); b = bytearray(%d); time.sleep(60)"
    hidden = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh"]
    done = subprocess.run(
        [*hidden, sys.executable, "-c", UNCONTROLLED, str(tmp_path), str(limit), sys.executable, script % (limit * 2)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["OUT_OF_MEMORY", "memory:watchdog", "cpu:affinity", "cpu:threads"], done.stderr
    assert (tmp_path / "stdout.log").read_text() == "1\n"


UNCONTROLLED = """
import select, sys
from cairn.domain.resources import Resources
from cairn.engine.ports import Environment, ProcessSpec, StartAttempt
from cairn.executors.process import ProcessExecutor, recovery
directory, limit, *command = sys.argv[1:]
executor = ProcessExecutor()
process = ProcessSpec(argv=(command[0], "-c", command[1]), environment=Environment(key="host"))
limits = Resources(memory_limit_bytes=int(limit), cpu_limit_millis=1000)
executor.start(StartAttempt(uid="u", directory=directory, processes=(process,), resources=limits))
exits = []
while not exits:
    select.select([executor.fileno()], [], [])
    exits = executor.collect()
executor.close()
print(exits[0].exit.reason, *exits[0].exit.limits)
"""


def test_cpu_limits_set_thread_counts_that_the_step_may_overrule(executor, commands):
    names = " ".join(f"${name}" for name in THREAD_COUNTS)
    limited = Resources(cpu_limit_millis=1500)
    request = commands.shell(f"echo {names}", resources=limited, variables={"OMP_NUM_THREADS": "7"})
    run(executor, request)
    assert log(request).split() == ["7", "2", "2", "2"]


def test_a_cpu_limit_is_kept(executor, commands):
    request = commands.shell(
        "i=0; while [ $i -lt 4000000 ]; do i=$((i+1)); done",
        resources=Resources(cpu_limit_millis=200),
        timeout_seconds=1.5,
    )
    found = run(executor, request)
    if "cpu:cgroup" not in found.limits:
        pytest.skip("a CPU cgroup: not granted here")
    assert found.cpu_seconds < 0.6


def test_no_cgroup_is_left_behind(executor, commands):
    request = commands.command("true", resources=Resources(memory_limit_bytes=1 << 30, cpu_limit_millis=500))
    run(executor, request)
    named = f"cairn-{request.uid}*"  # other tests run beside this one
    assert not subprocess.run(["find", "/sys/fs/cgroup", "-name", named], capture_output=True, text=True).stdout


def test_a_memory_limit_holds_for_a_forked_step(executor, components):
    request = components.call(
        "def step() -> str:\n    return str(len(bytearray(400 << 20)))\n",
        resources=Resources(memory_limit_bytes=128 << 20),
    )
    assert run(executor, request).reason is ExitReason.OUT_OF_MEMORY


def test_a_time_out_kills_what_ignores_it_and_all_it_started(commands):
    executor = ProcessExecutor(grace_seconds=0.3)
    try:
        request = commands.shell(
            "trap '' TERM; setsid sleep 60 & echo $! $$; while :; do sleep 0.05; done", timeout_seconds=0.3
        )
        found = run(executor, request)
        assert (found.reason, found.signal) == (ExitReason.DEADLINE_EXCEEDED, 9)
        assert not [pid for pid in log(request).split() if alive(int(pid))]
    finally:
        executor.close()


def test_replicas_start_together_and_a_failing_one_ends_the_others(executor, commands):
    def replica(name, script):
        return ProcessSpec(argv=("sh", "-c", script), environment=commands.environment, replica=name)

    request = commands.start(
        (replica("chief", "echo chief; sleep 60"), replica("worker-0", "echo worker; sleep 0.3; exit 4"))
    )
    began = time.monotonic()
    found = run(executor, request)
    assert time.monotonic() - began < 10
    assert (found.reason, found.code) == (ExitReason.EXITED, 4)
    assert "worker-0" in found.message
    assert log(request) == "chief\n"
    assert Path(request.directory, "replica-1-worker-0", "stdout.log").read_text() == "worker\n"


def test_replicas_that_all_succeed_are_one_success(executor, commands):
    processes = tuple(
        ProcessSpec(argv=("sh", "-c", f"sleep 0.{number}"), environment=commands.environment, replica=str(number))
        for number in range(3)
    )
    assert run(executor, commands.start(processes)).code == 0


def test_both_streams_can_be_read_in_order(executor, commands):
    from cairn.launcher.logs import interleaved

    request = commands.shell("for i in 1 2 3; do echo out $i; sleep 0.03; echo err $i >&2; sleep 0.03; done; echo last")
    run(executor, request)
    expected = [f"{stream} {number}\n" for number in (1, 2, 3) for stream in ("out", "err")] + ["last\n"]
    assert [data.decode() for _, data in interleaved(request.directory)] == expected


def test_logs_can_be_read_while_the_step_runs(executor, commands):
    request = commands.shell("echo early; sleep 60")
    executor.start(request)
    wait_until(lambda: Path(request.directory, "stdout.log").exists() and log(request) == "early\n", patience=2)
    executor.stop(request.uid, kill=True)
    collect(executor)


def test_binary_output_and_escapes_are_kept_as_they_are(executor, commands):
    content = bytes(range(256)) * 10
    source = commands.root / "binary"
    source.write_bytes(content)
    request = commands.command("cat", str(source))
    run(executor, request)
    assert Path(request.directory, "stdout.log").read_bytes() == content


def test_engine_variables_do_not_reach_a_step(executor, commands, monkeypatch):
    monkeypatch.setenv("CAIRN_DATABASE", "postgresql://user:password@host/db")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    request = commands.command("env")
    run(executor, request)
    assert "password" not in log(request)
    assert "PYTHONDONTWRITEBYTECODE" not in log(request)


def test_idle_environments_are_let_go(executor, commands):
    for number in range(12):
        environment = msgspec.structs.replace(commands.environment, key=f"environment-{number}")
        assert run(executor, commands.command("true", environment=environment)).code == 0
    assert len(executor._parents) <= 8


def test_other_environments_steps_get_their_own_variables(executor, commands):
    environment = msgspec.structs.replace(commands.environment, key="other", variables={"WHO": "other"})
    request = commands.shell("echo $WHO", environment=environment)
    run(executor, request)
    assert log(request) == "other\n"


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_chatty_step_costs_the_waiter_little(executor, commands, stream):
    script = f"i=0; while [ $i -lt 20000 ]; do echo line $i >&{stream}; i=$((i+1)); done"
    request = commands.shell(script)
    executor.start(request)
    waiter = wait_until(lambda: recovery.read_waiter(request.directory).pid)
    (ended,) = collect(executor)
    assert ended.exit.code == 0
    assert log(request, "stdout" if stream == "1" else "stderr").splitlines() == [f"line {n}" for n in range(20000)]
    fields = Path(f"/proc/{waiter}/stat").read_text().rpartition(")")[2].split()
    assert (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") < 0.3
