"""Rows for people and for programs: aligned on a terminal, tab-separated elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cairn.cli import output


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str = "", cut: str = "") -> None:
    """On a terminal a table with its headings, or `empty` on standard error when there are no rows; elsewhere only the
    rows, one in a line, without headings: `cut -f` and `awk -F'\\t'` read them.

    `cut`: the column that is cut in a narrow terminal, so that no other one is folded; its values hold no spaces.
    """
    if not rows:
        if empty:
            output.note(empty)
        return
    if not output.is_terminal(sys.stdout):
        for row in rows:
            output.say("\t".join(output.one_line(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for at, column in enumerate(columns):
        # The first column holds what other commands take as a reference: it is never cut.
        whole = at == 0 or (bool(cut) and column != cut)
        least = max(len(output.one_line(row[at])) for row in rows) if at == 0 or column == "state" else None
        shown.add_column(
            column.upper(), no_wrap=whole, overflow="ellipsis" if whole or cut else "fold", min_width=least
        )
    for row in rows:
        shown.add_row(*(Text(output.one_line(cell), style=_STATES.get(cell, "")) for cell in row))
    Console(no_color=bool(os.environ.get("NO_COLOR")), highlight=False).print(shown)


def facts(pairs: Sequence[tuple[str, str]], *, indent: str = "") -> None:
    """Names and values in two columns; pairs without a value are left out."""
    told = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in told), default=0)
    paint = output.painter(sys.stdout)
    for name, value in told:
        first, *rest = value.split("\n")
        output.say(f"{indent}{paint(name.ljust(width), 'dim')}  {output.clean(first)}")
        for line in rest:
            output.say(f"{indent}{' ' * width}  {output.clean(line)}")


_STATES = {
    "SUCCEEDED": "green",
    "COMPLETE": "green",
    "FAILED": "red",
    "RUNNING": "cyan",
    "CANCELLED": "yellow",
    "CANCELLING": "yellow",
    "INTERRUPTED": "yellow",
    "LOST": "yellow",
    "SKIPPED": "bright_black",
    "PENDING": "bright_black",
}
