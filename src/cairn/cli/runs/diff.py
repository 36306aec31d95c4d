"""`cairn runs diff`: two runs side by side."""

from __future__ import annotations

import sys
from typing import Any

import click

from cairn.cli import options, output, words
from cairn.cli.opening import opened
from cairn.cli.tables import table
from cairn.engine.differences import between


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@options.as_json
def diff(first: str, second: str, *, as_json: bool) -> None:
    """Compare runs A and B: configuration, parameters, settings, pipeline, outputs, each task. Only what differs."""
    with opened() as cairn:
        runs = options.find_run(cairn, first), options.find_run(cairn, second)
        found = between(cairn.runs, *runs)
        if as_json:
            output.print_json({"a": runs[0].uid, "b": runs[1].uid, **found})
            return
        if not any(found.values()):
            output.note("no differences")
        for title, differences in found.items():
            if differences:
                output.say(output.paint(title, "bold", sys.stdout))
                rows = [(each["name"], _told(each["a"]), _told(each["b"])) for each in differences]
                table(("name", runs[0].uid[:8], runs[1].uid[:8]), rows)


def _told(value: Any) -> str:
    return "" if value is None else words.value(value, 60)
