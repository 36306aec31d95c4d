"""A home with a clock that only moves when it is told to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from cairn.domain.runs import ImageMapping, Run, RunSettings, Submission
from cairn.domain.states import RunState
from cairn.engine.ports import Batch
from cairn.records.owners import this_process
from cairn.schedules.firing import Firing
from cairn.schedules.types import Definition, Schedule, Trigger
from cairn.wiring import Cairn, open_cairn

SECOND = 1_000_000
PIPELINE = (Path(__file__).parents[2] / "faults" / "pipelines" / "single.yaml").read_text()
HOST = RunSettings(images=(ImageMapping("*", "host"),))


def at(text: str) -> int:
    """Microseconds of an instant; UTC unless it says otherwise."""
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * SECOND


def told(moment: int) -> str:
    return datetime.fromtimestamp(moment // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@dataclass
class StillClock:
    time: int

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return self.time / SECOND


@dataclass
class Home:
    """`firing` is one server's; `restart` puts another in its place."""

    root: Path
    time: str = "2026-01-01T00:00:00"
    started: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = StillClock(at(self.time))
        self.cairn = self.open()
        self.firing = Firing(self.cairn.schedules)

    def open(self) -> Cairn:
        cairn = open_cairn(str(self.root))
        cairn.clock = self.clock  # type: ignore[assignment]
        return cairn

    def restart(self) -> None:
        self.cairn.close()
        self.cairn = self.open()
        self.firing = Firing(self.cairn.schedules)

    def create(self, cron: str = "", *, paused: bool = False, backfill: bool = False, **fields: object) -> Schedule:
        trigger = fields.pop("trigger", None) or Trigger(cron=cron)
        template = fields.pop("submission", None) or Submission({"number": 1, "trace": "/dev/null"}, HOST)
        schedule = Schedule("", trigger, template, **{"display_name": "s", **fields})  # type: ignore[arg-type]
        return self.cairn.schedules.create(schedule, Definition(PIPELINE), paused=paused, backfill=backfill)

    def go_to(self, time: str | int) -> None:
        self.clock.time = at(time) if isinstance(time, str) else time

    def tick(self, time: str | int = "", *, turns: int = 1000) -> list[str]:
        """Turns until nothing is left at that time: the nominal times of the runs that were made."""
        if time:
            self.go_to(time)
        before = len(self.started)
        for _ in range(turns):
            if not self.firing.tick(self.clock.now(), lambda run, _: self.started.append(run)):
                break
        return [told(run.schedule_time) for run in self.started[before:]]

    def each_second(self, begin: str, end: str, step: int = 1) -> list[str]:
        """As a server does it, from one time to another."""
        made = []
        for moment in range(at(begin), at(end) + 1, step * SECOND):
            made += self.tick(moment)
        return made

    def get(self, schedule: Schedule) -> Schedule:
        return self.cairn.schedules.get(schedule.id, project=schedule.project, location=schedule.location)

    def end(self, run: Run) -> None:
        """Let a run be over, as an engine would record it."""
        fence = self.cairn.records.claim(run.uid, this_process(), lease_seconds=60)
        ended = msgspec.structs.replace(self.cairn.records.run(run.uid), state=RunState.SUCCEEDED)
        self.cairn.records.commit(Batch(fences={run.uid: fence}, runs=[ended]))
        self.cairn.records.release(fence)

    def runs(self) -> list[Run]:
        """All that are recorded, oldest first."""
        return self.cairn.records.list_runs(limit=100_000)[::-1]


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    yield made
    made.cairn.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def anywhere(request, tmp_path, monkeypatch):
    """`home`, on each of the databases."""
    if request.param == "postgres":
        monkeypatch.setenv("CAIRN_RECORDS_URL", request.getfixturevalue("postgres_url"))
    made = Home(tmp_path / "home")
    yield made
    made.cairn.close()
