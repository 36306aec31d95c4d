"""Jobs on the process executor, every image mapped to this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from worker_pools import HOST

from cairn.domain.runs import Run, RunSettings
from cairn.wiring import Cairn, open_cairn

TURNS = 1200  # of a tenth of a second each


@pytest.fixture
def cairn(cairn_home: Path) -> Iterator[Cairn]:
    with open_cairn(str(cairn_home)) as opened:
        yield opened


@pytest.fixture
def run(cairn: Cairn) -> Callable[..., Run]:
    """Run a job of these worker pools to its end."""

    def run_job(pools: list[Any], *, settings: RunSettings = HOST, create: Any = None, **spec: Any) -> Run:
        message = {"displayName": "training", "jobSpec": {"workerPoolSpecs": pools, **spec}}
        created = cairn.jobs.create(message, settings=settings, **(create or {}))
        engine = cairn.engine()
        try:
            engine.bring(created.run, created.pipeline)
            for _ in range(TURNS):
                engine.turn(0.1)
                if created.run.uid in engine.finished:
                    return engine.finished[created.run.uid]
            raise AssertionError("the job does not end")
        finally:
            engine.close()

    return run_job


@pytest.fixture
def said(cairn: Cairn) -> Callable[[Run], dict[str, str]]:
    """What each replica of a run's last attempt has written to its standard output, by its name."""
    from cairn.engine.log_tails import replicas

    def read(run: Run) -> dict[str, str]:
        last = cairn.records.attempts(run.uid)[-1]
        return {
            name or "workerpool0-0": Path(part.directory, "stdout.log").read_text() for name, part in replicas(last)
        }

    return read
