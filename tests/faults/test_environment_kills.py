"""The engine is killed around the building of an environment."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from harness import Case, Place, command_line, processes_of, wait_for

OUTPUTS = {"Output": 27}


def built(place: Place) -> list[Path]:
    return [path for path in (place.home / "environments" / "built").glob("*") if path.is_dir()]


@pytest.mark.network
@pytest.mark.parametrize("point", ["environment.built", "after:run.running"])
def test_an_environment_is_built_once_and_whole_whatever_happens_to_the_engine(place: Place, point: str) -> None:
    case = Case(place, "cold", "lightweight")
    ended = case.run(FAULT=point)
    assert ended.killed, ended
    again = case.resume()
    assert again.status == 0, again
    case.check(outputs=OUTPUTS)
    assert len(built(place)) == 1


@pytest.mark.network
def test_a_builder_that_is_killed_leaves_nothing_that_passes_for_an_environment(place: Place) -> None:
    case = Case(place, "torn", "lightweight")
    running = case.start()
    wait_for(lambda: any("uv" in command_line(pid) for pid in processes_of(case.mark)), 20, "nothing was built")
    time.sleep(0.05)
    for pid in processes_of(case.mark):
        os.kill(pid, signal.SIGKILL)
    assert running.wait().killed
    again = case.run() if case.find() is None else case.resume()
    assert again.status == 0, again
    case.check(outputs=OUTPUTS)
    assert len(built(place)) == 1
