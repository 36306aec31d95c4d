"""What the records already hold of a run when an engine takes it up: the source of recovery and of `resume`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cairn.domain.ids import ordered_uid
from cairn.domain.runs import AttemptRecord, TaskInputs, TaskRecord
from cairn.domain.states import AttemptState, TaskState

_TRIED_ANEW = (TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED)


class Memory:
    """Recorded tasks by path."""

    def __init__(self, tasks: Sequence[TaskRecord] = (), attempts: Sequence[AttemptRecord] = ()) -> None:
        self._tasks = {task.path: task for task in tasks}
        self._running = {attempt.path: attempt for attempt in attempts if attempt.state is AttemptState.RUNNING}
        self._failed = [attempt for attempt in attempts if attempt.state is AttemptState.FAILED]
        self._consulted: set[str] = set()
        self.recalled: set[str] = set()  # paths whose next record is the one that stands already
        self.started: dict[str, int] = {}

    def task(self, path: str) -> TaskRecord | None:
        return self._tasks.get(path)

    def remember(self, task: TaskRecord) -> None:
        """This engine's own record, which it goes by as one that comes after it would."""
        self._tasks[task.path] = task
        self._consulted.add(task.path)

    def consult(self, path: str) -> TaskRecord | None:
        """The recorded task, when it comes up for the first time: from then on it is this engine's own doing."""
        known = self._tasks.get(path)
        if known is None or path in self._consulted:
            return None
        self._consulted.add(path)
        return known

    def renew(self) -> list[TaskRecord]:
        """The user asked for the run again: what did not succeed is to be tried anew. What to write, so that an engine
        that takes over from this one knows it too."""
        renewed = [
            msgspec.structs.replace(
                task, state=TaskState.PENDING, retries=0, error=None, start_time=0, end_time=0, not_before=0
            )
            for task in self._tasks.values()
            if task.state in _TRIED_ANEW or (task.state is TaskState.PENDING and task.not_before)
        ]
        self._tasks.update((task.path, task) for task in renewed)
        return renewed

    def running(self, path: str) -> AttemptRecord | None:
        return self._running.pop(path, None)

    def failed(self, attempt: AttemptRecord) -> None:
        """It has ended so, as it is recorded."""
        self._failed.append(attempt)

    def spent(self, path: str, since: int) -> float:
        """Seconds that the failed attempts of a task took that began at `since` or later."""
        found = [each for each in self._failed if each.path == path and each.start_time >= since]
        return sum(each.end_time - each.start_time for each in found) / 1e6

    def waiting_since(self, path: str, attempts: int) -> int:
        """When the task began to wait for room, if that is recorded; `attempts`: how many it has had. 0 if not."""
        if attempts:
            return max((each.end_time for each in self._failed if each.path == path), default=0)
        known = self._tasks.get(path)
        return known.create_time if known is not None and known.state is TaskState.PENDING else 0

    def forget(self, path: str) -> None:
        self._tasks.pop(path, None)

    def orphans(self) -> list[AttemptRecord]:
        """Attempts that run and whose task has not come up again."""
        return list(self._running.values())

    def unfinished(self) -> list[TaskRecord]:
        """Recorded tasks without an end that have not come up again."""
        return [task for task in self._tasks.values() if not task.state.terminal]

    def uid_of(self, path: str) -> str:
        known = self._tasks.get(path)
        return known.uid if known is not None and known.uid else ordered_uid()

    def fits(self, known: TaskRecord | None, inputs: TaskInputs | None, identity: str) -> bool:
        """Whether a recorded task still is the same task: its own definition, and what it is given."""
        if known is None:
            return False
        if known.identity and known.identity != identity:
            return False
        if inputs is None:
            return True
        return known.inputs.parameters == inputs.parameters and _ids(known.inputs) == _ids(inputs)


def _ids(inputs: TaskInputs) -> dict[str, list[str]]:
    return {name: [artifact.id for artifact in artifacts] for name, artifacts in inputs.artifacts.items()}
