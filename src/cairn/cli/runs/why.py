"""`cairn runs why`: what a step's cache key was made of, and which part made it miss."""

from __future__ import annotations

import click

from cairn.cli import options, output, words
from cairn.cli.opening import opened
from cairn.cli.runs.listing import find_task
from cairn.cli.tables import facts, table
from cairn.engine import comparisons


@click.command()
@options.run_argument
@options.task_argument(required=True)
@options.as_json
def why(reference: str, task: str, *, as_json: bool) -> None:
    """Say what TASK of RUN was compared by, with which earlier result, and which part differed."""
    with opened() as cairn:
        run = options.find_run(cairn, reference)
        record = find_task(cairn, run, task)
        found = comparisons.why(cairn.records, run, record)
        if as_json:
            output.print_json(found)
            return
        facts([("task", record.path), ("verdict", found["verdict"]), ("because", found["reason"])])
        if found["parts"]:
            rows = [
                (
                    part["name"],
                    "" if part["same"] is None else "same" if part["same"] else "differs",
                    words.value(part["now"] or "", 60),
                    words.value(part["then"] or "", 60) if not part["same"] else "",
                )
                for part in found["parts"]
            ]
            table(("part", "", "now", "then"), rows)
