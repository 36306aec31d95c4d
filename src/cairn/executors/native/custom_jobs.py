"""CustomJob: what CustomTrainingJobOp and create_custom_training_job_from_component launch."""

from __future__ import annotations

import msgspec

from cairn.domain.runs import Exit, RunSettings
from cairn.engine.ports import NATIVE_OUTPUTS, NativeCall
from cairn.executors.native.child_runs import ChildRun
from cairn.executors.native.launcher_words import Launch, write_gcp_resources
from cairn.executors.native.notes import Notes
from cairn.executors.native.services import NativeServices
from cairn.jobs.service import launch_request


class CustomJobOperation:
    """One job, which is the one that an earlier engine has made for the same attempt."""

    def __init__(self, call: NativeCall, directory: str, services: NativeServices) -> None:
        """Raises StepError, InputRefused."""
        self._notes = Notes(directory)
        owner = services.records.run(call.run_uid).owner
        launch = Launch.of(call, owner)
        made = services.jobs().create(
            launch.message(),
            project=launch.project,
            location=launch.location,
            request_id=launch_request(call.key),
            owner=owner,
            settings=child_settings(call),
            parent=call.run_uid,
            environment=call.variables,
            client={NATIVE_OUTPUTS: list(call.outputs)},
        )
        job = made.run
        write_gcp_resources(launch.gcp_resources, "CustomJob", launch.uri("customJobs", job.job_id))
        self._child = ChildRun(job, f"custom job {job.job_id}", services, self._notes)
        if made.new:
            self._notes.say(f"custom job {job.job_id}: `cairn jobs logs {job.uid[:8]}` shows what it prints")
            if launch.project_said:
                self._notes.say(f"it is made in project {launch.project}, the run's own, not {launch.project_said}")
        self._child.bring(made.pipeline)

    def advance(self) -> Exit | None:
        return self._child.advance()

    def stop(self, *, kill: bool) -> None:
        self._child.stop(kill=kill)


def child_settings(call: NativeCall) -> RunSettings:
    """As the run that asks; only that run's own end is notified of."""
    settings = msgspec.convert(call.settings or {}, RunSettings)
    return msgspec.structs.replace(settings, notify="")
