"""Batches of jobs, as runs of a pipeline in one engine: what Hydra's sweeper drives.

A job's run is found again by its request id (sweep, number, overrides). So a sweep that is driven again takes what is
recorded, takes over what still runs, and starts only the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from hydra.core.utils import JobReturn, JobStatus

from cairn.config.composing import Composed
from cairn.domain.runs import Run, Submission
from cairn.domain.states import RunState
from cairn.engine.configuring import ConfiguredRun
from cairn.engine.loop import Engine
from cairn.engine.runs import RunService
from cairn.errors import Conflict, FenceLost, InputRefused, JobFailed, RunCancelled, StepError
from cairn.spec.parameters import resolve_parameters
from cairn.spec.types import Pipeline
from cairn.sweeps.deciding import Decider
from cairn.sweeps.metrics import Address, parse_address, read_metric
from cairn.sweeps.plans import Outcome, Plan, by_number, request_of
from cairn.sweeps.service import SweepService
from cairn.sweeps.types import LABEL, Definition, Sweep, SweepState

TURN_SECONDS = 0.5
ASKED_SECONDS = 0.5  # between two looks at whether another process asks for the end
COUNTED_SECONDS = 2.0  # between two writings of how far it is
AT_ONCE = 16  # runs in the engine at once, at least; steps are admitted by the machine's ledger
_PER_CORE = 4


class Watcher(Protocol):
    """What is told of a sweep while it goes on. From the thread that drives it."""

    interval: float
    """Seconds between two calls of `tick`; 0.0 when it need not be called."""

    def recorded(self, sweep: Sweep) -> None: ...

    def planned(self, total: int) -> None: ...

    def composing(self, done: int, total: int) -> None: ...

    def started(self, number: int, overrides: Sequence[str], run: Run) -> None: ...

    def ended(
        self, number: int, overrides: Sequence[str], run: Run | None, metrics: Sequence[float | None], reason: str
    ) -> None:
        """`reason`: why there is no run."""

    def taken(self, count: int, failed: int) -> None:
        """So many jobs of this batch had ended before."""

    def say(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def tick(self) -> None: ...


class Configurer(Protocol):
    """A job's pipeline and submission: what a configuration says, and what the command line says over it. What it names
    is looked up; nothing is made."""

    def __call__(self, composed: Composed, given: Submission) -> ConfiguredRun: ...

    @property
    def text(self) -> str:
        """Of the pipeline, once a job was configured: what resuming goes on with."""

    @property
    def for_each_job(self) -> bool:
        """Whether it is another pipeline for each configuration."""


MakeExperiment = Callable[[str, str], str]
"""(name, project) → id; made when there is none."""


class SweepRunner:
    """Drives the engine while a batch runs. `interrupts` counts Ctrl-C: the first cancels, the second one kills.

    `on_mismatch`: refuse | start, where a job that is recorded is decided on differently now.
    """

    def __init__(
        self,
        service: SweepService,
        runs: RunService,
        engine: Engine,
        decider: Decider,
        sweep: Sweep,
        configure: Configurer,
        experiment: MakeExperiment,
        watcher: Watcher,
        *,
        resumed: bool = False,
        interrupts: Callable[[], int] = lambda: 0,
        retry_failed: bool = False,
        on_mismatch: str = "refuse",
    ) -> None:
        """`resumed`: the sweep is recorded."""
        self.service = service
        self.runs = runs
        self.engine = engine
        self.decider = decider
        self.sweep = sweep
        self.configure = configure
        self.experiment = experiment
        self.watcher = watcher
        self.interrupts = interrupts
        self.retry_failed = retry_failed
        self.on_mismatch = on_mismatch
        self.plans: list[Plan] = []
        self.begun = resumed
        self._addresses: tuple[Address, ...] | None = None
        self._before = by_number(service.runs(sweep)) if resumed else {}
        self._experiment = ""
        self._answered = 0
        self._warned: set[str] = set()
        self._asked = False
        self._next_look = self._next_count = self._next_elsewhere = 0.0
        self._elsewhere: set[str] = set()  # runs that another engine has: a server takes up what a killed sweep left
        self._mismatched = False

    # --- what Hydra's launcher calls ---------------------------------------------------------------------------------

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """One batch to its end. Raises InputRefused before anything of the batch is started, RunCancelled."""
        batch = []
        for at, overrides in enumerate(job_overrides):
            batch.append(self._plan(initial_job_idx + at, tuple(map(str, overrides))))
            self.watcher.composing(at + 1, len(job_overrides))
            if self.interrupts():
                raise self._cancelled()
        self._record(batch)
        self.plans += batch
        self.watcher.planned(max(self.sweep.planned, len(self.plans)))
        self._run(batch)
        return [self._outcome(plan) for plan in batch]

    def finish(self, error: str = "") -> Sweep:
        """The sweeper is done, or will not go on."""
        counts = self.counts()
        if counts.get("PENDING") and not error and not self._asked:
            error = f"{counts['PENDING']} not started, as {words_of(self._failures())} failed"
        state = SweepState.SUCCEEDED if set(counts) <= {"SUCCEEDED"} and not error else SweepState.FAILED
        if self._asked:
            state = SweepState.CANCELLED
        return self._end(state, error)

    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for plan in self.plans:
            waits = plan.left or not plan.refused
            state = str(plan.run.state) if plan.run is not None else "PENDING" if waits else "FAILED"
            found[state] = found.get(state, 0) + 1
        return found

    # --- planning ----------------------------------------------------------------------------------------------------

    def _plan(self, number: int, overrides: tuple[str, ...]) -> Plan:
        plan = Plan(number, overrides, request_of(self.sweep.id, number, overrides))
        earlier = self._before.get(number, {})
        plan.run = earlier.get(plan.request_id)
        if earlier and plan.run is None:
            self._mismatch(plan, next(iter(earlier.values())))
        if plan.run is not None:
            state = plan.run.state
            plan.renewed = state is RunState.CANCELLED or (state is RunState.FAILED and self.retry_failed)
            return plan
        composed = self.decider.compose(overrides, sweep=self.sweep.id, number=number)
        given = msgspec.structs.replace(
            self.sweep.submission,
            request_id=plan.request_id,
            labels={**self.sweep.submission.labels, LABEL: self.sweep.id},
        )
        meant = self.configure(composed, given)
        if not self.sweep.name:
            self.sweep = msgspec.structs.replace(self.sweep, name=meant.pipeline.name)
        job_id = "" if earlier else f"{self.sweep.name}-{self.sweep.id[:6]}-{number}"
        plan.pipeline, plan.submission = meant.pipeline, msgspec.structs.replace(meant.submission, job_id=job_id)
        self._warn(plan.submission.warnings)
        self._experiment = self._experiment or given.experiment or meant.said.sweep.experiment or meant.said.experiment
        resolve_parameters(plan.pipeline, {**plan.pipeline.parameters, **plan.submission.parameters})
        if self.begun and plan.submission.project != self.sweep.project:
            raise InputRefused("a sweep's runs are of one project", place="cairn.project")
        if self._addresses is None:
            self._addresses = self._read_addresses(plan.pipeline)
        return plan

    def _warn(self, warnings: Sequence[str]) -> None:
        """Each once, not once for each job."""
        for warning in warnings:
            if warning not in self._warned:
                self._warned.add(warning)
                self.watcher.warn(warning)

    def _mismatch(self, plan: Plan, earlier: Run) -> None:
        recorded = earlier.configuration.overrides if earlier.configuration else ()
        told = f"job {plan.number} was {' '.join(recorded)}, and is {' '.join(plan.overrides)} now"
        if self.on_mismatch == "refuse":
            raise Conflict(
                f"the sweeper does not decide as it did: {told}",
                place=f"hydra.sweeper ({self.decider.sweeper_name})",
                remedy="--force goes on with its new decisions; what was run for the others is kept",
            )
        if not self._mismatched:
            self.watcher.say(f"the sweeper does not decide as it did: {told}")
        self._mismatched = True

    def _read_addresses(self, pipeline: Pipeline) -> tuple[Address, ...]:
        return tuple(parse_address(text, pipeline) for text in self.sweep.configuration.metric)

    def _record(self, batch: list[Plan]) -> None:
        """The first batch is composed and nothing of it was refused: from here on the sweep can be resumed."""
        planned = self.decider.planned()
        if self.begun:
            if planned > self.sweep.planned:
                self.sweep = self.service.change(self.sweep, planned=planned)
            return
        first = batch[0]
        assert first.submission is not None and first.pipeline is not None
        self.sweep = msgspec.structs.replace(
            self.sweep,
            keys=self.decider.keys(first.overrides),
            planned=planned,
            pipeline_name=first.pipeline.name,
            project=first.submission.project,
            location=first.submission.location,
            compiled_for_jobs=self.configure.for_each_job,
        )
        self.sweep = msgspec.structs.replace(self.sweep, experiment=self._experiment_id())
        self.sweep = self.service.create(self.sweep, Definition(self.configure.text))
        self.begun = True
        self.watcher.recorded(self.sweep)

    def _experiment_id(self) -> str:
        if self.sweep.submission.experiment:
            return self.sweep.submission.experiment
        name = self._experiment or f"{self.sweep.name} sweep {self.sweep.id[:8]}"
        return self.experiment(name, self.sweep.project)

    # --- running -----------------------------------------------------------------------------------------------------

    def _run(self, batch: list[Plan]) -> None:
        waiting = deque(plan for plan in batch if not plan.ended)
        done = [plan for plan in batch if plan.ended]
        if done:
            self.watcher.taken(len(done), sum(plan.failed for plan in done))
        going: dict[str, Plan] = {}
        try:
            while waiting or going:
                self._start_more(waiting, going)
                self._heed()
                if self._asked:
                    waiting.clear()
                if going:
                    self.engine.turn(self.watcher.interval or TURN_SECONDS)
                    self.watcher.tick()
                self._take_ends(going)
        finally:
            self._note_counts()
        if self._asked:
            raise self._cancelled()

    def _start_more(self, waiting: deque[Plan], going: dict[str, Plan]) -> None:
        limit = self.sweep.configuration.parallel or max(AT_ONCE, self.runs.machine.cpu_millis // 1000 * _PER_CORE)
        while waiting and len(going) < limit and not self._asked:
            plan = waiting.popleft()
            if self._failed_enough():
                plan.refused, plan.left = f"not started: {words_of(self._failures())} failed", True
                self._tell(plan)
                continue
            self._start(plan, going)

    def _start(self, plan: Plan, going: dict[str, Plan]) -> None:
        try:
            if plan.run is None:
                assert plan.pipeline is not None and plan.submission is not None
                submission = msgspec.structs.replace(plan.submission, experiment=self.sweep.experiment)
                plan.run = self.runs.submit(plan.pipeline, submission)
            run = plan.run
            self._take(plan, run)
        except InputRefused as error:
            if not going and len(self.plans) == 1:
                raise
            plan.refused = str(error)
            self._tell(plan)
            return
        plan.pipeline = plan.submission = None  # thousands of jobs: what was composed for them is recorded now
        going[run.uid] = plan
        self.watcher.started(plan.number, plan.overrides, run)

    def _take(self, plan: Plan, run: Run) -> None:
        """Into this engine; a run that another has, or that has ended there, is followed. Raises InputRefused."""
        try:
            self.runs.take(self.engine, run, renewed=plan.renewed, pipeline=plan.pipeline)
        except InputRefused:
            held = self.service.records.claimed(run.uid) is not None
            ended = self.service.records.run(run.uid).state.terminal and not plan.renewed
            if not held and not ended:
                raise
            plan.renewed = False
            self._elsewhere.add(run.uid)

    def _take_ends(self, going: dict[str, Plan]) -> None:
        self._look_elsewhere(going)
        for uid in [uid for uid in going if uid not in self.engine.machines and uid not in self._elsewhere]:
            lost = self.engine.lost.pop(uid, None)
            if isinstance(lost, FenceLost):
                self._elsewhere.add(uid)
                continue
            if lost is not None:
                raise lost
            self._take_end(going.pop(uid), self.engine.finished.pop(uid))

    def _take_end(self, plan: Plan, run: Run) -> None:
        plan.run = run
        plan.renewed = False
        self._tell(plan)
        if self.service.clock.monotonic() >= self._next_count:
            self._note_counts()

    def _look_elsewhere(self, going: dict[str, Plan]) -> None:
        """At runs that another engine has: ended, or left behind by it too."""
        now = self.service.clock.monotonic()
        if not self._elsewhere or now < self._next_elsewhere:
            return
        self._next_elsewhere = now + ASKED_SECONDS
        for uid in list(self._elsewhere):
            held = self.service.records.claimed(uid) is not None
            run = self.service.records.run(uid)
            if held and not run.state.terminal:
                continue
            self._elsewhere.discard(uid)
            if run.state.terminal:
                self._take_end(going.pop(uid), run)
                continue
            try:
                self._take(going[uid], run)
            except InputRefused as error:
                plan = going.pop(uid)
                plan.refused = str(error)
                self._tell(plan)
            if self._asked:
                self.engine.cancel(uid)

    def _heed(self) -> None:
        """Ctrl-C here, or `cairn sweeps cancel` elsewhere."""
        count = self.interrupts()
        now = self.service.clock.monotonic()
        if now >= self._next_look:
            self._next_look = now + ASKED_SECONDS
            if not self._asked and self.service.get(self.sweep.id).state is SweepState.CANCELLING:
                self._cancel(kill=False)
        while count > self._answered:
            self._answered += 1
            self._cancel(kill=self._asked)

    def _cancel(self, *, kill: bool) -> None:
        self.watcher.say("killing" if kill else "cancelling; once more to kill")
        self._asked = True
        for uid in list(self.engine.machines):
            self.engine.cancel(uid, kill=kill)
        for uid in self._elsewhere:
            run = self.service.records.run(uid)
            if not run.state.terminal:
                self.runs.cancel(run, kill=kill)

    def _cancelled(self) -> RunCancelled:
        if self.begun:
            self._end(SweepState.CANCELLED, "")
            short = self.sweep.id[:8]
            return RunCancelled(f"sweep {short} was cancelled", remedy=f"`cairn sweeps resume {short}` goes on with it")
        return RunCancelled("cancelled; nothing was started")

    def _end(self, state: SweepState, error: str) -> Sweep:
        now = self.service.clock.now()
        self.sweep = self.service.change(
            self.sweep, state=state, error=error, counts=self.counts(), planned=self.sweep.planned, end_time=now
        )
        return self.sweep

    def _note_counts(self) -> None:
        self._next_count = self.service.clock.monotonic() + COUNTED_SECONDS
        if self.counts() != self.sweep.counts:
            self.sweep = self.service.change(self.sweep, counts=self.counts())

    # --- what became of them -----------------------------------------------------------------------------------------

    def _failures(self) -> int:
        return sum(plan.failed and not plan.left for plan in self.plans)

    def _failed_enough(self) -> bool:
        allowed = self.sweep.configuration.failures
        return 0 <= allowed < self._failures()

    def _tell(self, plan: Plan) -> None:
        self.watcher.ended(plan.number, plan.overrides, plan.run, self._metrics(plan), plan.refused)

    def _metrics(self, plan: Plan) -> tuple[float | None, ...]:
        if plan.run is None or plan.run.state is not RunState.SUCCEEDED or not self.sweep.configuration.metric:
            return ()
        if self._addresses is None:
            self._addresses = self._read_addresses(self.runs.pipeline_of(plan.run))
        services = self.runs.services
        tasks = services.records.tasks(plan.run.uid) if any(one.task for one in self._addresses) else []
        return tuple(read_metric(address, plan.run, tasks, services.store) for address in self._addresses)

    def _outcome(self, plan: Plan) -> JobReturn:
        outcome = Outcome(overrides=plan.overrides, task_name=self.sweep.name)
        if plan.failed:
            outcome.status = JobStatus.FAILED
            run = plan.run
            told = run.error.message if run is not None and run.error is not None else plan.refused or "failed"
            place = f"job {plan.number} ({' '.join(plan.overrides)})"
            outcome.return_value = JobFailed(told, place=place)
            return outcome
        outcome.status = JobStatus.COMPLETED
        metrics = self._metrics(plan)
        outcome.return_value = None if not metrics else metrics[0] if len(metrics) == 1 else metrics
        return outcome


def drive(runner: SweepRunner) -> Sweep:
    """Until the sweeper is done, or gives up; the sweep as it ended, which says why.

    Raises InputRefused when nothing was begun, RunCancelled, Conflict when the sweeper decides differently now, and the
    error that the engine had to let a run go for: the sweep is then as a killed process leaves it.
    """
    try:
        runner.decider.drive(runner)
    except JobFailed:
        left = runner.decider.planned() - len(runner.plans)
        if left <= 0:
            return runner.finish()
        name = runner.decider.sweeper_name
        return runner.finish(f"{name} goes no further after a batch with a failed job: {left} not started")
    except Conflict:
        raise
    except (InputRefused, StepError) as error:  # of a later batch's configuration, or the sweeper's own
        if not runner.begun:
            raise
        return runner.finish(f"{error.place}: {error.message}" if error.place else error.message)
    return runner.finish()


def words_of(jobs: int) -> str:
    return "1 job has" if jobs == 1 else f"{jobs} jobs have"
