"""A job outlives the engine that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from worker_pools import HOST, container

from cairn.domain.states import AttemptState, RunState
from cairn.wiring import Cairn, open_cairn

ENGINE = """
import sys
from cairn.wiring import open_cairn
with open_cairn(sys.argv[1]) as cairn:
    engine = cairn.engine()
    run = cairn.records.run(sys.argv[2])
    cairn.runs.take(engine, run)
    engine.run_until_done()
"""


def test_replicas_of_a_killed_engine_are_adopted_together(cairn: Cairn, cairn_home: Path) -> None:
    script = f"echo begun >> {cairn_home}/$RANK; while [ ! -e {cairn_home}/go ]; do sleep 0.05; done; echo done $RANK"
    message = {"displayName": "d", "jobSpec": {"workerPoolSpecs": [container(script), container(script, 2)]}}
    made = cairn.jobs.create(message, settings=HOST)
    first = subprocess.Popen([sys.executable, "-c", ENGINE, str(cairn_home), made.run.uid])
    while not all((cairn_home / str(rank)).exists() for rank in range(3)):
        assert first.poll() is None
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    with open_cairn(str(cairn_home)) as second:
        engine = second.engine()
        second.runs.take(engine, second.records.run(made.run.uid))
        engine.turn(0.1)
        (cairn_home / "go").touch()
        engine.run_until_done()
        ended = engine.finished[made.run.uid]
        engine.close()
        assert ended.state is RunState.SUCCEEDED, ended.error
        (attempt,) = second.records.attempts(made.run.uid)
    assert attempt.state is AttemptState.SUCCEEDED
    assert [(cairn_home / str(rank)).read_text() for rank in range(3)] == ["begun\n"] * 3
    logs = [Path(attempt.directory, "stdout.log"), *sorted(Path(attempt.directory).glob("replica-*/stdout.log"))]
    assert [log.read_text() for log in logs] == ["done 0\n", "done 1\n", "done 2\n"]
