"""A run as Python sees it. Everything is read when it is asked for, and once the run has ended only once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from cairn.domain.artifacts import Artifact as RecordedArtifact
from cairn.domain.configuration import Configuration
from cairn.domain.runs import Failure, TaskRecord
from cairn.domain.runs import Run as RecordedRun
from cairn.engine import report
from cairn.errors import NotFound, StepError
from cairn.launcher.logs import interleaved
from cairn.wiring import open_cairn

POLL_SECONDS = 0.1


class RunFailed(StepError):
    """The run did not succeed. `run` is the run."""

    def __init__(self, run: Run) -> None:
        error = run.error
        message = f"run {run.job_id} {run.state.lower()}"
        super().__init__(
            f"{message}: {error.message}" if error else message,
            place=error.place if error else "",
            remedy=(error.remedy if error and error.remedy else "") or "run.logs(task) has what a step said",
        )
        self.run = run


class Artifact:
    """`uri`, `path` (None when it has no local one), `metadata`, `type` (its schema title), `id`."""

    def __init__(self, recorded: RecordedArtifact, path: str | None) -> None:
        self.id = recorded.id
        self.name = recorded.display_name
        self.uri = recorded.uri
        self.path = recorded.custom_path or path
        self.metadata: dict[str, Any] = dict(recorded.metadata)
        self.type = recorded.type.schema_title or recorded.type.schema_uri

    def __repr__(self) -> str:
        return f"Artifact({self.type}, {self.uri!r})"


class Task:
    """One leaf task or loop iteration: what `cairn run --json` says of it, and its artifacts by output name."""

    def __init__(self, leaf: report.Leaf, artifacts: Mapping[str, list[Artifact]]) -> None:
        self.name = leaf.name
        self.component = leaf.component
        self.path = leaf.path
        self.state = str(leaf.state)
        self.cached = leaf.cached
        self.attempts = leaf.attempts
        self.seconds = leaf.seconds
        self.outputs = leaf.outputs
        self.error: Failure | None = leaf.error
        self.artifacts: dict[str, Any] = {
            name: found[0] if len(found) == 1 else found for name, found in artifacts.items()
        }

    def __repr__(self) -> str:
        return f"Task({self.path!r}, {self.state}{', cached' if self.cached else ''})"


class Run:
    """A recorded run. `home` is the home's directory; `uid` a UUID."""

    def __init__(self, home: str, uid: str) -> None:
        self.home = home
        self.uid = uid
        self._ended: RecordedRun | None = None
        self._tasks: list[Task] | None = None
        self._record()

    @property
    def state(self) -> str:
        """PENDING, RUNNING, CANCELLING, SUCCEEDED, FAILED or CANCELLED."""
        return str(self._record().state)

    @property
    def job_id(self) -> str:
        return self._record().job_id

    @property
    def pipeline_name(self) -> str:
        return self._record().pipeline_name

    @property
    def error(self) -> Failure | None:
        return self._record().error

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._record().warnings

    @property
    def seconds(self) -> float:
        """Wall time from start to end, 0.0 before the end."""
        record = self._record()
        return report.seconds_between(record.start_time, record.end_time)

    @property
    def configuration(self) -> Configuration | None:
        """What Hydra composed for it: `directory`, `name`, `overrides`, `digest`, `text` (YAML); None without Hydra."""
        return self._record().configuration

    @property
    def parameters(self) -> dict[str, Any]:
        with open_cairn(self.home) as cairn:
            return report.read_outputs(self._record().parameters, cairn.store)

    @property
    def outputs(self) -> dict[str, Any]:
        """The pipeline's outputs: parameters as values, artifacts as URIs."""
        with open_cairn(self.home) as cairn:
            return report.read_outputs(self._record().outputs, cairn.store)

    @property
    def tasks(self) -> list[Task]:
        """Leaf tasks and loop iterations in the order of the pipeline."""
        if self._tasks is not None:
            return self._tasks
        with open_cairn(self.home) as cairn:
            record = self._record()
            records = cairn.records.tasks(self.uid)
            by_path = {one.path: one for one in records}
            leaves = report.leaves(cairn.runs.pipeline_of(record), record, records, cairn.store)
            found = [Task(leaf, _artifacts(by_path.get(leaf.path), cairn.store)) for leaf in leaves]
        if record.state.terminal:
            self._tasks = found
        return found

    @property
    def artifacts(self) -> dict[str, Any]:
        """By `task path/output name`: an Artifact, or a list where the output is one."""
        return {f"{task.path}/{name}": found for task in self.tasks for name, found in task.artifacts.items()}

    def task(self, path: str) -> Task:
        """By path, or by a name that only one task has. Raises NotFound."""
        exact = [task for task in self.tasks if task.path == path] or [task for task in self.tasks if task.name == path]
        if len(exact) != 1:
            said = f"{len(exact)} tasks are named {path!r}" if exact else f"has no task {path!r}"
            raise NotFound(said, place=f"run {self.job_id}", remedy=", ".join(task.path for task in self.tasks[:10]))
        return exact[0]

    def logs(self, task: str, *, attempt: int = 0, stream: str = "") -> str:
        """What a task has written, both streams in their order, or `stream` ("stdout", "stderr") alone.

        `attempt` 0 is the latest. Raises NotFound when it was never started.
        """
        path = self.task(task).path
        with open_cairn(self.home) as cairn:
            attempts = [one for one in cairn.records.attempts(self.uid) if one.path == path]
        chosen = [one for one in attempts if attempt in (0, one.number)]
        if not chosen:
            raise NotFound("has not been started, so there is no log", place=path)
        pieces = [data for name, data in interleaved(chosen[-1].directory) if stream in ("", name)]
        return b"".join(pieces).decode(errors="replace")

    def wait(self, timeout: float | None = None) -> Run:
        """Until it has ended, whoever runs it. Raises TimeoutError after `timeout` seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self._record().state.terminal:
            if until is not None and time.monotonic() >= until:
                raise TimeoutError(f"run {self.job_id} is {self.state} after {timeout} s")
            time.sleep(POLL_SECONDS)
        return self

    def resume(self, function_or_path: Any = None, *, raise_on_failure: bool = True) -> Run:
        """Go on from what did not succeed, here; with an edited pipeline, from what the edit touches."""
        from cairn.sdk.running import resume

        resume(self, function_or_path)
        self._ended = self._tasks = None
        if raise_on_failure and self.state != "SUCCEEDED":
            raise RunFailed(self)
        return self

    def cancel(self, *, kill: bool = False) -> None:
        """Ask the engine that runs it to end it. Raises InputRefused when it has ended."""
        with open_cairn(self.home) as cairn:
            cairn.runs.cancel(self._record(), kill=kill)

    def __repr__(self) -> str:
        return f"Run({self.job_id!r}, {self.state})"

    def _repr_html_(self) -> str:
        from cairn.sdk.html import run_html

        return run_html(self)

    def _record(self) -> RecordedRun:
        if self._ended is not None:
            return self._ended
        with open_cairn(self.home) as cairn:
            record = cairn.records.run(self.uid)
        if record.state.terminal:
            self._ended = record
        return record


def _artifacts(record: TaskRecord | None, store: Any) -> dict[str, list[Artifact]]:
    if record is None:
        return {}
    return {
        name: [Artifact(one, store.path_of(one.uri)) for one in artifacts]
        for name, artifacts in record.outputs.artifacts.items()
    }
