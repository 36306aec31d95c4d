"""A run driven in the foreground: the engine turns in this thread, the view is drawn, Ctrl-C is heard."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from cairn.cli import output
from cairn.domain.runs import Run
from cairn.domain.states import RunState

if TYPE_CHECKING:
    from cairn.cli.views import View
    from cairn.engine.loop import Engine

TURN_SECONDS = 1.0
UNCLAIMED_SECONDS = 60  # a run is recorded a moment before its own process claims it; on a busy machine a long one


class Interrupts:
    """SIGINT and SIGTERM counted while the block runs; `engine.wake` makes the loop look. Only in the main thread."""

    def __init__(self, engine: Engine) -> None:
        self.count = 0
        self._engine = engine
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self._engine.wake()


def drive(engine: Engine, run_uid: str, view: View, interrupts: Interrupts) -> Run:
    """Until the run has ended; the run as it ended. The first interrupt cancels it, the second one kills.

    Raises the CairnError for which the engine had to let the run go.
    """
    answered = 0
    engine.build_progress = view.building
    while run_uid in engine.machines:
        if interrupts.count > answered:
            answered += 1
            view.say("cancelling; once more to kill" if answered == 1 else "killing")
            engine.cancel(run_uid, kill=answered > 1)
        engine.turn(view.interval or TURN_SECONDS)
        view.tick()
    if run_uid in engine.lost:
        view.close()
        raise engine.lost[run_uid]
    return engine.finished[run_uid]


def mention_abandoned(open_runs: list[Run], claimed: Any, own: str) -> None:
    """Runs that some process left behind without an end: say how they are taken up again."""
    before = (time.time_ns() // 1000) - UNCLAIMED_SECONDS * 1_000_000
    left = [
        run
        for run in open_runs
        if run.uid != own
        and not run.parent  # whoever goes on with that one goes on with it
        and not run.settings.detached
        and (run.state is not RunState.PENDING or run.create_time < before)
        and not claimed(run.uid)
    ]
    for run in left[:3]:
        output.note(f"run {run.job_id} was left by its process: `cairn runs resume {run.uid[:8]}` goes on with it")
    if len(left) > 3:
        output.note(f"and {len(left) - 3} more: `cairn runs list --state RUNNING`")
