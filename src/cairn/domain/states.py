"""The states of runs, tasks and attempts. Which change is legal stands in `engine/transitions.py`."""

from enum import StrEnum


class RunState(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        return self in _RUN_TERMINAL


class TaskState(StrEnum):
    PENDING = "PENDING"  # waits for upstream tasks, a slot, its back-off, or an equal task of another run
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"  # its condition was false, or something upstream did not succeed
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        return self in _TASK_TERMINAL


class AttemptState(StrEnum):
    RUNNING = "RUNNING"  # admitted and recorded; its process may or may not exist yet
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    LOST = "LOST"  # its waiter is gone and no exit was observed: run again, not counted as a retry

    @property
    def terminal(self) -> bool:
        return self is not AttemptState.RUNNING


class ExitReason(StrEnum):
    """Why an attempt's processes ended."""

    EXITED = "EXITED"
    SIGNALLED = "SIGNALLED"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    CANCELLED = "CANCELLED"
    NOT_STARTED = "NOT_STARTED"  # the command could not be executed at all
    LOST = "LOST"


_RUN_TERMINAL = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
_TASK_TERMINAL = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED})
