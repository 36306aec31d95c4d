"""`hydra/launcher=cairn`: one launch of a Hydra sweep is one run, each of its jobs a step.

Hydra has composed the jobs and is told what they returned, so an application's code and configuration are as they are.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from hydra.core.utils import JobReturn, configure_log, filter_overrides, setup_globals
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from cairn.domain.configuration import Configuration
from cairn.domain.ids import random_uid
from cairn.domain.runs import ImageMapping, Run, Submission
from cairn.domain.states import RunState
from cairn.engine.runs import MAX_NAME
from cairn.errors import CairnError, InputRefused, RunCancelled, UnsupportedFeature
from cairn.sdk.hydra import job_keys, job_payload
from cairn.sdk.hydra.job_echo import JobEcho
from cairn.sdk.hydra.job_options import PLACE, JobOptions, read_options
from cairn.sdk.hydra.job_pipeline import IMAGE, job_pipeline, path_of
from cairn.sdk.hydra.job_returns import Job, job_return, output_directory
from cairn.sdk.running import turn_until_ended
from cairn.spec.types import Pipeline
from cairn.wiring import Cairn, open_cairn

if TYPE_CHECKING:
    from cairn.engine.loop import Engine

log = logging.getLogger(__name__)

TURN_SECONDS = 0.1
NOTICE_SECONDS = 3.0
UNCLAIMED_SECONDS = 60  # a run is recorded a moment before its own process claims it


def launch(
    context: HydraContext,
    function: TaskFunction,
    config: DictConfig,
    params: Mapping[str, Any],
    job_overrides: Sequence[Sequence[str]],
    initial_job_idx: int,
) -> list[JobReturn]:
    """Run the jobs, return what they returned, in their order; a failed one's `return_value` raises.

    Raises CompactHydraException, of which Hydra prints the message alone, for whatever Cairn refuses; KeyboardInterrupt
    when the processes of the jobs are gone.
    """
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    try:
        options = read_options(params)
        jobs = compose_jobs(context, config, job_overrides, initial_job_idx)
        Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        with open_cairn(options.home) as cairn:
            return Launch(cairn, options, function, config, jobs).run(context)
    except CairnError as error:
        raise CompactHydraException(f"cairn: {error}") from error
    finally:
        configure_log(config.hydra.hydra_logging, config.hydra.verbose)


def compose_jobs(
    context: HydraContext, config: DictConfig, job_overrides: Sequence[Sequence[str]], first: int
) -> list[Job]:
    jobs = []
    for number, overrides in enumerate(job_overrides, first):
        composed = context.config_loader.load_sweep_config(config, list(overrides))
        with open_dict(composed):
            composed.hydra.job.id = f"{composed.hydra.job.name}_{number}"
            composed.hydra.job.num = number
        jobs.append(Job(number, tuple(filter_overrides(overrides)), composed, output_directory(composed)))
    return jobs


class Launch:
    """One batch of jobs in one home."""

    def __init__(
        self, cairn: Cairn, options: JobOptions, function: TaskFunction, config: DictConfig, jobs: Sequence[Job]
    ) -> None:
        self.cairn = cairn
        self.options = options
        self.function = function
        self.config = config
        self.jobs = jobs
        # Output that goes to where the application itself stands cannot be told from its sources.
        here = Path.cwd()
        self.own = not any(here.is_relative_to(job.output_directory) for job in jobs)
        self.use_cache = options.cache and self.own and cairn.run_settings().use_cache

    def run(self, context: HydraContext) -> list[JobReturn]:
        if self.options.cache and not self.own:
            log.warning("jobs write to the directory that the application was started in: nothing is cached")
        payload = job_payload.make_payload(
            context, self.function, [job.config for job in self.jobs], keep=self.use_cache
        )
        pipeline = self.pipeline()
        echo = JobEcho(lambda index: self.jobs[index].number, lines=self.options.echo)
        engine = self.cairn.engine(echo.committed)
        try:
            uid = self._take_up(engine, pipeline, payload, echo) or self._begin(engine, pipeline, payload)
            turn_until_ended(engine, uid, seconds=TURN_SECONDS, between=echo.look)
            if uid in engine.lost:
                raise engine.lost[uid]
        except KeyboardInterrupt:
            log.warning("cancelled; the same command again takes the jobs that are done as they are")
            raise
        finally:
            engine.close()
        return self._returns(uid)

    def _begin(self, engine: Engine, pipeline: Pipeline, payload: job_payload.Payload) -> str:
        run = self._submit(pipeline, payload)
        self.cairn.runs.take(engine, run, pipeline=pipeline)
        self._announce(run.uid, "runs")
        return run.uid

    def _take_up(self, engine: Engine, pipeline: Pipeline, payload: job_payload.Payload, echo: JobEcho) -> str:
        """Have the run that the same command has left behind; its uid, "" of none. What has not begun is going to be
        this application's jobs, what runs is let run."""
        left = self._left_behind(pipeline) if self.options.resume else None
        if left is None:
            return ""
        try:
            self.cairn.runs.take(engine, left, renewed=True, pipeline=pipeline)
        except InputRefused:  # the same command was started once more, and was quicker
            return ""
        payload.write(self._directory(left.uid))
        for attempt in self.cairn.records.attempts(left.uid) if self.options.echo else ():
            if not attempt.state.terminal:
                echo.follow(attempt)
        self._announce(left.uid, "goes on with")
        return left.uid

    def pipeline(self) -> Pipeline:
        """The same for the same jobs of the same program."""
        program = {
            "code": self._code_digest(),
            "packages": self.cairn.environments.packages_digest(),
            "function": job_keys.function_key(self.function),
            "directory": job_keys.working_directory(self.function),
        }
        command = job_payload.step_command(self.cairn.home.runs, keep=self.use_cache)
        inputs = [job_keys.job_inputs(job.config) for job in self.jobs]
        return job_pipeline(self._application, command, inputs, program, self.options, keep=self.use_cache)

    def _code_digest(self) -> str:
        directory = job_keys.program_directory(self.function)
        if directory is None:
            return "installed"
        text = f"reading all files of {directory}, on which cached results depend; {PLACE}.code says which are the code"
        notice = threading.Timer(NOTICE_SECONDS, log.info, [text])
        notice.daemon = True
        notice.start()
        try:
            return self.cairn.environments.code_digest(
                directory, self.options.code, job_keys.imported_sources(), job_keys.output_roots(self.config)
            )
        except InputRefused as error:
            remedy = f"{PLACE}.code names the files that the jobs' results depend on"
            raise InputRefused(f"{error.place}: {error.message}", place=f"{PLACE}.code", remedy=remedy) from None
        finally:
            notice.cancel()

    @property
    def _application(self) -> str:
        return str(self.config.hydra.job.name)

    def _left_behind(self, pipeline: Pipeline) -> Run | None:
        """The run of the same jobs whose process is gone."""
        before = time.time_ns() // 1000 - UNCLAIMED_SECONDS * 1_000_000
        for run in reversed(self.cairn.records.open_runs()):
            if run.spec_digest != pipeline.digest or run.project != self.options.project:
                continue
            begun = run.state is not RunState.PENDING or run.create_time < before
            if begun and run.state is not RunState.CANCELLING and self.cairn.records.claimed(run.uid) is None:
                return run
        return None

    def _submit(self, pipeline: Pipeline, payload: job_payload.Payload) -> Run:
        options = self.options
        defaults = self.cairn.run_settings()
        settings = msgspec.structs.replace(
            defaults,
            use_cache=self.use_cache,
            strict=options.strict,
            failure_policy="slow",
            images=(ImageMapping(IMAGE, "host"),),
        )
        uid = random_uid()
        submission = Submission(
            {},
            settings,
            project=options.project,
            display_name=options.name or self._application,
            # Batches of one sweep are runs of their own: this says which belong together.
            labels={
                "hydra-job": self._application[-MAX_NAME:],
                "hydra-sweep": str(self.config.hydra.sweep.dir)[-MAX_NAME:],
                **options.labels,
            },
            source=os.path.abspath(sys.argv[0]) if sys.argv and os.path.isfile(sys.argv[0]) else "",
            uid=uid,
            experiment=self._experiment(),
            configuration=self._configuration(),
        )
        payload.write(self._directory(uid))  # first: a run that is recorded has all that it needs
        try:
            return self.cairn.runs.submit(pipeline, submission)
        except InputRefused as error:
            payload.discard(self._directory(uid))
            if isinstance(error, UnsupportedFeature) and options.strict:
                remedy = f"ask for less, or {PLACE}.strict=false to have what there is"
                raise UnsupportedFeature(error.message, place=PLACE, remedy=remedy) from None
            raise

    def _experiment(self) -> str:
        if not self.options.experiment:
            return ""
        from cairn.experiments.types import Experiment

        wanted = Experiment("", self.options.experiment, project=self.options.project)
        return self.cairn.experiments.create(wanted).id

    def _configuration(self) -> Configuration:
        hydra, task = self.config.hydra, job_keys.task_configuration(self.config)
        sources = [str(each.path) for each in hydra.runtime.config_sources if each.provider == "main"]
        return Configuration(
            directory=next(iter(sources), ""),
            name=str(hydra.job.config_name or ""),
            overrides=tuple(hydra.overrides.task),
            digest=job_keys.configuration_digest(task),
            text=OmegaConf.to_yaml(task),
        )

    def _directory(self, uid: str) -> Path:
        return job_payload.launch_directory(self.cairn.home.runs, uid)

    def _announce(self, uid: str, what: str) -> None:
        log.info("Cairn %s %d jobs: run %s of %s", what, len(self.jobs), uid[:8], self.cairn.home.root)
        for job in self.jobs:
            log.info("\t#%d : %s", job.number, " ".join(job.overrides))

    def _returns(self, uid: str) -> list[JobReturn]:
        run = self.cairn.records.run(uid)
        for warning in run.warnings:
            log.warning(warning)
        if run.state is RunState.CANCELLED:
            raise RunCancelled(f"run {run.job_id} was cancelled", remedy="the same command again goes on with it")
        records = {record.path: record for record in self.cairn.records.tasks(uid)}
        directory = self._directory(uid)
        return [
            job_return(self.cairn, job, index, records.get(path_of(index)), directory)
            for index, job in enumerate(self.jobs)
        ]
