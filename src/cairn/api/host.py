"""The engine that a server hosts: a thread of its own that runs what is handed to it, and takes up what lies about."""

from __future__ import annotations

import collections
import logging
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

from cairn.errors import CairnError, InputRefused, Overloaded, RecordsBusy

if TYPE_CHECKING:
    from collections.abc import Callable

    from cairn.domain.runs import Run
    from cairn.engine.loop import Engine
    from cairn.engine.ports import Batch
    from cairn.spec.types import Pipeline
    from cairn.wiring import Cairn

LOOK_PAUSE = 0.05
LOOK_SECONDS = 0.25  # for runs that others have recorded, when the journal has moved
TAKE_SECONDS = 0.05  # spent on taking runs, before those that there are have their turn
ADOPT_SECONDS = 2.0  # for runs whose engine has died
GRACE_SECONDS = 5.0  # a run is recorded a moment before its own engine claims it
REFUSED_SECONDS = 60.0  # before a run that could not be taken is tried again

_log = logging.getLogger("cairn.host")


class EngineHost:
    """Threads: any, for every method. The engine itself lives in the host's thread alone."""

    def __init__(self, cairn: Cairn) -> None:
        self.cairn = cairn
        self.observers: list[Callable[[Run, Batch], None]] = []  # called in the host's thread after each commit
        self.failed: Callable[[], None] = _nothing  # called in the host's thread when it ends with a `failure`
        self.active = time.monotonic()  # when there last was something to run
        self._asked: collections.deque[tuple[Run, Pipeline | None, bool, Future[None] | None]] = collections.deque()
        self._resumed: list[Future[None]] = []  # answered once the turn that follows has committed
        self._engine: Engine | None = None
        self._stopping = False
        self._head = -1
        self._next_look = 0.0
        self._next_adoption = 0.0
        self._unclaimed: dict[str, float] = {}  # run uid → since when it is seen without an engine
        self._refused: dict[str, float] = {}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(30)
        if self.failure is not None:
            raise self.failure

    @property
    def running(self) -> int:
        """How many runs the engine has at the moment."""
        return len(self._engine.machines) if self._engine is not None else 0

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and self.failure is None

    def offer(self, run: Run, pipeline: Pipeline | None = None) -> None:
        """Have a recorded run taken now, rather than when it is noticed; `pipeline`: its own, read already."""
        self._ask(run, pipeline, None, renewed=False)

    def resume(self, run: Run, pipeline: Pipeline | None = None) -> None:
        """Take up a run that has ended, from what did not succeed, with `pipeline` in place of its own if one is given.
        Returns when it is recorded as running again. Raises InputRefused when it cannot."""
        answer: Future[None] = Future()
        self._ask(run, pipeline, answer, renewed=True)
        answer.result(timeout=60)

    def _ask(self, run: Run, pipeline: Pipeline | None, answer: Future[None] | None, *, renewed: bool) -> None:
        self._asked.append((run, pipeline, renewed, answer))
        if self._engine is not None:
            self._engine.wake()

    def close(self) -> None:
        """Let the runs go: their steps go on, the next engine adopts them."""
        self._stopping = True
        if self._engine is not None:
            self._engine.wake()
        if self._thread.is_alive():
            self._thread.join()

    # --- the host's thread -------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            engine = self._engine = self.cairn.engine(self._committed)
            self._ready.set()
            while not self._stopping:
                self._turn(engine)
            engine.close()
            self._let_go()
        except BaseException as error:  # noqa: BLE001 - told to whoever serves
            self.failure = error
            _log.critical("the engine has stopped", exc_info=error)
            self._ready.set()
            self._give_up()

    def _let_go(self) -> None:
        """What was asked for is recorded as it was: the next server takes what is detached."""
        waiting = [answer for _, _, _, answer in self._asked if answer is not None]
        for answer in (*waiting, *self._resumed):
            answer.set_exception(Overloaded("the server ends"))

    def _give_up(self) -> None:
        self._let_go()
        self.failed()

    def _turn(self, engine: Engine) -> None:
        until = time.monotonic() + TAKE_SECONDS
        while self._asked and not self._stopping and time.monotonic() < until:
            self._carry_out(engine, *self._asked.popleft())
        if not self._asked:
            self._look(engine, until)
        engine.turn(0.0 if self._asked or not self._next_adoption else LOOK_SECONDS)
        while self._resumed:
            self._resumed.pop().set_result(None)
        engine.finished.clear()
        for uid, error in engine.lost.items():
            _log.warning("run %s was let go: %s", uid, error)
            self._refused[uid] = time.monotonic() + ADOPT_SECONDS
        engine.lost.clear()
        if engine.machines:
            self.active = time.monotonic()

    def _carry_out(
        self, engine: Engine, run: Run, pipeline: Pipeline | None, renewed: bool, answer: Future[None] | None
    ) -> None:
        if answer is None:
            # between its being recorded and its being offered it may have been seen, and even have ended
            if run.uid not in engine.machines and not self._has_ended(run.uid):
                self._take(engine, run, pipeline)
            return
        try:
            self.cairn.runs.take(engine, run, renewed=renewed, pipeline=pipeline)
        except Exception as error:  # noqa: BLE001 - it is the asker's
            answer.set_exception(error)
        else:
            self._resumed.append(answer)

    def _has_ended(self, uid: str) -> bool:
        try:
            return self.cairn.records.run(uid).state.terminal
        except CairnError:  # `_take` says what it is
            return False

    def _look(self, engine: Engine, until: float) -> None:
        now = time.monotonic()
        if now < self._next_look:  # the journal moves with every turn
            return
        try:
            head = self.cairn.records.head()
            if head != self._head or now >= self._next_adoption:
                self._head = head
                self._next_adoption = now + ADOPT_SECONDS
                self._adopt(engine, until)
        except RecordsBusy as error:  # it looks again
            _log.warning("the records cannot be looked at: %s", error)
        done = time.monotonic()
        self._next_look = done + max(LOOK_PAUSE, 4 * (done - now))  # with many runs it takes a while

    def _adopt(self, engine: Engine, until: float) -> None:
        """Those that are to be had; when it takes longer than `until`, the rest after the engine's next turn."""
        now = time.monotonic()
        still: dict[str, float] = {}
        taken = False
        for run in self.cairn.records.open_runs():
            if self._stopping:
                return
            if taken and time.monotonic() > until:
                self._next_adoption = 0.0
                self._unclaimed |= still
                return
            if run.uid in engine.machines or self.cairn.records.claimed(run.uid) is not None:
                continue
            since = still[run.uid] = self._unclaimed.get(run.uid, now)
            ours = run.settings.detached or run.fence > 0 or now - since >= GRACE_SECONDS
            if ours and now >= self._refused.get(run.uid, 0.0):
                self._take(engine, run, None)
                taken = True
        self._unclaimed = still

    def _take(self, engine: Engine, run: Run, pipeline: Pipeline | None) -> None:
        try:
            self.cairn.runs.take(engine, run, pipeline=pipeline)
        except CairnError as error:
            engine.machines.pop(run.uid, None)
            busy = isinstance(error, RecordsBusy) and not isinstance(error, InputRefused)
            self._refused[run.uid] = time.monotonic() + (ADOPT_SECONDS if busy else REFUSED_SECONDS)
            _log.warning("run %s cannot be taken: %s", run.job_id, error)
        except Exception as error:  # noqa: BLE001 - a defect that one run meets; the others go on
            engine.machines.pop(run.uid, None)  # its lease runs out
            self._refused[run.uid] = time.monotonic() + REFUSED_SECONDS
            _log.error("run %s cannot be taken", run.job_id, exc_info=error)
        else:
            _log.info("run %s (%s) taken", run.job_id, run.uid)

    def _committed(self, run: Run, batch: Batch) -> None:
        if batch.runs and run.state.terminal:
            _log.info("run %s (%s) %s", run.job_id, run.uid, run.state)
        for observe in self.observers:
            try:
                observe(run, batch)
            except Exception as error:  # noqa: BLE001 - who looks on does not end the engine
                _log.error("what happened to run %s could not be passed on", run.job_id, exc_info=error)


def _nothing() -> None:
    pass
