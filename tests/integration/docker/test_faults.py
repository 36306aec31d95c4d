"""Whatever is killed, each attempt gives one exit, no container is left, and none that vanishes is a success."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from containers import Dockerd, described

from cairn.domain.states import ExitReason
from cairn.executors.process import recovery
from cairn.launcher import container_sweep
from cairn.testing.executors import collect, log, marked, run, wait_until

WAIT_FOR_GO = "echo begun; while ! test -e ../go; do sleep 0.02; done; echo done; exit 6"


def _begun(request, text="begun"):
    try:
        return text in log(request)
    except OSError:
        return False


def _start(executor, request):
    executor.start(request)
    wait_until(lambda: _begun(request))


def _go(request):
    Path(request.directory, "go").touch()


def test_a_killed_waiter_is_lost_and_its_containers_are_removed(executor, attempts, container_engine):
    request = attempts.gang(WAIT_FOR_GO, "sleep 60")
    _start(executor, request)
    assert len(container_engine.containers_of(request)) == 2
    os.kill(recovery.read_waiter(request.directory).pid, signal.SIGKILL)
    (ended,) = collect(executor)
    assert (ended.uid, ended.exit.reason) == (request.uid, ExitReason.LOST)
    assert not container_engine.containers_of(request)
    assert not marked(request)
    assert not executor.adopt(request.uid, request.directory)
    assert run(executor, attempts.command("true")).code == 0


def test_a_container_whose_creation_was_under_way_when_its_waiter_was_killed_is_removed(
    executor, attempts, container_engine
):
    request = attempts.command("true")
    name = f"cairn-{request.uid}"
    container_sweep.write_mark(request.directory, container_engine.socket, [name])

    def create():
        time.sleep(0.5)
        body = {"Image": container_engine.image_id, "Cmd": ["true"], "Labels": {"cairn.attempt": request.uid}}
        container_engine.api.call("POST", "/containers/create", body, name=name)

    late = threading.Thread(target=create)
    late.start()
    assert not executor.adopt(request.uid, request.directory)
    late.join()
    assert not container_engine.containers_of(request)


ENGINE = """
    import select, sys
    import msgspec
    from cairn.config.settings import DockerSettings
    from cairn.engine.ports import StartAttempt
    from cairn.executors.docker import DockerExecutor
    executor = DockerExecutor(sys.argv[1], DockerSettings())
    executor.start(msgspec.json.decode(sys.stdin.buffer.read(), type=StartAttempt))
    while True:
        select.select([executor.fileno()], [], [])
        executor.collect()
"""


def _start_in_an_engine_that_is_killed(request, socket):
    import msgspec

    engine = subprocess.Popen([sys.executable, "-c", textwrap.dedent(ENGINE), socket], stdin=subprocess.PIPE)
    engine.stdin.write(msgspec.json.encode(request))
    engine.stdin.close()
    wait_until(lambda: _begun(request))
    engine.kill()
    engine.wait()


def test_the_container_of_a_killed_engine_goes_on_and_is_adopted(executor, attempts, container_engine):
    request = attempts.shell(WAIT_FOR_GO)
    _start_in_an_engine_that_is_killed(request, container_engine.socket)
    assert executor.adopt(request.uid, request.directory)
    _go(request)
    (ended,) = collect(executor)
    assert (ended.uid, ended.exit.reason, ended.exit.code) == (request.uid, ExitReason.EXITED, 6)
    assert log(request) == "begun\ndone\n"
    assert not container_engine.containers_of(request)


def test_a_waiter_killed_after_the_engine_leaves_no_container_to_the_next_one(executor, attempts, container_engine):
    request = attempts.shell(WAIT_FOR_GO)
    _start_in_an_engine_that_is_killed(request, container_engine.socket)
    os.kill(recovery.read_waiter(request.directory).pid, signal.SIGKILL)
    if executor.adopt(request.uid, request.directory):  # the kernel had not yet let go of its lock
        assert collect(executor)[0].exit.reason is ExitReason.LOST
    assert not container_engine.containers_of(request)


def test_what_nobody_could_remove_is_found_by_its_label(make_executor, attempts, container_engine):
    home = str(attempts.root)
    first = make_executor(home=home)
    lost, held = attempts.shell(WAIT_FOR_GO), attempts.shell(WAIT_FOR_GO)
    _start(first, lost)
    _start(first, held)
    make_executor.close(first)
    waiter = recovery.read_waiter(lost.directory).pid
    Path(lost.directory, "container.json").unlink()
    os.kill(waiter, signal.SIGKILL)
    wait_until(lambda: not recovery.is_held(lost.directory))
    (attempts.root / "another").mkdir()
    make_executor.close(make_executor(home=str(attempts.root / "another")))
    assert container_engine.containers_of(lost)
    second = make_executor(home=home)
    wait_until(lambda: not container_engine.containers_of(lost))
    assert second.adopt(held.uid, held.directory)
    _go(held)
    (ended,) = collect(second)
    assert (ended.uid, ended.exit.code) == (held.uid, 6)


def test_what_nobody_could_remove_is_looked_for_while_an_engine_lives(make_executor, attempts, container_engine):
    home = str(attempts.root)
    executor = make_executor(home=home, sweep_seconds=0.2)
    held = attempts.shell(WAIT_FOR_GO)
    _start(executor, held)
    left = attempts.command("true")
    body = executor._maker.container(left, 0)["body"] | {"Cmd": ["sleep", "60"]}
    container_engine.api.call("POST", "/containers/create", body, name=f"cairn-{left.uid}")
    wait_until(lambda: not container_engine.containers_of(left))
    assert container_engine.containers_of(held)
    _go(held)
    assert collect(executor)[0].exit.code == 6


def test_a_container_removed_from_outside_is_a_failure(executor, attempts, container_engine):
    request = attempts.shell(WAIT_FOR_GO)
    _start(executor, request)
    container_sweep.remove(container_engine.api, container_engine.containers_of(request))
    (ended,) = collect(executor)
    assert ended.exit.reason is ExitReason.SIGNALLED
    assert "removed from outside" in ended.exit.message
    assert log(request) == "begun\n"


def test_a_container_stopped_from_outside_says_by_which_signal(executor, attempts, container_engine):
    request = attempts.shell(WAIT_FOR_GO)
    _start(executor, request)
    (name,) = container_engine.containers_of(request)
    container_engine.api.call("POST", f"/containers/{name}/kill", signal="SIGINT")
    (ended,) = collect(executor)
    assert (ended.exit.reason, ended.exit.signal) == (ExitReason.SIGNALLED, signal.SIGINT)


def test_an_engine_that_is_not_there_is_named_with_a_remedy(make_executor, attempts):
    nowhere = str(attempts.root / "nowhere.sock")
    found = run(make_executor(socket=nowhere, gone_seconds=0.3), attempts.command("true"))
    assert found.reason is ExitReason.NOT_STARTED
    assert nowhere in found.message
    assert "DOCKER_HOST" in found.message


def test_an_image_that_is_gone_is_named(executor, attempts):
    from cairn.engine.ports import ContainerImage, Environment

    image = ContainerImage("gcr.io/acme/trainer:2", "sha256:" + "0" * 64)
    found = run(executor, attempts.command("true", environment=Environment(image.id, image=image)))
    assert found.reason is ExitReason.NOT_STARTED
    assert "gcr.io/acme/trainer:2" in found.message


@pytest.fixture
def dockerd(tmp_path_factory, missing_service):
    """A dockerd of the test's own, to be killed."""
    if lacking := Dockerd.lacking():
        missing_service("a container engine", lacking)
    dockerd = Dockerd(tmp_path_factory.mktemp("d"))
    dockerd.start()
    yield dockerd
    dockerd.close()


COUNTING = "echo begun; i=0; while ! test -e ../go; do i=$((i+1)); echo $i; echo e$i >&2; sleep 0.01; done; exit 6"


def test_an_engine_that_is_restarted_is_come_back_to(dockerd, make_executor, attempts):
    engine = described(dockerd.socket)
    executor = make_executor(socket=dockerd.socket)
    ended_meanwhile = attempts.shell(COUNTING, environment=engine.environment)
    request = attempts.shell(COUNTING, environment=engine.environment)
    for each in (ended_meanwhile, request):
        _start(executor, each)
    for number in (signal.SIGTERM, signal.SIGKILL):
        dockerd.end(number)
        if number == signal.SIGKILL:
            _go(ended_meanwhile)
        time.sleep(0.3)
        dockerd.start()
        before = len(log(request))
        wait_until(lambda before=before: len(log(request)) > before + 100)
    _go(request)
    found = {ended.uid: ended.exit for ended in collect(executor, 2)}
    for each in (ended_meanwhile, request):
        assert (found[each.uid].reason, found[each.uid].code) == (ExitReason.EXITED, 6)
        counted = log(each).split()[1:]
        assert counted == [str(number + 1) for number in range(len(counted))]
        assert log(each, "stderr").split() == [f"e{number}" for number in counted]
        assert not engine.containers_of(each)


def test_an_engine_that_stays_away_is_named_and_a_kill_needs_none(dockerd, make_executor, attempts):
    engine = described(dockerd.socket)
    home = str(attempts.root)
    executor = make_executor(socket=dockerd.socket, gone_seconds=1.5, home=home)
    killed, given_up = (attempts.shell(WAIT_FOR_GO, environment=engine.environment) for _ in range(2))
    for each in (killed, given_up):
        _start(executor, each)
    dockerd.end(signal.SIGTERM)
    executor.stop(killed.uid, kill=True)
    found = {ended.uid: ended.exit for ended in collect(executor, 2)}
    assert (found[killed.uid].reason, found[killed.uid].signal) == (ExitReason.CANCELLED, signal.SIGKILL)
    assert not marked(killed)
    assert found[given_up.uid].reason is ExitReason.LOST
    assert dockerd.socket in found[given_up.uid].message
    assert marked(given_up)
    dockerd.start()
    make_executor.close(make_executor(socket=dockerd.socket, home=home))
    assert not engine.containers_of(given_up)
    assert not marked(given_up)
    assert json.loads(Path(given_up.directory, "container.json").read_text())["containers"]


@pytest.mark.parametrize(
    ("words", "variables", "named"),
    [(("x" * 200_000,), {}, "argument 1 has 200000"), ((), {"BIG": "x" * 200_000}, "variable BIG has 200004")],
)
def test_words_that_the_kernel_does_not_pass_on_are_named(executor, attempts, words, variables, named):
    found = run(executor, attempts.command("true", *words, variables=variables))
    assert found.reason is ExitReason.NOT_STARTED
    assert named in found.message
