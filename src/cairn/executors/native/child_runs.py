"""A run that an operation has started, watched to its end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from cairn.domain.runs import Exit, Run
from cairn.domain.states import ExitReason, RunState
from cairn.errors import CairnError, InputRefused, RecordsBusy
from cairn.executors.native.notes import Notes
from cairn.executors.native.services import NativeServices
from cairn.launcher.logs import log_path
from cairn.spec.types import Pipeline

BRING_SECONDS = 3.0  # before a run that no engine has is brought again
REFUSALS = 3  # before one that never began has failed: a container engine may be starting anew
TAIL_BYTES = 4096
TAIL_LINES = 20


class ChildRun:
    """`name`: for people, such as `custom job 1234`."""

    def __init__(self, run: Run, name: str, services: NativeServices, notes: Notes, *, silent: bool = False) -> None:
        """`silent`: its states are not said."""
        self.run = run
        self.name = name
        self._services = services
        self._notes = notes
        self._silent = silent
        self._cancelled = False
        self._next_look = 0.0
        self._refusals = 0  # how often nothing could be found to run it in, one after another

    def bring(self, pipeline: Pipeline | None = None) -> None:
        self._next_look = time.monotonic() + BRING_SECONDS
        if not self.run.state.terminal:
            self._services.bring(self.run, pipeline)

    def advance(self) -> Exit | None:
        """The step's exit once the run has ended."""
        self.run = run = self._services.records.run(self.run.uid)
        if not self._silent:
            self._notes.now(f"{self.name} {run.state.lower()}")
        if run.state.terminal:
            return self._exit(run)
        if time.monotonic() >= self._next_look:  # its engine may have died
            self._next_look = time.monotonic() + BRING_SECONDS
            if self._services.records.claimed(run.uid) is None:
                self._bring_again(run)
        return None

    def _bring_again(self, run: Run) -> None:
        """One that could not be taken until now, or whose engine has died."""
        runs = self._services.runs()
        try:
            runs.plans(runs.pipeline_of(run), run.settings)
        except RecordsBusy:
            return
        except CairnError as error:
            self._refusals += 1
            self._notes.now(f"{self.name} cannot be started: {error.message}")
            if self._refusals >= REFUSALS and run.state is RunState.PENDING:
                runs.give_up(run, error)
            return
        self._refusals = 0
        self._services.bring(run, None)

    def stop(self, *, kill: bool) -> None:
        """Raises RecordsBusy."""
        self._cancelled = True
        try:
            self._services.runs().cancel(self.run, kill=kill)
        except RecordsBusy:
            raise
        except InputRefused:  # it has ended: `advance` sees it
            return

    def _exit(self, run: Run) -> Exit:
        if run.state is RunState.SUCCEEDED:
            return Exit(ExitReason.EXITED, code=0)
        if self._cancelled:
            return Exit(ExitReason.CANCELLED)
        said = run.error.message if run.error is not None else ""
        if not self._silent:
            self._notes.say(*failed_words(self._services, run))
        verb = "was cancelled" if run.state is RunState.CANCELLED else "failed"
        message = f"{self.name} {verb}" + (f": {said}" if said else "")
        return Exit(ExitReason.EXITED, code=1, message=message, cause=run.error)


def failed_words(services: NativeServices, run: Run) -> Iterator[str]:
    """The last lines of every failed attempt of a run, with the name of its log."""
    try:
        attempts = services.records.attempts(run.uid)
    except CairnError:
        return
    for attempt in attempts[-1:]:
        for stream in ("stdout", "stderr"):
            lines = _tail(log_path(attempt.directory, stream))
            if lines:
                yield f"--- the last of {stream} of {attempt.path} (run {run.uid[:8]})"
                yield from lines


def _tail(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
    except OSError:
        return []
