"""What the native executor can do: operations, by the `--type` of the launcher that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from cairn.domain.runs import Exit
from cairn.engine.ports import NativeCall


class Operation(Protocol):
    """One piece of work under way. Every method is called from the native executor's thread.

    What it has started is found again by `NativeCall.key`: an operation that is made anew for the same call, after an
    engine was killed, goes on where the records stand, and does nothing twice.
    """

    def advance(self) -> Exit | None:
        """Do what can be done without waiting; the exit when there is nothing left to do. Milliseconds.

        Called when a run has ended on this engine, when asked by `wake`, and every POLL_SECONDS. Raises CairnError for
        a failure: the step fails with its message.
        """

    def stop(self, *, kill: bool) -> None:
        """Ask what it has started to end; `advance` gives the exit (CANCELLED) once that is seen."""


OperationFactory: TypeAlias = Callable[[NativeCall, str], Operation]
"""(call, attempt directory) → operation. May take a while (imports), and runs on the native executor's thread."""
Operations: TypeAlias = Mapping[str, OperationFactory]
