"""HyperparameterTuningJob: what HyperparameterTuningJobRunOp launches."""

from __future__ import annotations

import json

from cairn.domain.runs import Exit
from cairn.engine.ports import NativeCall
from cairn.executors.native.child_runs import ChildRun
from cairn.executors.native.custom_jobs import child_settings
from cairn.executors.native.launcher_words import Launch, write_gcp_resources, write_text
from cairn.executors.native.notes import Notes
from cairn.executors.native.services import NativeServices
from cairn.jobs.service import launch_request
from cairn.tuning.types import TrialState


class TuningJobOperation:
    """One tuning job, which is the one that an earlier engine has made for the same attempt."""

    def __init__(self, call: NativeCall, directory: str, services: NativeServices) -> None:
        """Raises StepError, InputRefused."""
        self._services = services
        self._notes = Notes(directory)
        owner = services.records.run(call.run_uid).owner
        self._launch = launch = Launch.of(call, owner)
        made = services.tuning_jobs().create(
            launch.message(),
            project=launch.project,
            location=launch.location,
            request_id=launch_request(call.key),
            owner=owner,
            settings=child_settings(call),
            parent=call.run_uid,
            environment=call.variables,
        )
        job = made.run
        uri = launch.uri("hyperparameterTuningJobs", job.job_id)
        # The launcher names the type as it was told, and this one only its plain name.
        write_gcp_resources(launch.gcp_resources, call.kind, uri)
        self._child = ChildRun(job, f"tuning job {job.job_id}", services, self._notes)
        if made.new:
            self._notes.say(f"tuning job {job.job_id}: `cairn studies show {job.job_id}` shows its trials")
            self._notes.say(*(f"warning: {warning}" for warning in job.warnings))
        self._child.bring(made.pipeline)

    def advance(self) -> Exit | None:
        ended = self._child.advance()
        if ended is not None and ended.code == 0 and self._launch.execution_metrics:
            write_text(self._launch.execution_metrics, json.dumps(self._metrics(), sort_keys=True))
        return ended

    def stop(self, *, kill: bool) -> None:
        self._child.stop(kill=kill)

    def _metrics(self) -> dict[str, int]:
        run = self._child.run
        studies = self._services.studies()
        trials = studies.trials(studies.get(run.job_id, project=run.project, location=run.location))
        done = [trial for trial in trials if trial.state is TrialState.SUCCEEDED]
        return {"success_trials_count": len(done), "total_trials_count": len(trials)}
