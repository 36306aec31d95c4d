"""One run in the engine's hands: its tree, what waits, what runs, and what is to be written next."""

from __future__ import annotations

import heapq
import math
import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from cairn.domain.ids import ordered_uid
from cairn.domain.resources import Capacity
from cairn.domain.runs import AttemptRecord, Exit, Failure, Run, TaskInputs, TaskOutputs, TaskRecord
from cairn.domain.states import AttemptState, ExitReason, RunState, TaskState
from cairn.engine.decide import (
    Again,
    Begin,
    Cancel,
    Drive,
    EndRun,
    Event,
    Finished,
    Record,
    Started,
    Stop,
    decide,
)
from cairn.engine.driver import Driver
from cairn.engine.flights import Flight, Flights
from cairn.engine.gangs import restarts_of
from cairn.engine.leaves import Attempt, Ready, image_key, limit_times, not_started, took_too_long, waited_too_long
from cairn.engine.memory import Memory
from cairn.engine.outputs import run_outputs
from cairn.engine.ports import EnvironmentPlan, Fence
from cairn.engine.publish import Published
from cairn.engine.resolve import failure_of
from cairn.engine.retry import backoff_seconds
from cairn.engine.services import Services
from cairn.engine.transitions import check_run
from cairn.engine.tree import RunTree, TaskNode
from cairn.engine.writer import RunWriter
from cairn.errors import CairnError, HomeError, StepError
from cairn.spec.types import Pipeline, RetryPolicy

LOST_LIMIT = 20  # attempts of one task that vanished without a trace, one after another, before it is called failed
CHUNK = 64  # tasks resolved between two cache look-ups
TURN = 512  # tasks resolved between two commits, so that a loop of cached results stays answerable


class RunMachine:
    """Everything here happens on the engine's thread. Events go in by methods; `batch` holds what they led to."""

    def __init__(
        self,
        run: Run,
        pipeline: Pipeline,
        fence: Fence,
        services: Services,
        plans: Mapping[str, EnvironmentPlan],
        machine: Capacity,
        memory: Memory,
        flights: Flights,
    ) -> None:
        self.pipeline = pipeline
        self.fence = fence
        self.services = services
        self.memory = memory
        self.flights = flights
        self.driver = Driver(run, pipeline, services, plans, machine)
        self.tree = RunTree(pipeline, fail_fast=run.settings.failure_policy == "fast")
        self.ready: deque[TaskNode] = deque()
        self.prepared: deque[Attempt] = deque()
        self.building: dict[str, list[Ready]] = {}  # by component: leaves that wait for their environment
        self.wanted: deque[str] = deque()  # components whose environment the engine is to build
        self.running: dict[str, Attempt] = {}  # by attempt uid
        self.records: dict[str, AttemptRecord] = {}
        self.backing_off: list[tuple[float, int, TaskNode]] = []
        self.leading: dict[TaskNode, Flight] = {}  # leaves that others may wait for
        self.landing: list[Flight] = []  # theirs that have a result, which the next commit writes
        self.again: deque[Ready] = deque()  # leaves that waited for another run's, to be looked up again
        self.stopping: list[str] = []
        self.writer = RunWriter(run, fence, self.driver, memory, services)
        self.ended = False
        self._tick = 0
        self._driven = 0
        self._expires = math.inf

    # --- beginning ---------------------------------------------------------------------------------------------------

    def begin(self, *, renewed: bool = False) -> None:
        """Start the run, or feed its recorded results through `decide` again. `renewed`: what did not succeed is tried
        anew."""
        if renewed:
            for record in self.memory.renew():
                self.writer.put(record)
        now = self.services.clock.now()
        cancelling = self.run.state is RunState.CANCELLING
        if self.run.state is not RunState.RUNNING and not cancelling:
            check_run(self.run.state, RunState.RUNNING)
        start = self.run.start_time if self.run.start_time and not renewed else now
        if self.pipeline.active_deadline_seconds:
            left = self.pipeline.active_deadline_seconds - (now - start) / 1e6
            self._expires = self.services.clock.monotonic() + left
        self.writer.write_run(state=RunState.RUNNING, start_time=start, end_time=0, error=None, outputs={})
        self.apply(Begin(TaskInputs(dict(self.run.parameters), dict(self.run.input_artifacts))))
        if cancelling:
            self.cancel()

    def apply(self, event: Event) -> None:
        for action in decide(self.tree, event):
            match action:
                case Drive(task):
                    task.uid = task.uid or self.memory.uid_of(task.path)
                    self.ready.append(task)
                case Record(task):
                    self.writer.record(task)
                    if task.state.terminal and task in self.leading:
                        self._leads_no_more(task)
                case Stop(task):
                    self._stop(task)
                case EndRun(state, outputs, error):
                    self._end(state, outputs, error)

    # --- driving -----------------------------------------------------------------------------------------------------

    def drive(self, room: int) -> bool:
        """Resolve ready tasks until `room` attempts wait for admission; True if anything was done."""
        done = bool(self.again)
        enough = self._driven + TURN
        while self.again and self._driven < enough:
            count = min(len(self.again), CHUNK)
            self._driven += count
            waited = [self.again.popleft() for _ in range(count)]
            self._look_up([ready for ready in waited if not ready.task.state.terminal])
        while self.ready and len(self.prepared) < room and self._driven < enough:
            chunk: list[Ready] = []
            while self.ready and len(chunk) < CHUNK:
                task = self.ready.popleft()
                if task.state.terminal:
                    continue
                done = True
                self._driven += 1
                self._drive(task, chunk)
                if len(chunk) + len(self.prepared) >= room and not self._may_hit(task):
                    break
            self._look_up(chunk)
        return done

    def _may_hit(self, task: TaskNode) -> bool:
        return self.run.settings.use_cache and (task.spec.cache or bool(task.spec.cache_key))

    def _drive(self, task: TaskNode, chunk: list[Ready]) -> None:
        try:
            outcome = self.driver.resolve(task)
        except CairnError as error:
            outcome = not_started(task, error)
        if isinstance(outcome, Ready):
            if not self._recall(task, outcome.inputs, outcome):
                chunk.append(outcome)
        elif isinstance(outcome, Finished) and self._recall(task, task.inputs, None):
            return  # an importer, recorded before
        else:
            self.apply(outcome)

    def _recall(self, task: TaskNode, inputs: TaskInputs | None, ready: Ready | None) -> bool:
        """Whether an earlier engine of this run has got further with this task; if so, go on from there."""
        known = self.memory.consult(task.path)
        if known is None:
            return False
        attempt = self.memory.running(task.path)
        identity = self.driver.identity(task)
        fits = known.state is TaskState.SUCCEEDED and self.memory.fits(known, inputs, identity)
        if fits and self.driver.intact(known.outputs):
            task.cached, task.attempts, task.retries = known.cached, known.attempts, known.retries
            self._apply_recorded(Finished(task, TaskState.SUCCEEDED, known.outputs))
            return True
        if known.state is TaskState.FAILED:
            self._apply_recorded(Finished(task, TaskState.FAILED, None, known.error))
            return True
        task.attempts, task.retries = known.attempts, known.retries
        pause = (known.not_before - self.services.clock.now()) / 1e6
        if pause > 0 and known.state is TaskState.PENDING:
            self._back_off(task, pause)
            return True
        if attempt is not None and ready is not None:
            return self._adopt(task, ready, attempt)
        return False

    def _fits(self, task: TaskNode, known: TaskRecord | None, inputs: TaskInputs | None) -> bool:
        kept = None if inputs is None else self.writer.kept(task.path, inputs)
        return self.memory.fits(known, kept, self.driver.identity(task))

    def _apply_recorded(self, event: Finished) -> None:
        """An event whose task record exists already: it is not written again."""
        self.memory.recalled.add(event.task.path)
        self.apply(event)

    def _adopt(self, task: TaskNode, ready: Ready, record: AttemptRecord) -> bool:
        attempt = self.driver.attempt(ready, record.number)
        known = self.memory.task(task.path)
        same = self._fits(task, known, ready.inputs)
        if same and self.services.executor.adopt(record.uid, record.directory):
            self.running[record.uid] = attempt
            self.records[record.uid] = record
            task.payload = record.uid
            ready.comparison = known.comparison if known is not None else None
            if ready.comparison is not None and ready.comparison.key:
                self.flights.adopted(self, self.driver.scope, ready)
            self.memory.started[task.path] = record.start_time
            self.memory.recalled.add(task.path)
            self.apply(Started(task))
            self.memory.recalled.discard(task.path)
            return True
        if not same and self.services.executor.adopt(record.uid, record.directory):
            self.services.executor.stop(record.uid, kill=True)
        self.writer.close_attempt(record, AttemptState.LOST, Exit(ExitReason.LOST, message="no exit was observed"))
        return False

    def _look_up(self, chunk: list[Ready]) -> None:
        if not chunk:
            return
        able: list[Ready] = []
        for ready in chunk:
            if self._with_environment(ready):
                able.append(ready)
        hits = self.driver.lookup(able) if able else []
        for event in hits:
            self.writer.labels.append("task.cached")
            self.apply(event)
        for ready in able:
            if ready.task.state is TaskState.PENDING and not ready.task.cached and self._may_compute(ready):
                self._prepare(ready)

    # --- equal leaves of other runs ----------------------------------------------------------------------------------

    def _may_compute(self, ready: Ready) -> bool:
        """Whether no other run computes the same; if one does, the leaf waits for it."""
        comparison = ready.comparison
        if comparison is None or not comparison.key:
            return True
        if not self.flights.board(self, self.driver.scope, ready):
            return False
        if ready.waited:  # what is recorded holds no longer
            ready.task.payload = comparison
            self.writer.put(self.writer.task_record(ready.task, TaskState.PENDING))
        return True

    def _leads_no_more(self, task: TaskNode) -> None:
        flight = self.flights.ended(self, task, succeeded=task.state is TaskState.SUCCEEDED)
        if flight is not None:
            self.landing.append(flight)

    def landed(self) -> None:
        """What was recorded is committed: who waits for results of this run has them."""
        while self.landing:
            self.flights.landed(self.landing.pop())

    def waits(self, ready: Ready, flight: Flight) -> None:
        """A leaf waits for `flight`, or goes on waiting, with another leader."""
        assert ready.comparison is not None and flight.leader is not None
        other, path = flight.crew.run, flight.leader.path
        ready.waited = True
        ready.task.payload = msgspec.structs.replace(
            ready.comparison,
            verdict="waits",
            reason=f"waits for {path} of run {other.job_id}, which computes the same",
            source_run=other.uid,
            source_path=path,
        )
        self.writer.put(self.writer.task_record(ready.task, TaskState.PENDING))
        self.writer.labels.append("task.leaf.pending")

    def look_again(self, ready: Ready) -> None:
        self.again.append(ready)

    # --- environments ------------------------------------------------------------------------------------------------

    def _with_environment(self, ready: Ready) -> bool:
        """Whether all that it runs in is ready; what is not is asked for."""
        component = ready.task.spec.component
        own = image_key(component, ready.leaf.image) if ready.leaf.image else component
        there = True
        for key, leaf in ((own, ready.leaf), *ready.leaf.pools.items()):
            if leaf.environment is None:
                try:
                    leaf.environment = self.services.environments.find(leaf.plan)
                except CairnError as error:
                    self.apply(not_started(ready.task, error))
                    return False
                if leaf.environment is None:
                    there = False
                    waiting = self.building.get(key)
                    if waiting is None:
                        self.building[key] = [ready]
                        self.wanted.append(key)
                    else:
                        waiting.append(ready)
                    continue
                for warning in leaf.environment.warnings:
                    self.driver.warn(warning)
        return there

    def environment_built(self, component: str, error: CairnError | None) -> None:
        waiting = self.building.pop(component, [])
        if error is None:
            # A job with several worker pools is looked at once the last of their environments is there.
            late = {id(ready) for others in self.building.values() for ready in others}
            live = [ready for ready in waiting if not ready.task.state.terminal and id(ready) not in late]
            self._look_up(live)
            return
        for ready in waiting:
            if not ready.task.state.terminal:
                self.apply(not_started(ready.task, error))

    def _prepare(self, ready: Ready) -> None:
        task = ready.task
        attempt = self.driver.attempt(ready, task.attempts + 1)
        try:
            self.driver.requests.request(attempt, ordered_uid())
        except CairnError as error:
            self.apply(not_started(task, error))
            return
        if ready.leaf.container.job is not None:
            began = self.run.start_time
            if not limit_times(attempt, ready.leaf.container.job, began, self.memory, self.services.clock):
                self.apply(took_too_long(attempt))
                return
        self.prepared.append(attempt)

    # --- attempts ----------------------------------------------------------------------------------------------------

    def next_prepared(self) -> Attempt | None:
        """The attempt that is to be admitted next; those whose task has ended meanwhile are passed over."""
        while self.prepared and self.prepared[0].ready.task.state.terminal:
            self.prepared.popleft()
        if not self.prepared:
            return None
        first = self.prepared[0]
        if first.wait_until < math.inf and first.ready.task.path in self.writer.fresh:
            return None
        if first.ready.waited:  # that it waits no longer is committed first: a start that is denied writes nothing
            if first.ready.task.path in self.writer.fresh:
                return None
            first.ready.waited = False
        return first

    def offer(self, attempt: Attempt) -> AttemptRecord:
        """Put an attempt up for admission: it and its task's record, in one transaction with everything else."""
        assert attempt.request is not None
        task = attempt.ready.task
        task.attempts += 1
        task.payload = attempt.ready.comparison
        record = AttemptRecord(
            run_uid=self.run.uid,
            path=task.path,
            number=attempt.number,
            uid=attempt.request.uid,
            state=AttemptState.RUNNING,
            directory=attempt.layout.directory,
            executor=attempt.request.executor,
            resources=attempt.request.resources,
            environment=attempt.ready.leaf.environment.key if attempt.ready.leaf.environment else "",
            start_time=self.services.clock.now(),
        )
        self.writer.batch.starts.append(record)
        self.writer.put(self.writer.task_record(task, TaskState.RUNNING))
        self.writer.labels.append("attempt.running")
        return record

    def admitted(self, attempt: Attempt, record: AttemptRecord) -> None:
        self.running[record.uid] = attempt
        self.records[record.uid] = record
        attempt.ready.task.payload = record.uid
        self.memory.recalled.add(attempt.ready.task.path)  # written with the start
        self.apply(Started(attempt.ready.task))
        self.memory.recalled.discard(attempt.ready.task.path)

    def denied(self, attempt: Attempt) -> None:
        task = attempt.ready.task
        task.attempts -= 1
        self.writer.fresh.pop(task.path, None)
        if attempt.wait_until < math.inf and not task.attempts and self.memory.task(task.path) is None:
            waiting = self.writer.task_record(task, TaskState.PENDING)  # since when, for engines to come
            self.memory.remember(waiting)
            self.writer.put(waiting)
        self.prepared.appendleft(attempt)

    def exited(self, uid: str, ended: Exit, published: Published | None, error: StepError | None) -> None:
        """An attempt's end: success with what it published, or what went wrong."""
        attempt = self.running.pop(uid)
        record = self.records.pop(uid)
        task = attempt.ready.task
        if published is not None and error is None:
            for warning in published.warnings:
                self.driver.warn(warning)
            self.writer.close_attempt(record, AttemptState.SUCCEEDED, ended)
            task.payload = attempt.ready.comparison
            self.apply(Finished(task, TaskState.SUCCEEDED, published.outputs))
            return
        if ended.reason is ExitReason.CANCELLED or (self.tree.cancelling and ended.reason is not ExitReason.LOST):
            self.writer.close_attempt(record, AttemptState.CANCELLED, ended)
            self.apply(Finished(task, TaskState.CANCELLED))
            return
        if ended.reason is ExitReason.LOST:
            self.writer.close_attempt(record, AttemptState.LOST, ended)
            self._lost(task)
            return
        if error is None:
            error = StepError(ended.message)
        failure = failure_of(error, task.path)
        self.writer.close_attempt(record, AttemptState.FAILED, ended, failure)
        self._discard(attempt)
        task.payload = attempt.ready.comparison
        self._failed(task, failure, restarts=restarts_of(attempt.ready.leaf.container.job, ended))

    def _lost(self, task: TaskNode) -> None:
        if task.attempts - task.retries > LOST_LIMIT:
            error = Failure(f"its last {LOST_LIMIT} attempts vanished without an exit status", place=task.path)
            self.apply(Finished(task, TaskState.FAILED, None, error))
            return
        self.apply(Again(task))
        if not task.state.terminal:
            self.ready.append(task)

    def _failed(self, task: TaskNode, failure: Failure, *, restarts: int = 0) -> None:
        """`restarts`: of a custom job that starts anew, where the task says nothing of retries."""
        policy = task.spec.retry or (RetryPolicy(restarts) if restarts else None)
        if policy is None or task.retries >= policy.max_retries or self.tree.cancelling:
            self.apply(Finished(task, TaskState.FAILED, None, failure))
            return
        task.retries += 1
        self.apply(Again(task))
        if task.state.terminal:
            return
        self._back_off(task, backoff_seconds(policy, task.retries))

    def _back_off(self, task: TaskNode, seconds: float) -> None:
        self._tick += 1
        heapq.heappush(self.backing_off, (self.services.clock.monotonic() + seconds, self._tick, task))

    def wake(self) -> None:
        """What time brings: the run's own time-out, and the end of a task's back-off."""
        now = self.services.clock.monotonic()
        if now >= self.expires:
            self.cancel()
        for attempt in [one for one in self.prepared if one.wait_until <= now]:
            self.prepared.remove(attempt)
            if not attempt.ready.task.state.terminal:
                self.apply(waited_too_long(attempt))
        while self.backing_off and self.backing_off[0][0] <= now:
            task = heapq.heappop(self.backing_off)[2]
            if not task.state.terminal:
                self.ready.append(task)

    def _discard(self, attempt: Attempt) -> None:
        path = self.services.store.path_of(attempt.layout.task_root)
        if path is not None and os.path.isdir(path):
            with suppress(HomeError):  # each attempt has a place of its own; `cairn gc` says why it stays
                self.services.store.discard(path)

    # --- cancelling and ending ---------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """End the run: as cancelled, or as failed when its own time-out has struck."""
        if self.tree.cancelling or self.ended:
            return
        expired: Failure | None = None
        if self.services.clock.monotonic() >= self._expires:
            message = f"the run was not done after {self.pipeline.active_deadline_seconds} seconds"
            expired = Failure(message, kind="DeadlineExceeded", code=4)
        if self.memory.orphans():
            while self.drive(1_000_000):  # so that what still runs is adopted, and then stopped
                pass
            self.wanted.clear()
        self.writer.write_run(state=RunState.CANCELLING)
        self.apply(Cancel(expired))

    @property
    def run(self) -> Run:
        return self.writer.run

    @property
    def expires(self) -> float:
        """When the run's own time-out strikes, on the monotonic clock; infinity for never."""
        return math.inf if self.tree.cancelling else self._expires

    def _stop(self, task: TaskNode) -> None:
        if isinstance(task.payload, str) and task.payload in self.running:
            self.stopping.append(task.payload)
            return
        self.apply(Finished(task, TaskState.CANCELLED))  # whoever comes upon it in a queue passes it over

    def _end(self, state: RunState, outputs: TaskOutputs | None, error: Failure | None) -> None:
        for orphan in self.memory.orphans():
            # Its task did not come up again: an edited pipeline has no place for it.
            if self.services.executor.adopt(orphan.uid, orphan.directory):
                self.services.executor.stop(orphan.uid, kill=True)
            self.writer.close_attempt(orphan, AttemptState.LOST, Exit(ExitReason.LOST, message="no longer wanted"))
        for known in self.memory.unfinished():
            self.writer.put(
                msgspec.structs.replace(known, state=TaskState.CANCELLED, end_time=self.services.clock.now())
            )
        values = run_outputs(self.pipeline, outputs) if outputs is not None else {}
        self.writer.write_run(state=state, end_time=self.services.clock.now(), outputs=values, error=error)
        self.writer.labels.append(f"run.{state.lower()}")
        self.ended = True
