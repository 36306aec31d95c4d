"""The engine's one loop: take in what happened, decide, commit, and only then act.

Everything that happened since the last turn goes into one transaction, so under load commits are shared; in a chain of
steps, one's end and the next one's start are one commit.
"""

from __future__ import annotations

import selectors
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from cairn.domain.resources import Capacity
from cairn.domain.runs import AttemptRecord, Exit, Run
from cairn.domain.states import ExitReason, RunState
from cairn.engine.admission import Admission
from cairn.engine.faultpoints import point
from cairn.engine.flights import Flights
from cairn.engine.leaves import Attempt
from cairn.engine.machine import RunMachine
from cairn.engine.memory import Memory
from cairn.engine.ports import AttemptExit, Batch, Committed, EnvironmentPlan
from cairn.engine.publish import Published, check_exit, is_large, publish
from cairn.engine.services import Services
from cairn.engine.starting import Starter
from cairn.engine.wakeup import Wakeup
from cairn.engine.workers import Workers
from cairn.errors import CairnError, FenceLost, InputRefused, RecordsBusy, StepError, StorageFull

if TYPE_CHECKING:
    from cairn.spec.types import Pipeline

LEASE_SECONDS = 10.0
REQUEST_INTERVAL = 0.1

Observer = Callable[[Run, Batch], None]
Progress = Callable[[str, str], None]
"""(component, line): what an environment's builder says."""
Taker = Callable[["Engine", Run, "Pipeline | None"], object]


class Engine:
    """Runs any number of runs of one home, each with the lease it claimed. Not thread-safe: one thread owns it."""

    def __init__(self, services: Services, machine: Capacity, *, observer: Observer | None = None) -> None:
        self.services = services
        self.machine = machine
        self.machines: dict[str, RunMachine] = {}
        self.flights = Flights(self.machines)
        self.finished: dict[str, Run] = {}
        self.lost: dict[str, CairnError] = {}
        self.build_progress: Progress | None = None
        self.taker: Taker | None = None  # `RunService.take`; set by whoever hands runs over by `bring`
        self.ended: list[Callable[[Run], None]] = []  # told of runs that have ended here; they raise nothing
        self._brought: deque[tuple[Run, Pipeline | None]] = deque()
        self._observer = observer
        self._owners: dict[str, RunMachine] = {}  # attempt uid → its run
        self._wakeup = Wakeup()
        self._workers = Workers(self._wakeup)
        self._admission = Admission(services)
        self._starter = Starter(services)
        self._selector = selectors.DefaultSelector()
        self._selector.register(services.executor.fileno(), selectors.EVENT_READ)
        self._selector.register(self._wakeup.fileno(), selectors.EVENT_READ)
        self._used = 0  # thousandths of a core that this engine's attempts hold
        self._heard: dict[int, str] = {}  # requests taken in: sequence → run; settled once what follows is committed
        self._next_requests = 0.0
        self._next_renewal = 0.0

    # --- taking runs on ----------------------------------------------------------------------------------------------

    def take(
        self, run: Run, pipeline: Pipeline, plans: Mapping[str, EnvironmentPlan], *, renewed: bool = False
    ) -> RunMachine:
        """Claim a run and go on with it from what is recorded. Raises InputRefused when another engine holds it."""
        fence = self.services.journal.claim(run.uid, self.services.owner, lease_seconds=LEASE_SECONDS)
        point("lease.claimed")
        records = self.services.records
        stored = records.run(run.uid)  # as whoever had it until now left it
        if stored.state.terminal and not renewed:
            self.services.journal.release(fence)
            raise InputRefused(f"run {run.job_id} has ended meanwhile: {stored.state}")
        if renewed:
            self._forget_requests(run.uid)
        run = msgspec.structs.replace(run, state=stored.state, start_time=stored.start_time)
        fresh = run.state is RunState.PENDING
        memory = Memory() if fresh else Memory(records.tasks(run.uid), records.attempts(run.uid))
        machine = RunMachine(run, pipeline, fence, self.services, plans, self.machine, memory, self.flights)
        if run.uid in self.machines:  # asked for twice: the fence is the new one's
            self._drop(self.machines[run.uid], FenceLost("it was taken up anew", place=run.uid))
            del self.lost[run.uid]
        if not self.machines:  # others' leases are due when they were, however many runs come
            self._next_renewal = self.services.clock.monotonic() + LEASE_SECONDS / 3
        self.machines[run.uid] = machine
        try:
            machine.begin(renewed=renewed)
        except Exception:
            self.machines.pop(run.uid, None)
            self.flights.left(machine, machine.landing)
            raise
        return machine

    # --- the loop ----------------------------------------------------------------------------------------------------

    def run_until_done(self) -> None:
        while self.machines or self._brought:
            self.turn(1.0)

    def bring(self, run: Run, pipeline: Pipeline | None = None) -> None:
        """Have a recorded run taken in the next turn, from any thread. Nothing is said of one that another engine has,
        or that has ended: who brings it watches its record."""
        self._brought.append((run, pipeline))
        self.wake()

    def _take_brought(self) -> None:
        while self._brought and self.taker is not None:
            run, pipeline = self._brought.popleft()
            if run.uid in self.machines:
                continue
            try:
                self.taker(self, run, pipeline)
            except CairnError as error:
                self.lost[run.uid] = error
            except Exception as error:  # noqa: BLE001 - a defect that one run meets; the others go on
                self.machines.pop(run.uid, None)  # its lease runs out
                self.lost[run.uid] = CairnError(f"run {run.job_id} cannot be taken: {error!r}")

    def turn(self, timeout: float) -> None:
        """One turn: what happened, what follows, one commit, its effects. Waits at most `timeout` seconds."""
        self._take_brought()
        self._take_in()
        for machine in list(self.machines.values()):
            self._guard(machine, machine.wake)
            self._drive(machine)
        offers = self._offer()
        committed = self._commit(offers)
        self._settle_requests()
        if not committed:
            self._wait(timeout)

    def _take_in(self) -> None:
        for ended in self.services.executor.collect():
            self._exited(ended)
        while self._starter.unstarted:
            self._exited(self._starter.unstarted.popleft())
        self._workers.take_in()
        now = self.services.clock.monotonic()
        if now >= self._next_requests:
            self._next_requests = now + REQUEST_INTERVAL
            self._take_requests()
        if now >= self._next_renewal:
            self._next_renewal = now + LEASE_SECONDS / 3
            self._renew()

    def _drive(self, machine: RunMachine) -> None:
        slots = max(1, (self.machine.cpu_millis - self._used + 999) // 1000) + 2
        self._guard(machine, lambda: machine.drive(slots))
        while machine.wanted:
            self._build(machine, machine.wanted.popleft())

    def _guard(self, machine: RunMachine, step: Callable[[], object]) -> None:
        """A run that makes the engine raise is put aside; the others go on. Nothing is done for one that was let go: it
        would lead flights that never land."""
        if not self._has(machine):
            return
        try:
            step()
        except CairnError as error:
            if isinstance(error, (FenceLost, RecordsBusy, StorageFull)):
                self._drop(machine, error)
            else:
                self._quarantine(machine, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other runs go on
            self._quarantine(machine, error)

    def _has(self, machine: RunMachine) -> bool:
        """Whether it is this engine's still: a run that was let go may be back, as another machine."""
        return self.machines.get(machine.run.uid) is machine

    # --- commits -----------------------------------------------------------------------------------------------------

    def _offer(self) -> list[tuple[RunMachine, Attempt, AttemptRecord]]:
        """Attempts to put up for admission, one run after another, as many as may fit."""
        offers: list[tuple[RunMachine, Attempt, AttemptRecord]] = []
        if self.services.clock.monotonic() < self._admission.until:
            return offers
        room = self.machine.cpu_millis - self._used
        waiting = [machine for machine in self.machines.values() if machine.next_prepared()]
        while waiting:
            for machine in list(waiting):
                attempt = machine.prepared[0]
                assert attempt.request is not None
                need = attempt.request.resources.cpu_millis
                if need > room and (self._used or offers):
                    waiting.remove(machine)
                    continue
                machine.prepared.popleft()
                offers.append((machine, attempt, machine.offer(attempt)))
                room -= need
                if not machine.next_prepared():
                    waiting.remove(machine)
        return offers

    def _commit(self, offers: list[tuple[RunMachine, Attempt, AttemptRecord]]) -> bool:
        batch = Batch()
        labels: list[str] = []
        written: list[tuple[RunMachine, Batch]] = []
        for machine in list(self.machines.values()):
            part = machine.writer.take()
            if not (part.runs or part.tasks or part.attempts or part.starts or part.lineage or part.cache):
                continue
            written.append((machine, part))
            batch.fences.update(part.fences)
            batch.runs += part.runs
            batch.tasks += part.tasks
            batch.attempts += part.attempts
            batch.starts += part.starts
            batch.lineage += part.lineage
            batch.cache += part.cache
            labels += machine.writer.labels
            machine.writer.labels = []
        if not written:
            return False
        self._reach("before", labels)
        try:
            committed = self.services.journal.commit(batch)
        except FenceLost:
            self._commit_apart(written, offers)
            return True
        except (RecordsBusy, StorageFull) as error:
            # Nothing of this turn was written, so nothing of it may happen; what runs goes on under its waiters.
            for machine, _ in written:
                self._drop(machine, error)
            return True
        self._reach("after", labels)
        self._act(written, offers, committed)
        return True

    def _commit_apart(
        self, written: list[tuple[RunMachine, Batch]], offers: list[tuple[RunMachine, Attempt, AttemptRecord]]
    ) -> None:
        """One of several runs was taken over: find out which, and let only that one go."""
        for machine, part in written:
            mine = [offer for offer in offers if offer[0] is machine]
            try:
                committed = self.services.journal.commit(part)
            except (FenceLost, RecordsBusy, StorageFull) as error:
                self._drop(machine, error)
                continue
            self._act([(machine, part)], mine, committed)

    @staticmethod
    def _reach(when: str, labels: list[str]) -> None:
        for label in dict.fromkeys(labels):
            point(f"{when}:{label}")

    def _act(
        self,
        written: list[tuple[RunMachine, Batch]],
        offers: list[tuple[RunMachine, Attempt, AttemptRecord]],
        committed: Committed,
    ) -> None:
        denied = committed.denied
        for machine, attempt, record in offers:
            if record.uid in denied:
                machine.denied(attempt)
                continue
            if not self._has(machine):  # put aside by the attempt before
                continue
            self._owners[record.uid] = machine
            self._used += record.resources.cpu_millis
            assert attempt.request is not None
            given = committed.devices.get(record.uid)
            if given:
                record = msgspec.structs.replace(record, devices=given)
            self._guard(machine, lambda m=machine, a=attempt, r=record: m.admitted(a, r))  # type: ignore[misc]
            self._starter.start(attempt, machine.driver.requests, given or ())
            point("started:attempt")
        self._admission.answered(denied=bool(denied))
        for machine, part in written:
            machine.landed()
            while machine.stopping:
                self.services.executor.stop(machine.stopping.pop())
            if self._observer is not None:
                self._observer(machine.run, part.without(denied))
            if machine.ended:
                self._end(machine)

    def _end(self, machine: RunMachine) -> None:
        self.machines.pop(machine.run.uid, None)
        self.finished[machine.run.uid] = machine.run
        if machine.run.settings.notify:
            self._notify(machine)
        self.services.journal.release(machine.fence)
        point("lease.released")
        for tell in self.ended:
            tell(machine.run)

    def _notify(self, machine: RunMachine) -> None:
        from cairn.engine.notify import notify  # urllib and friends: only for a run that asks for it

        trouble = notify(machine.run, allow_private_hosts=self.services.allow_private_hosts)
        if trouble:
            machine.driver.warn(trouble)
            self.services.journal.commit(machine.writer.take())
            self.finished[machine.run.uid] = machine.run

    # --- attempts' ends ----------------------------------------------------------------------------------------------

    def _exited(self, ended: AttemptExit) -> None:
        self._starter.ended(ended.uid)
        self._admission.heard(ended.uid)
        machine = self._owner_of(ended.uid)
        if machine is None or ended.uid not in machine.running:
            return
        attempt = machine.running[ended.uid]
        self._used -= machine.records[ended.uid].resources.cpu_millis if ended.uid in self._owners else 0
        self._owners.pop(ended.uid, None)
        self._admission.freed()
        if ended.exit.reason is ExitReason.EXITED and ended.exit.code == 0 and is_large(attempt, self.services.store):
            self._workers.run(lambda: self._outcome(machine, attempt, ended))
        else:
            self._outcome(machine, attempt, ended)()

    def _outcome(self, machine: RunMachine, attempt: Attempt, ended: AttemptExit) -> Callable[[], None]:
        """Read what the step left; what is given back tells the run."""
        outcome = self._publish(machine, attempt, ended.exit)

        def tell() -> None:
            self._guard(machine, lambda: machine.exited(ended.uid, ended.exit, *outcome))

        return tell

    def _owner_of(self, uid: str) -> RunMachine | None:
        machine = self._owners.get(uid)
        if machine is not None:
            return machine
        return next((candidate for candidate in self.machines.values() if uid in candidate.running), None)

    def _publish(self, machine: RunMachine, attempt: Attempt, ended: Exit) -> tuple[Published | None, StepError | None]:
        """Worker thread or the engine's: reads files, touches no state."""
        try:
            check_exit(ended, attempt.layout.directory)
            published = publish(attempt, self.services, machine.run.uid)
        except StepError as error:
            return None, error
        except CairnError as error:
            return None, StepError(error.message, place=error.place, remedy=error.remedy)
        except OSError as error:
            return None, StepError(f"the step's outputs cannot be read: {error}")
        point("outputs.published")
        return published, None

    # --- environments ------------------------------------------------------------------------------------------------

    def _build(self, machine: RunMachine, component: str) -> None:
        plan = machine.driver.leaves[component].plan

        def say(line: str) -> None:
            if self.build_progress is not None:
                self.build_progress(component, line)

        def build() -> Callable[[], None]:
            error: CairnError | None = None
            try:
                self.services.environments.build(plan, say)
            except CairnError as problem:
                error = problem
            except Exception as problem:  # noqa: BLE001 - a worker has nobody above it
                error = StepError(f"the environment could not be built: {problem!r}")

            def finish() -> None:
                point("environment.built")
                self._guard(machine, lambda: machine.environment_built(component, error))

            return finish

        self._workers.run(build)

    # --- requests and leases -----------------------------------------------------------------------------------------

    def _take_requests(self) -> None:
        if not self.machines:
            return
        for request in self.services.journal.requests(list(self.machines), 0):
            if request.sequence in self._heard:
                continue
            self._heard[request.sequence] = request.run_uid
            if request.kind in ("cancel", "kill"):
                self.cancel(request.run_uid, kill=request.kind == "kill")

    def _settle_requests(self) -> None:
        """Only now: a request must outlive an engine that is killed before it has committed what was asked for."""
        while self._heard:
            sequence, run_uid = self._heard.popitem()
            if run_uid not in self.lost:
                self.services.journal.settle(run_uid, sequence)

    def _forget_requests(self, run_uid: str) -> None:
        """What was asked of a run before it ended is not asked of its renewal."""
        for request in self.services.journal.requests([run_uid], 0):
            self.services.journal.settle(run_uid, request.sequence)

    def cancel(self, run_uid: str, *, kill: bool = False) -> None:
        """End a run: its processes get SIGTERM, and SIGKILL after ten seconds or at once with `kill`."""
        machine = self.machines.get(run_uid)
        if machine is None:
            return
        self._guard(machine, machine.cancel)
        if kill:
            for uid in list(machine.running):
                self.services.executor.stop(uid, kill=True)

    def _renew(self) -> None:
        if not self.machines:
            return
        try:
            self.services.journal.renew(
                [machine.fence for machine in self.machines.values()], lease_seconds=LEASE_SECONDS
            )
        except FenceLost:
            for machine in list(self.machines.values()):
                try:
                    self.services.journal.renew([machine.fence], lease_seconds=LEASE_SECONDS)
                except FenceLost as error:
                    self._drop(machine, error)

    def _drop(self, machine: RunMachine, error: CairnError) -> None:
        """Another engine has the run, or its records cannot be written: leave everything as it is."""
        self.machines.pop(machine.run.uid, None)
        self.lost[machine.run.uid] = error
        self.flights.left(machine, machine.landing)
        for uid in [uid for uid, owner in self._owners.items() if owner is machine]:
            self._used -= machine.records[uid].resources.cpu_millis if uid in machine.records else 0
            del self._owners[uid]

    def _quarantine(self, machine: RunMachine, error: BaseException) -> None:
        """Fail the run with the defect that it met; its processes are stopped."""
        import traceback

        from cairn.engine.quarantine import quarantined

        trace = "".join(traceback.format_exception(error))
        for uid in list(machine.running):
            self.services.executor.stop(uid, kill=True)
        self._drop(machine, CairnError(str(error)))
        batch, run = quarantined(machine, error, trace, self.services.clock.now())
        try:
            self.services.journal.commit(batch)
            self.services.journal.release(machine.fence)
        except CairnError as problem:
            self.lost[run.uid] = problem
            return
        self.finished[run.uid] = run
        self.lost.pop(run.uid, None)
        if self._observer is not None:
            self._observer(run, batch)

    # --- waiting and closing -----------------------------------------------------------------------------------------

    def _wait(self, timeout: float) -> None:
        now = self.services.clock.monotonic()
        until = min(now + timeout, self._next_requests, self._next_renewal)
        if self._admission.until > now:
            until = min(until, self._admission.until)
        for machine in self.machines.values():
            until = min(until, machine.expires)
            if machine.backing_off:
                until = min(until, machine.backing_off[0][0])
        if self._workers.waiting:
            return
        for key, _ in self._selector.select(max(0.0, until - now)):
            if key.fd == self._wakeup.fileno():
                self._wakeup.clear()

    def wake(self) -> None:
        """From a signal handler or another thread: end the current wait."""
        self._wakeup.set()

    def close(self) -> None:
        """Let go of everything; attempts that still run go on under their waiters."""
        for machine in list(self.machines.values()):
            self.services.journal.release(machine.fence)
        self.machines.clear()
        self._workers.close()
        self._starter.close()
        self._selector.close()
        self._wakeup.close()
