"""The engine on a real home: shell commands as steps, so that no environment has to be built."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest

from cairn.domain.runs import ImageMapping, Run, RunSettings, Submission
from cairn.domain.states import AttemptState, RunState
from cairn.engine.loop import Engine
from cairn.engine.machine import RunMachine
from cairn.engine.ports import Owner
from cairn.errors import InputRefused, UnsupportedFeature
from cairn.spec.load import load_text
from cairn.spec.types import Pipeline
from cairn.wiring import Cairn, open_cairn

HOST = (ImageMapping("*", "host"),)


@pytest.fixture
def cairn(cairn_home: Path) -> Iterator[Cairn]:
    with open_cairn(str(cairn_home)) as opened:
        yield opened


def pipeline(name: str, *commands: str) -> Pipeline:
    """A chain of shell commands."""
    components, executors, tasks = {}, {}, {}
    for number, command in enumerate(commands):
        components[f"comp-{number}"] = {"executorLabel": f"exec-{number}"}
        container = {"image": "shell", "command": ["sh", "-c", command]}
        executors[f"exec-{number}"] = {"container": container}
        tasks[f"step-{number}"] = {
            "componentRef": {"name": f"comp-{number}"},
            "taskInfo": {"name": f"step-{number}"},
            **({"dependentTasks": [f"step-{number - 1}"]} if number else {}),
        }
    spec = {
        "components": components,
        "deploymentSpec": {"executors": executors},
        "pipelineInfo": {"name": name},
        "root": {"dag": {"tasks": tasks}},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
    }
    return load_text(json.dumps(spec), origin=name)


def submit(cairn: Cairn, spec: Pipeline, **settings: object) -> Run:
    return cairn.runs.submit(spec, Submission(settings=RunSettings(images=HOST, **settings)))  # type: ignore[arg-type]


def finish(engine: Engine, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while engine.machines:
        assert time.monotonic() < deadline, "the engine does not come to an end"
        engine.turn(0.1)


def test_a_run_that_makes_the_engine_raise_is_put_aside_and_the_others_go_on(
    cairn: Cairn, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = submit(cairn, pipeline("bad", "sleep 60", "true"))
    good = submit(cairn, pipeline("good", "sleep 0.3", "true"))
    engine = cairn.engine()
    broken: RunMachine = cairn.runs.take(engine, bad)
    cairn.runs.take(engine, good)
    engine.turn(0.1)
    assert broken.running, "its first step should run by now"

    def defect() -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(broken, "wake", defect)
    finish(engine)
    assert engine.finished[good.uid].state is RunState.SUCCEEDED
    ended = cairn.records.run(bad.uid)
    assert ended.state is RunState.FAILED
    assert ended.error is not None
    assert ended.error.kind == "Defect"
    assert "ZeroDivisionError" in ended.error.remedy
    assert cairn.records.holders() == [], "its step still holds a part of the machine"
    assert not [attempt for attempt in cairn.records.attempts(bad.uid) if not attempt.state.terminal]


def test_a_run_belongs_to_one_engine_at_a_time(cairn: Cairn, cairn_home: Path) -> None:
    run = submit(cairn, pipeline("held", "sleep 0.5"))
    engine = cairn.engine()
    cairn.runs.take(engine, run)
    with open_cairn(str(cairn_home)) as other:
        other.services.owner = msgspec.structs.replace(other.services.owner, pid=1)  # as if of another process
        with pytest.raises(InputRefused, match=str(os.getpid())):
            other.runs.take(other.engine(), cairn.records.run(run.uid))
    finish(engine)
    assert engine.finished[run.uid].state is RunState.SUCCEEDED


def test_cancelling_a_wide_run_takes_no_longer_for_its_width(cairn: Cairn) -> None:
    spec = json.loads(pipeline("wide", "sleep 60").text)
    tasks = spec["root"]["dag"]["tasks"] if "root" in spec else spec["pipelineSpec"]["root"]["dag"]["tasks"]
    step = tasks.pop("step-0")
    for number in range(3000):
        tasks[f"s{number}"] = {**step, "taskInfo": {"name": f"s{number}"}}
    run = submit(cairn, load_text(json.dumps(spec), origin="wide"))
    engine = cairn.engine()
    cairn.runs.take(engine, run)
    for _ in range(5):
        engine.turn(0.05)
    begin = time.monotonic()
    engine.cancel(run.uid, kill=True)
    finish(engine)
    assert engine.finished[run.uid].state is RunState.CANCELLED
    assert time.monotonic() - begin < 10
    assert cairn.records.task_counts(run.uid) == {"CANCELLED": 3000}


def test_a_command_is_told_of_a_runs_end(cairn: Cairn, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    run = submit(cairn, pipeline("told", "exit 3"), notify=f"sh -c 'cat > {told}'")
    engine = cairn.engine()
    cairn.runs.take(engine, run)
    finish(engine)
    message = json.loads(told.read_text())
    assert (message["run_id"], message["state"]) == (run.uid, "FAILED")
    assert "status 3" in message["error"]


@pytest.mark.parametrize("answer", [200, 302, 500])
def test_a_webhook_is_told_of_a_runs_end_and_changes_nothing(cairn: Cairn, answer: int) -> None:
    received: list[dict[str, object]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answer)
            self.send_header("Location", "http://169.254.169.254/")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        run = submit(cairn, pipeline("hooked", "true"), notify=f"http://127.0.0.1:{server.server_port}/end")
        engine = cairn.engine()
        cairn.runs.take(engine, run)
        finish(engine)
    finally:
        server.shutdown()
        server.server_close()
    [message] = received
    assert (message["run_id"], message["state"]) == (run.uid, "SUCCEEDED")
    ended = cairn.records.run(run.uid)
    assert ended.state is RunState.SUCCEEDED
    assert bool(ended.warnings) is (answer != 200)


def test_a_webhook_on_a_private_network_is_not_called(cairn: Cairn) -> None:
    run = submit(cairn, pipeline("private", "true"), notify="http://10.0.0.1/end")
    engine = cairn.engine()
    cairn.runs.take(engine, run)
    finish(engine)
    [warning] = cairn.records.run(run.uid).warnings
    assert "private network" in warning


def test_a_stopped_attempt_of_a_dead_engine_gives_its_room_back(cairn: Cairn, cairn_home: Path) -> None:
    """Nobody resumes the dead engine's run; what it held of the machine is found free all the same."""
    script = (
        "import sys, time\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_runs import *\n"
        f"with open_cairn({str(cairn_home)!r}) as cairn:\n"
        f"    spec = pipeline('hog', 'sleep 60')\n"
        "    engine = cairn.engine()\n"
        "    run = submit(cairn, spec)\n"
        "    machine = cairn.runs.take(engine, run)\n"
        "    while not machine.running: engine.turn(0.05)\n"
        "    time.sleep(0.3)\n"
        "    print('up', flush=True)\n"
        "    time.sleep(60)\n"
    )
    variables = {**os.environ, "CAIRN_MACHINE_CPU": "1"}
    dead = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=variables)
    assert dead.stdout is not None
    assert dead.stdout.readline() == b"up\n"
    [(_, directory)] = held = [(one, place) for one, place in _leases(cairn)]
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    dead.stdout.close()
    waiter = json.loads(Path(directory, "waiter.lock").read_bytes())
    os.kill(waiter["pid"], signal.SIGKILL)
    assert held
    run = submit(cairn, pipeline("next", "true"))
    engine = cairn.engine()
    engine.machine = type(engine.machine)(1000, engine.machine.memory_bytes)
    cairn.runs.take(engine, run)
    finish(engine)
    assert engine.finished[run.uid].state is RunState.SUCCEEDED


def _leases(cairn: Cairn) -> list[tuple[str, str]]:
    return [
        (attempt.uid, attempt.directory)
        for run in cairn.records.open_runs()
        for attempt in cairn.records.attempts(run.uid)
        if not attempt.state.terminal
    ]


def test_a_run_stays_with_its_engine_however_many_others_come(cairn: Cairn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trials of a tuning job, say, which begin more often than leases are renewed."""
    monkeypatch.setattr("cairn.engine.loop.LEASE_SECONDS", 0.6)
    long, short = pipeline("long", "sleep 60"), pipeline("short", "true")
    engine = cairn.engine()
    kept = submit(cairn, long)
    cairn.runs.take(engine, kept)
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        cairn.runs.take(engine, submit(cairn, short))
        engine.turn(0.05)
    other = Owner(os.getpid(), 1, "another boot", "")
    with pytest.raises(InputRefused, match="is being run by"):
        cairn.records.claim(kept.uid, other, lease_seconds=1)
    engine.cancel(kept.uid, kill=True)
    finish(engine)
    engine.close()


def test_a_run_that_was_brought_and_meets_a_defect_is_put_aside(cairn: Cairn) -> None:
    engine = cairn.engine()

    def defective(engine: Engine, run: Run, pipeline: Pipeline | None) -> None:
        raise ZeroDivisionError("what nobody foresaw")

    spec = pipeline("brought", "true")
    brought, other = (cairn.runs.submit(spec, Submission(settings=RunSettings(images=HOST))) for _ in range(2))
    engine.taker = defective
    engine.bring(brought)
    cairn.runs.take(engine, other)
    engine.run_until_done()
    assert "what nobody foresaw" in str(engine.lost[brought.uid])
    assert engine.finished[other.uid].state is RunState.SUCCEEDED
    engine.close()


def test_a_step_whose_executor_cannot_be_made_fails_and_the_engine_goes_on(
    cairn: Cairn, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = UnsupportedFeature("the container engine is gone", remedy="start it")

    def refuse(request: object) -> None:
        raise refused

    run = cairn.runs.submit(pipeline("refused", "true"), Submission(settings=RunSettings(images=HOST)))
    engine = cairn.engine()
    cairn.runs.take(engine, run)
    monkeypatch.setattr(cairn.executor, "start", refuse)
    engine.run_until_done()
    ended = engine.finished[run.uid]
    assert ended.state is RunState.FAILED
    assert ended.error is not None and "the container engine is gone" in ended.error.message
    (attempt,) = cairn.records.attempts(run.uid)
    assert attempt.state is AttemptState.FAILED, "what it held is given back"
    assert cairn.records.run(run.uid).state is RunState.FAILED
    engine.close()


def test_a_step_whose_directory_cannot_be_made_fails_and_that_is_recorded(cairn: Cairn) -> None:
    run = cairn.runs.submit(pipeline("placeless", "true"), Submission(settings=RunSettings(images=HOST)))
    runs = Path(cairn.services.runs_directory)
    runs.mkdir(exist_ok=True)
    (runs / run.uid).write_text("in the way")
    engine = cairn.engine()
    cairn.runs.take(engine, run)
    engine.run_until_done()
    assert cairn.records.run(run.uid).state is RunState.FAILED
    (attempt,) = cairn.records.attempts(run.uid)
    assert attempt.state is AttemptState.FAILED
    engine.close()
