"""What a user sees of a run while it runs: plain lines here, a live view on a terminal (`live`)."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol

from cairn.cli import output, words
from cairn.cli.progress import Progress
from cairn.domain.states import TaskState
from cairn.engine.report import seconds_between, waits_for

if TYPE_CHECKING:
    from cairn.domain.runs import Run, TaskRecord
    from cairn.engine.ports import Batch
    from cairn.spec.types import Pipeline

STYLES = {
    TaskState.SUCCEEDED: "green",
    TaskState.FAILED: "red",
    TaskState.RUNNING: "cyan",
    TaskState.CANCELLED: "yellow",
    TaskState.SKIPPED: "dim",
    TaskState.PENDING: "dim",
}


class View(Protocol):
    """Everything but `building` is called from the thread that drives the engine."""

    progress: Progress
    interval: float
    """Seconds between two calls of `tick`; 0.0 when it need not be called."""

    def committed(self, run: Run, batch: Batch) -> None:
        """The engine's observer."""

    def building(self, component: str, line: str) -> None:
        """What an environment's builder says (worker thread)."""

    def say(self, text: str) -> None:
        """A line for the user that is not about one step."""

    def tick(self) -> None:
        """Time has passed."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class PlainView:
    """One line on standard error for each transition of a step."""

    interval = 0.0

    def __init__(self, pipeline: Pipeline | None = None) -> None:
        self.progress = Progress(pipeline)
        self._paint = output.painter(sys.stderr)
        self._started: set[str] = set()
        self._said: dict[str, float] = {}

    def committed(self, run: Run, batch: Batch) -> None:  # noqa: ARG002 - the observer's signature
        lines = []
        for record in batch.tasks:
            before = self.progress.task(record)
            if before is not record.state or record.state is TaskState.PENDING:
                line = self.line(record)
                if line:
                    lines.append(line)
        for attempt in batch.starts:
            self.progress.started(attempt)
        if lines:
            output.write_error("\n".join(lines) + "\n")

    def line(self, record: TaskRecord) -> str:
        """`train  succeeded  1.20 s`; "" for what is not worth a line."""
        state = record.state
        if record.kind != "leaf" and state in (TaskState.RUNNING, TaskState.PENDING, TaskState.SUCCEEDED):
            return ""
        if state is TaskState.PENDING:
            waiting = waits_for(record)
            return f"{record.path}  {waiting}" if waiting else self._retry(record)
        parts = [record.path, self._paint(state.lower(), STYLES[state])]
        if record.cached:
            parts.append("cached")
        elif state.terminal and record.start_time and record.kind == "leaf":
            parts.append(words.duration(seconds_between(record.start_time, record.end_time)))
        if state is TaskState.RUNNING and record.attempts > 1:
            parts.append(f"attempt {record.attempts}")
        if record.error is not None and state is not TaskState.CANCELLED:
            parts.append(output.one_line(record.error.message, 300))
        return "  ".join(parts)

    def _retry(self, record: TaskRecord) -> str:
        if not record.attempts:
            return ""
        pause = (record.not_before - time.time_ns() // 1000) / 1e6
        when = f"in {words.duration(pause)}" if pause > 0 else "at once"
        return f"{record.path}  attempt {record.attempts} did not succeed, again {when}"

    def building(self, component: str, line: str) -> None:
        now = time.monotonic()
        if now - self._said.get(component, -9.0) >= 1.0:
            self._said[component] = now
            output.note(f"environment of {component}: {output.one_line(line, 200)}")

    def say(self, text: str) -> None:
        output.note(text)

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass


class SilentView(PlainView):
    """Keeps count and says nothing (`--quiet`)."""

    def committed(self, run: Run, batch: Batch) -> None:  # noqa: ARG002
        for record in batch.tasks:
            self.progress.task(record)

    def building(self, component: str, line: str) -> None:
        pass

    def say(self, text: str) -> None:
        pass


def make_view(pipeline: Pipeline | None, *, quiet: bool = False) -> View:
    """Live on a terminal, plain lines elsewhere."""
    if quiet:
        return SilentView()
    if output.is_terminal(sys.stderr):
        from cairn.cli.live import LiveView

        return LiveView(pipeline)
    return PlainView()
