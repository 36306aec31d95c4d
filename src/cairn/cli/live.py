"""The live view on a terminal: the tree of steps, redrawn as it changes.

rich is imported at the first drawing: a run that is over by then never pays for it.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from cairn.cli import output, words
from cairn.cli.progress import Progress, Row, Step
from cairn.cli.views import STYLES
from cairn.domain.states import TaskState
from cairn.engine.report import seconds_between

if TYPE_CHECKING:
    from cairn.domain.runs import Run
    from cairn.engine.ports import Batch
    from cairn.spec.types import Pipeline

Segment = tuple[str, str]  # text, style

FIRST_DRAWING = 0.15
LOG_TAIL = 4096
_SYMBOLS = {
    TaskState.SUCCEEDED: ("✓", "+"),
    TaskState.FAILED: ("✗", "!"),
    TaskState.RUNNING: ("●", "*"),
    TaskState.CANCELLED: ("⊘", "x"),
    TaskState.SKIPPED: ("╌", "-"),
    TaskState.PENDING: ("○", "."),
}
_NARROW = 24  # columns of a name
_TIME = 8


class LiveView:
    interval = 0.12

    def __init__(self, pipeline: Pipeline | None = None) -> None:
        self.progress = Progress(pipeline)
        self.title = pipeline.name if pipeline is not None else ""
        self._began = time.monotonic()
        self._lines: dict[str, str] = {}  # component → the last line of its environment's builder
        self._live: Any = None
        self._closed = False

    def committed(self, run: Run, batch: Batch) -> None:
        self.title = f"{run.job_id}  {run.state.lower()}"
        for record in batch.tasks:
            self.progress.task(record)
            if record.state is not TaskState.PENDING:
                self._lines.pop(record.component, None)
        for attempt in batch.starts:
            self.progress.started(attempt)

    def building(self, component: str, line: str) -> None:
        self._lines[component] = output.one_line(line, 200)

    def say(self, text: str) -> None:
        if self._live is not None:
            self._live.console.print(output.clean(text), markup=False, highlight=False)
        else:
            output.note(text)

    def tick(self) -> None:
        if self._closed or time.monotonic() - self._began < FIRST_DRAWING:
            return
        try:
            if self._live is None:
                self._live = open_live()
            self._live.update(self._drawing(), refresh=True)
        except (BrokenPipeError, ValueError):  # the terminal is gone; the run is not
            self._closed = True

    def close(self) -> None:
        """Take the drawing away and leave the tree as it ended."""
        if self._live is not None and not self._closed:
            self._live.stop()
        if not self._closed:
            paint = output.painter(sys.stderr)
            width = _columns()
            for row in self.progress.rows(60):
                cut = cropped(segments(row, ""), width)
                output.note("".join(paint(text, style) if style else text for text, style in cut).rstrip())
        self._closed = True

    def _drawing(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        console = self._live.console
        room = max(3, console.height - 3)
        lines = [Text.assemble((self.title, "bold"), ("  " + self._counts(), "dim"), no_wrap=True, overflow="ellipsis")]
        for row in self.progress.rows(room):
            styled = [(text, style) for text, style in segments(row, self._words_about(row.step))]
            lines.append(Text.assemble(*styled, no_wrap=True, overflow="ellipsis"))
        return Group(*lines)

    def _counts(self) -> str:
        counts = self.progress.counts
        told = [f"{count:,} {state.lower()}" for state, count in counts.items() if count]
        return f"{words.duration(time.monotonic() - self._began)}  {', '.join(told)}"

    def _words_about(self, step: Step) -> str:
        if step.kind != "leaf":
            return ""
        if step.state is TaskState.RUNNING and step.directory:
            return last_line(step.directory)
        if step.state is TaskState.PENDING and step.component in self._lines:
            return f"environment: {self._lines[step.component]}"
        return ""


def open_live() -> Any:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
    live.start()
    return live


def segments(row: Row, told: str, now: int = 0) -> list[Segment]:
    """One row: symbol, name, time, attempts, and what there is to say about it."""
    step = row.step
    style = STYLES[step.state]
    wide = (sys.stderr.encoding or "").lower().startswith("utf")
    symbol = _SYMBOLS[step.state][0 if wide else 1]
    label = f"{row.label} ({step.total:,})" if step.collapsed and step.total else row.label
    width = max(0, _NARROW - 2 * row.depth)  # so that the columns behind it stand below one another
    found: list[Segment] = [("  " * row.depth, ""), (f"{symbol} ", style), (output.clean(label).ljust(width), "")]
    found.append((f"  {_took(step, now):>{_TIME}}", "dim"))
    if step.attempts > 1:
        found.append((f"  attempt {step.attempts}", "yellow"))
    if step.collapsed:
        counts = ", ".join(f"{count:,} {state.lower()}" for state, count in step.counts.items() if count)
        found.append((f"  {counts}", "dim"))
    words_about = told or _fate(step)
    if words_about:
        found.append((f"  {words_about}", "red" if step.state is TaskState.FAILED else "dim"))
    return found


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):  # no terminal, or none any more
        return 80


def cropped(row: list[Segment], width: int) -> list[Segment]:
    """The row in one line of the terminal; what is cut is told below it, or by `cairn runs show`."""
    found: list[Segment] = []
    room = width
    for text, style in row:
        if len(text) > room:
            return [*found, (f"{text[: room - 1]}…", style)] if room else found
        found.append((text, style))
        room -= len(text)
    return found


def _took(step: Step, now: int) -> str:
    if step.cached:
        return "cached"
    if not step.start:
        return ""
    return words.duration(seconds_between(step.start, step.end or now or time.time_ns() // 1000))


def _fate(step: Step) -> str:
    if step.state is TaskState.FAILED and step.kind == "leaf":
        return output.one_line(step.error, 160)
    if step.state is TaskState.FAILED and step.collapsed and step.failed:
        return f"first failed: {step.failed}"
    if step.state is TaskState.SKIPPED:
        return output.one_line(step.error, 100) or "skipped"
    return ""


def last_line(directory: str) -> str:
    """The last line that an attempt has written to either stream, "" when there is none."""
    newest, text = -1.0, b""
    for stream in ("stdout", "stderr"):
        try:
            with open(os.path.join(directory, f"{stream}.log"), "rb") as file:
                status = os.fstat(file.fileno())
                if status.st_size and status.st_mtime > newest:
                    file.seek(max(0, status.st_size - LOG_TAIL))
                    newest, text = status.st_mtime, file.read()
        except OSError:
            continue
    lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
    return output.one_line(lines[-1].rpartition("\r")[2] or lines[-1], 160) if lines else ""
