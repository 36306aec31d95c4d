"""A server that is killed between a schedule's tick and what is recorded of it: each tick is one run all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import PIPELINES, Place, wait_for

from cairn.domain.runs import ImageMapping, RunSettings, Submission
from cairn.schedules.firing import POINTS
from cairn.schedules.types import Definition, Schedule, ScheduleState, Trigger

COUNT = 4
TEXT = (PIPELINES / "single.yaml").read_text()


class Host:
    """The home's background host, without a command line around it."""

    def __init__(self, place: Place, **variables: str) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")}
        source = str(Path(__file__).parents[2] / "src")
        given = {f"CAIRN_{name}": value for name, value in variables.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cairn.api.background"],
            env={**own, "CAIRN_HOME": str(place.home), "PYTHONPATH": source, **given},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(place.root / "host.log").open("ab"),
        )

    def killed(self) -> bool:
        """Whether it has met its fault point."""
        return self.process.poll() == -signal.SIGKILL

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)


def make(place: Place, **fields: object) -> Schedule:
    cairn = place.open()
    try:
        settings = RunSettings(images=(ImageMapping("*", "host"),))
        template = Submission({"number": 1, "trace": str(place.root / "trace")}, settings)
        schedule = Schedule("", Trigger("* * * * * *"), template, max_run_count=COUNT, **fields)  # type: ignore[arg-type]
        return cairn.schedules.create(schedule, Definition(TEXT))
    finally:
        cairn.close()


def finish(place: Place, schedule: Schedule) -> None:
    """Another host completes it, and its runs."""
    host = Host(place)
    try:
        cairn = place.open()
        try:
            wait_for(
                lambda: (
                    cairn.schedules.find(schedule.id).state is ScheduleState.COMPLETED and not cairn.records.open_runs()
                ),
                40,
                lambda: str(cairn.schedules.find(schedule.id)),
            )
            runs = cairn.records.list_runs(limit=100)[::-1]
            times = [run.schedule_time // 1_000_000 for run in runs]
            assert times == list(range(times[0], times[0] + COUNT)), "one is missing, or there twice"
            assert times[0] - schedule.create_time // 1_000_000 <= 1
            assert {str(run.state) for run in runs} == {"SUCCEEDED"}
            assert cairn.schedules.find(schedule.id).started_run_count == COUNT
            assert len((place.root / "trace").read_text().split()) == COUNT
        finally:
            cairn.close()
    finally:
        host.stop()


@pytest.mark.parametrize("limit", [0, 1])
@pytest.mark.parametrize("occurrence", [1, 3])
@pytest.mark.parametrize("point", POINTS)
def test_killed_around_a_tick(tmp_path, point, occurrence, limit):
    place = Place(tmp_path)
    schedule = make(place, max_concurrent_run_count=limit, allow_queueing=bool(limit))
    host = Host(place, FAULT=f"{point}:{occurrence}")
    try:
        wait_for(host.killed, 30, "the host has not come to its fault point")
    finally:
        host.stop()
    finish(place, schedule)


def test_killed_at_any_moment(tmp_path):
    place = Place(tmp_path)
    schedule = make(place)
    for pause in (0.6, 0.9, 0.75):
        host = Host(place)
        time.sleep(pause)
        host.process.kill()
        host.process.wait(10)
    finish(place, schedule)


def test_a_host_with_an_active_schedule_does_not_leave(tmp_path):
    place = Place(tmp_path)
    schedule = make(place)
    cairn = place.open()
    try:
        later = Schedule("", Trigger("0 5 1 1 *"), schedule.submission)
        waiting = cairn.schedules.create(later, Definition(TEXT))
        host = Host(place, BACKGROUND_IDLE="0.5")
        try:
            time.sleep(COUNT + 3)
            assert host.process.poll() is None
            cairn.schedules.pause(waiting)
            wait_for(lambda: host.process.poll() == 0, 20, "it does not leave")
        finally:
            host.stop()
    finally:
        cairn.close()
