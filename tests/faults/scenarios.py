"""The runs in which the engine is killed, and the named points that each of them reaches."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness import Case, Ended, Place, wait_for

from cairn.domain.states import RunState


def points(*labels: str) -> tuple[str, ...]:
    """Both points around the commit of each transition."""
    return tuple(f"{when}:{label}" for label in labels for when in ("before", "after"))


_RUN = ("lease.claimed", "started:attempt", "outputs.published", *points("run.running", "attempt.running"))
_SUBMIT = points("run.pending")
_SUCCESS = (*points("run.succeeded", "task.succeeded", "attempt.succeeded"), "lease.released")


@dataclass(frozen=True)
class Scenario:
    """`points`: what a first engine on it reaches. `later`: what only an engine that takes it up again may reach.

    `disturb` acts on the run from outside until it has ended; `mend` makes a run that has failed or was cancelled able
    to succeed. `setting` are the first kill that brings about what the scenario is about.
    """

    pipeline: str
    points: tuple[str, ...]
    outputs: dict[str, Any]
    later: tuple[str, ...] = ()
    parameters: dict[str, object] = field(default_factory=dict)
    disturb: Callable[[Case, Callable[..., Any], dict[str, str]], Ended] | None = None
    mend: str = ""
    setting: str = ""


def cancelled_from_outside(case: Case, start: Callable[..., Any], faults: dict[str, str]) -> Ended:
    """Ask for the end of the run from another process once both lingering steps run, or from the start."""
    running = start(**faults)
    wait_for(lambda: not running.alive or len(case.executions()) >= 3, 20, "the steps did not start")
    if running.alive and case.find() is not None and not case.state().terminal:
        case.place.call("runs", "cancel", case.uid)
    return running.wait(40)


def interrupted(case: Case, start: Callable[..., Any], faults: dict[str, str]) -> Ended:
    """Ctrl-C."""
    running = start(**faults)
    wait_for(lambda: not running.alive or len(case.executions()) >= 3, 20, "the steps did not start")
    wait_for(lambda: not running.alive or case.owner() == running.pid, 20, "the run was not taken")
    if running.alive:
        running.send(signal.SIGINT)
    return running.wait(40)


_CANCEL = points("run.cancelling", "run.cancelled", "attempt.cancelled", "task.cancelled")

SCENARIOS: dict[str, Scenario] = {
    "rich": Scenario(
        "rich",
        (
            *_SUBMIT,
            *_RUN,
            *_SUCCESS,
            *points("task.dag.running", "task.loop.running", "task.leaf.pending", "task.skipped", "attempt.failed"),
        ),
        {"nested": 8, "sum": 30},
    ),
    "failing": Scenario(
        "failing",
        (
            *_SUBMIT,
            *_RUN,
            "lease.released",
            *points(
                "attempt.failed", "task.failed", "task.skipped", "run.failed", "task.succeeded", "task.leaf.pending"
            ),
            *points("attempt.succeeded"),
        ),
        {"Output": "repaired"},
        mend="repaired",
    ),
    "cancelled": Scenario(
        "waiting",
        (
            *_SUBMIT,
            *_RUN,
            *_CANCEL,
            *points("task.succeeded", "attempt.succeeded", "task.loop.running"),
            "lease.released",
        ),
        {"Output": ["done", "done"]},
        disturb=cancelled_from_outside,
        mend="go",
    ),
    "interrupted": Scenario(
        "waiting",
        (*_CANCEL, "lease.released"),
        {"Output": ["done", "done"]},
        disturb=interrupted,
        mend="go",
    ),
    "lost": Scenario(
        "wide",
        points("attempt.lost"),
        {"Output": [number * number for number in range(12)]},
        setting="after:attempt.running:2",
    ),
    "cached": Scenario(
        "cached",
        (*_SUBMIT, "lease.claimed", *points("run.running", "task.cached", "task.loop.running", "run.succeeded")),
        {"Output": 14},
    ),
}

ENDED_WELL = RunState.SUCCEEDED


def make_case(place: Place, scenario: Scenario, name: str) -> Case:
    parameters = dict(scenario.parameters)
    if scenario.pipeline == "rich":
        source = place.root / "source.csv"
        if not source.exists():
            source.write_text("a,b\n1,2\n")
        parameters["source"] = source
    trace = place.root / "cached.trace" if scenario.pipeline == "cached" else None  # part of the cache key
    return Case(place, name, scenario.pipeline, trace=trace, **parameters)
