"""The step of a tuning job: it asks the study what to try, starts a job for each trial, follows what they report, and
tells the study what came of them.

Nothing is kept here that cannot be worked out again. A trial is recorded, ACTIVE, before its job is made; the job is
found by a request id made of the tuning job and the trial; a trial is completed once its job has ended. Whoever goes on
after an engine was killed finds each of them where it stood.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from cairn.domain.runs import Exit, Failure, Run, RunKind
from cairn.domain.states import ExitReason, RunState
from cairn.engine.ports import NativeCall
from cairn.errors import CairnError, InputRefused, RecordsBusy, StepError, StorageFull, WrongState
from cairn.executors.native.child_runs import ChildRun, failed_words
from cairn.executors.native.notes import Notes
from cairn.executors.native.services import NativeServices
from cairn.executors.native.trial_metrics import TrialMetrics
from cairn.jobs.service import JOB
from cairn.jobs.tuning_jobs import ENVIRONMENT, TuningPlan, plan_of, trial_message
from cairn.tuning.study_spec import parse
from cairn.tuning.types import Study, StudySpec, StudyState, Trial, TrialState

CHECK_SECONDS = 1.0  # between two looks whether a trial should end early, where it reports nothing
CANCELLED = "its tuning job was cancelled"  # why a study is INACTIVE that goes on when the job is taken up again
FEW_FAILURES = 3  # trials that may fail before any has succeeded, where the job says nothing


class TuneOperation:
    def __init__(self, call: NativeCall, directory: str, services: NativeServices) -> None:
        """Raises StepError, InputRefused."""
        self._services = services
        self._notes = Notes(directory)
        run = services.records.run(call.run_uid)
        if run.kind is not RunKind.TUNING_JOB:
            raise StepError("this step is of tuning jobs only")
        self._run = run
        self._plan = plan_of(run.client.get(JOB) or {})
        self._studies = services.studies()
        self._study = self._studies.create(_study(run, self._plan))
        if self._study.reason == CANCELLED:
            self._study = self._studies.take_up(self._study)
        self._spec = self._studies.spec(self._study)
        self._trials = {trial.id: trial for trial in self._studies.trials(self._study)}
        self._active: dict[str, _TrialJob] = {}  # by trial id
        self._cancelled = ""  # stop | kill
        self._failure = ""  # why the job has failed, while its trials are being ended
        self._cause: Failure | None = None  # what the job of the last failed trial failed with
        self._exhausted = ""  # why the study suggests no more
        self._notes.say(f"study {self._study.id}: {self._study.algorithm}, seed {self._study.seed}")
        for trial in self._trials.values():
            if trial.state in (TrialState.ACTIVE, TrialState.STOPPING):
                self._notes.say(f"trial {trial.id} goes on")
                self._begin(trial)

    def advance(self) -> Exit | None:
        try:
            return self._advance()
        except (RecordsBusy, StorageFull):
            raise  # it is called again
        except Exception:
            for job in self._active.values():  # the job has failed: nobody hears of them any more
                with suppress(CairnError):
                    job.end(kill=False)
            raise

    def _advance(self) -> Exit | None:
        for job in list(self._active.values()):
            self._look_at(job)
        if not (self._cancelled or self._failure):
            self._fill()
        if self._cancelled or self._failure:
            for job in self._active.values():
                job.end(kill=self._cancelled == "kill")
        return None if self._active else self._ended()

    def stop(self, *, kill: bool) -> None:
        self._cancelled = "kill" if kill else "stop"  # `advance`, which follows, ends the trials

    # --- trials ------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """As many trials at a time as the job wants. Each place is a client of the study of its own, which is given the
        trial that it has not completed yet before a new one."""
        taken = {job.trial.client_id for job in self._active.values()}
        for place in range(1, self._plan.parallel_trials + 1):
            client = f"{self._run.job_id}-{place}"
            if self._exhausted or len(self._trials) >= self._plan.max_trials:
                return
            if client in taken:
                continue
            found = self._studies.suggest(self._study, 1, client)
            if not found.trials:
                self._exhausted = found.reason or f"the study is {found.state.lower()}"
                self._notes.say(f"no more trials: {self._exhausted}")
            for trial in found.trials:
                self._trials[trial.id] = trial
                self._begin(trial)
            if self._failure:
                return

    def _begin(self, trial: Trial) -> None:
        said = ", ".join(f"{name}={value}" for name, value in trial.parameters.items())
        try:
            made = self._services.jobs().create(
                trial_message(self._plan, trial.id, trial.parameters),
                project=self._run.project,
                location=self._run.location,
                request_id=f"trial-{self._run.uid}-{trial.id}",
                owner=self._run.owner,
                settings=msgspec.structs.replace(self._run.settings, notify=""),
                kind=RunKind.TRIAL,
                parent=self._run.uid,
                labels=self._run.labels,
                environment={**_texts(self._run.client.get(ENVIRONMENT)), "CLOUD_ML_TRIAL_ID": trial.id},
            )
        except InputRefused as error:
            self._cause = Failure(error.message, kind=type(error).__name__, place=error.place, remedy=error.remedy)
            self._close(trial, infeasible=f"its job cannot be made: {error.message}")
            return
        run = made.run
        if made.new:
            self._notes.say(f"trial {trial.id}: {said} (job {run.job_id}, run {run.uid[:8]})")
        if not trial.custom_job:
            name = f"projects/{run.project}/locations/{run.location}/customJobs/{run.job_id}"
            trial = self._trials[trial.id] = self._studies.link(trial, name)
        child = ChildRun(run, f"trial {trial.id}", self._services, self._notes, silent=True)
        metrics = TrialMetrics([metric.id for metric in self._spec.metrics], self._services.read_scalars)
        self._active[trial.id] = job = _TrialJob(trial, child, metrics, self._services)
        child.bring(made.pipeline)
        if trial.state is TrialState.STOPPING:
            job.stop_early()

    def _look_at(self, job: _TrialJob) -> None:
        job.child.advance()
        self._measure(job)
        if job.child.run.state.terminal:
            self._measure(job)  # what it said last
            self._finish(job)
        elif not job.stopping:
            self._stop_early(job)

    def _measure(self, job: _TrialJob) -> None:
        news = job.news()
        if news and not job.trial.state.terminal:
            try:
                job.trial = self._trials[job.trial.id] = self._studies.add_measurements(job.trial, news)
            except WrongState:  # somebody has completed it
                job.trial = self._trials[job.trial.id] = self._studies.trial(self._study, job.trial.id)
            job.next_check = 0.0

    def _stop_early(self, job: _TrialJob) -> None:
        """By the study's rule, or because somebody has asked for it or has completed the trial."""
        if time.monotonic() < job.next_check:
            return
        job.next_check = time.monotonic() + CHECK_SECONDS
        trial = self._studies.trial(self._study, job.trial.id)
        if trial.state is TrialState.ACTIVE:
            if not self._studies.check_early_stopping(trial):
                return
            trial = self._studies.trial(self._study, job.trial.id)
        job.trial = self._trials[trial.id] = trial
        reason = trial.stopped or f"the trial is {trial.state.lower()}"
        self._notes.say(f"trial {trial.id} is stopped early: {reason}")
        job.stop_early()

    def _finish(self, job: _TrialJob) -> None:
        run = job.child.run
        del self._active[job.trial.id]
        if run.state is RunState.FAILED:
            said = run.error.message if run.error is not None else "its job failed"
            self._cause = run.error
            self._notes.say(*failed_words(self._services, run))
            self._close(job.trial, infeasible=said)
        elif run.state is RunState.CANCELLED and not job.stopping:
            why = "the tuning job was ended" if self._cancelled or self._failure else "its job was cancelled"
            self._close(job.trial, infeasible=why)
        elif not job.trial.measurements and job.metrics.unusable:
            self._close(job.trial, infeasible=job.metrics.unusable)
        else:
            self._close(job.trial)

    def _close(self, trial: Trial, infeasible: str = "") -> None:
        try:
            closed = self._studies.complete(trial, infeasible_reason=infeasible)
        except WrongState:  # before the last engine was killed, or by somebody else
            closed = self._studies.trial(self._study, trial.id)
        self._trials[trial.id] = closed
        said = closed.infeasible_reason or ", ".join(
            f"{name}={value:g}" for name, value in (closed.final.metrics if closed.final else {}).items()
        )
        self._notes.say(f"trial {trial.id} {closed.state.lower()}: {said}")
        if not (self._cancelled or self._failure) and (reason := self._too_many_failures()):
            self._failure = reason
            self._notes.say(reason)

    def _too_many_failures(self) -> str:
        failed = [trial for trial in self._trials.values() if trial.state is TrialState.INFEASIBLE]
        limit = self._plan.max_failed_trials
        if limit:
            if len(failed) < limit:
                return ""
            said = f"{len(failed)} trials failed, and maxFailedTrialCount is {limit}"
        else:
            if len(failed) < max(FEW_FAILURES, self._plan.parallel_trials) or self._succeeded():
                return ""
            said = f"the first {len(failed)} trials failed"
        return f"{said}; the last: {failed[-1].infeasible_reason}"

    def _succeeded(self) -> list[Trial]:
        return [trial for trial in self._trials.values() if trial.state is TrialState.SUCCEEDED]

    # --- its end -----------------------------------------------------------------------------------------------------

    def _ended(self) -> Exit:
        if self._cancelled:
            self._studies.end(self._study, CANCELLED, StudyState.INACTIVE)
            return Exit(ExitReason.CANCELLED)
        if self._failure:
            self._studies.end(self._study, self._failure, StudyState.INACTIVE)
            return Exit(ExitReason.EXITED, code=1, message=self._failure, cause=self._cause)
        done = self._succeeded()
        reason = self._exhausted or f"it has {len(self._trials)} trials"
        self._studies.end(self._study, reason)
        if not done:
            failed = [trial.infeasible_reason for trial in self._trials.values() if trial.infeasible_reason]
            message = f"no trial succeeded: {failed[-1] if failed else reason}"
            return Exit(ExitReason.EXITED, code=1, message=message, cause=self._cause)
        for trial in self._studies.optimal_trials(self._study):
            said = ", ".join(f"{name}={value}" for name, value in trial.parameters.items())
            self._notes.say(f"best: trial {trial.id}: {said}")
        return Exit(ExitReason.EXITED, code=0)


class _TrialJob:
    """The job of one trial under way."""

    def __init__(self, trial: Trial, child: ChildRun, metrics: TrialMetrics, services: NativeServices) -> None:
        self.trial = trial
        self.child = child
        self.metrics = metrics
        self.stopping = False  # early
        self.next_check = 0.0
        self._asked = ""  # what it was told: stop | kill
        self._services = services
        self._log_directory = services.log_directory(child.run)

    def news(self) -> Any:
        run = self.child.run
        directories = [one.directory for one in self._services.records.attempts(run.uid)]
        return self.metrics.look(directories, self._log_directory, run.start_time or run.create_time)

    def stop_early(self) -> None:
        self.end(kill=False)
        self.stopping = True

    def end(self, *, kill: bool) -> None:
        """Raises RecordsBusy: then it is to be told again."""
        if self._asked == "kill" or (self._asked and not kill):
            return
        self.child.stop(kill=kill)
        self._asked = "kill" if kill else "stop"


def _study(run: Run, plan: TuningPlan) -> Study:
    return Study(
        message=plan.study_spec,
        id=run.job_id,
        display_name=run.display_name,
        project=run.project,
        location=run.location,
        seed=seed_of(parse(plan.study_spec)),
        owner=run.owner,
        request_id=f"tuning-{run.uid}",
        labels=run.labels,
    )


def seed_of(spec: StudySpec) -> int:
    """The same study is tried with the same numbers, whoever asks for it: a pipeline that runs again compares."""
    import xxhash

    return xxhash.xxh3_64_intdigest(msgspec.json.encode(spec, order="deterministic")) % (1 << 31)


def _texts(given: Any) -> Mapping[str, str]:
    return given if isinstance(given, Mapping) else {}
