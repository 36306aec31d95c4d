"""What a user sees of a sweep while it goes on: a line for each job that has ended, a bar above them on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cairn.cli import output, words
from cairn.cli.summary import number as as_number
from cairn.domain.states import RunState

if TYPE_CHECKING:
    from cairn.domain.runs import Run
    from cairn.engine.ports import Batch
    from cairn.sweeps.types import Sweep

_STYLES = {RunState.SUCCEEDED: "green", RunState.FAILED: "red", RunState.CANCELLED: "yellow"}
_SHOWN = 8  # jobs that run
_COMPOSING_SECONDS = 1.0
_BAR = 30


class SweepView:
    """One line on standard error for each job that ends."""

    interval = 0.0

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.total = 0
        self.done: dict[str, int] = {}
        self.going: dict[int, str] = {}
        self.metrics: tuple[str, ...] = ()
        self.keys: tuple[str, ...] = ()
        self._paint = output.painter(sys.stderr)
        self._said: dict[str, float] = {}
        self._began = time.monotonic()

    def committed(self, run: Run, batch: Batch) -> None:
        """The engine's observer."""

    def building(self, component: str, line: str) -> None:
        """What an environment's builder says (worker thread)."""
        now = time.monotonic()
        if not self.quiet and now - self._said.get(component, -9.0) >= 1.0:
            self._said[component] = now
            self.say(f"environment of {component}: {output.one_line(line, 200)}")

    def recorded(self, sweep: Sweep) -> None:
        self.shape(sweep)
        self.say(f"sweep {sweep.name} ({sweep.id[:8]})")

    def shape(self, sweep: Sweep) -> None:
        """What jobs are told by."""
        self.metrics, self.keys = sweep.configuration.metric, sweep.keys

    def planned(self, total: int) -> None:
        self.total = total

    def composing(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done == 1:
            self._said[""] = now
        if done < total and now - self._said[""] >= _COMPOSING_SECONDS:
            self._said[""] = now
            self.say(f"composing: {done} of {words.plural(total, 'job')}")

    def started(self, number: int, overrides: Sequence[str], run: Run) -> None:  # noqa: ARG002 - the watcher's signature
        self.going[number] = self._combination(overrides)

    def taken(self, count: int, failed: int) -> None:
        self.done[RunState.SUCCEEDED] = self.done.get(RunState.SUCCEEDED, 0) + count - failed
        if failed:
            self.done[RunState.FAILED] = self.done.get(RunState.FAILED, 0) + failed
        told = f", {failed} of them failed" if failed else ""
        self.say(f"{words.plural(count, 'job')} ended before{told}  [{sum(self.done.values())}/{max(self.total, 1)}]")

    def ended(
        self, number: int, overrides: Sequence[str], run: Run | None, metrics: Sequence[float | None], reason: str
    ) -> None:
        self.going.pop(number, None)
        state = run.state if run is not None else RunState.FAILED
        if run is not None:
            self.done[state] = self.done.get(state, 0) + 1
        if self.quiet:
            return
        told = [
            f"#{number}",
            self._combination(overrides),
            self._paint(state.lower(), _STYLES.get(state, "dim")) if run is not None else "",
        ]
        if run is not None and run.end_time and run.start_time:
            told.append(words.duration((run.end_time - run.start_time) / 1e6))
        told += [
            f"{name} {as_number(value)}"
            for name, value in zip(self.metrics, metrics, strict=False)
            if value is not None
        ]
        if run is not None and run.error is not None and state is RunState.FAILED:
            reason = run.error.message
        told.append(output.one_line(reason, 200))
        self.say("  ".join(filter(None, told)) + f"  [{sum(self.done.values())}/{max(self.total, 1)}]")

    def say(self, text: str) -> None:
        if not self.quiet:
            output.note(text)

    def warn(self, text: str) -> None:
        self.say(f"{self._paint('warning:', 'yellow')} {output.clean(text)}")

    def tick(self) -> None:
        """Time has passed."""

    def close(self) -> None:
        """Leave the terminal as it was."""

    def _combination(self, overrides: Sequence[str]) -> str:
        chosen = (
            [one for one in overrides if one.lstrip("+").partition("=")[0] in self.keys] if self.keys else overrides
        )
        return output.one_line(" ".join(chosen), 100)


class LiveSweepView(SweepView):
    """The same lines, and below them a bar and the jobs that run."""

    interval = 0.12

    def __init__(self) -> None:
        super().__init__()
        self._live: Any = None
        self._closed = False

    def say(self, text: str) -> None:
        if self._live is not None and not self._closed:
            from rich.text import Text

            self._live.console.print(Text.from_ansi(text), highlight=False)
        else:
            output.note(text)

    def tick(self) -> None:
        if self._closed:
            return
        try:
            if self._live is None:
                from cairn.cli.live import open_live

                self._live = open_live()
            self._live.update(self._drawing(), refresh=True)
        except (BrokenPipeError, ValueError):  # the terminal is gone; the sweep is not
            self._closed = True

    def close(self) -> None:
        if self._live is not None:
            self.tick()  # the last frame: what has ended since the one before
            if not self._closed:
                self._live.stop()
        self._closed = True

    def _drawing(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        done, total = sum(self.done.values()), max(self.total, 1)
        filled = min(_BAR, _BAR * done // total)
        counts = ", ".join(f"{count} {state.lower()}" for state, count in self.done.items())
        took = words.duration(time.monotonic() - self._began)
        head = Text.assemble(
            ("━" * filled, "green"), ("━" * (_BAR - filled), "bright_black"), f"  {done}/{total}", (f"  {took}", "dim"),
            (f"  {counts}" if counts else "", "dim"), no_wrap=True, overflow="ellipsis",
        )  # fmt: skip
        lines = [
            Text.assemble(("● ", "cyan"), f"#{number}  {told}", no_wrap=True, overflow="ellipsis")
            for number, told in list(self.going.items())[:_SHOWN]
        ]
        if len(self.going) > _SHOWN:
            lines.append(Text(f"  and {len(self.going) - _SHOWN} more", style="dim"))
        return Group(head, *lines)


def make_sweep_view(*, quiet: bool) -> SweepView:
    if not quiet and output.is_terminal(sys.stderr):
        return LiveSweepView()
    return SweepView(quiet=quiet)
