"""Wait: what WaitGcpResourcesOp launches. Google's waits for one Dataflow job; here it waits for every job that the
resources name and that Cairn has."""

from __future__ import annotations

from cairn.domain.runs import Exit
from cairn.domain.states import ExitReason
from cairn.engine.ports import NativeCall
from cairn.errors import StepError
from cairn.executors.native.child_runs import ChildRun
from cairn.executors.native.launcher_words import Launch, Resource, read_gcp_resources, write_text
from cairn.executors.native.notes import Notes
from cairn.executors.native.services import NativeServices

_JOBS = ("customJobs", "hyperparameterTuningJobs", "trainingPipelines", "pipelineJobs")


class WaitOperation:
    def __init__(self, call: NativeCall, directory: str, services: NativeServices) -> None:
        """Raises StepError."""
        self._services = services
        self._notes = Notes(directory)
        self._launch = launch = Launch.of(call)
        resources = read_gcp_resources(launch.payload)
        if not resources:
            raise StepError("its gcp_resources name nothing to wait for")
        self._waiting = [self._found(resource) for resource in resources]
        write_text(launch.gcp_resources, launch.payload)  # handed on as it came

    def advance(self) -> Exit | None:
        for child in list(self._waiting):
            ended = child.advance()
            if ended is None:
                continue
            if ended.reason is not ExitReason.EXITED or ended.code:
                return ended
            self._waiting.remove(child)
        return None if self._waiting else Exit(ExitReason.EXITED, code=0)

    def stop(self, *, kill: bool) -> None:
        for child in self._waiting:
            child.stop(kill=kill)

    def _found(self, resource: Resource) -> ChildRun:
        if resource.collection not in _JOBS:
            raise StepError(
                f"it waits for {resource.type or 'something'} ({resource.uri}), which Cairn does not have",
                remedy="do the work in a component of your own, which ends when it is done",
            )
        run = self._services.records.run_by_job_id(resource.project, resource.location, resource.id)
        if run is None:
            raise StepError(f"it waits for {resource.uri}, which there is not")
        return ChildRun(run, f"{resource.type} {resource.id}", self._services, self._notes)
