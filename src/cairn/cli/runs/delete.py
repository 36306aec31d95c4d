"""`cairn runs delete`."""

from __future__ import annotations

import click

from cairn.cli import options, output, words
from cairn.cli.opening import opened


@click.command()
@options.runs_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.as_json
def delete(references: tuple[str, ...], *, yes: bool, as_json: bool) -> None:
    """Delete each RUN with its logs, and the artifacts that no other run refers to."""
    with opened() as cairn:
        found = list({run.uid: run for run in (options.find_run(cairn, one) for one in references)}.values())
        if not yes:
            told = ", ".join(run.job_id for run in found)
            options.ask(f"delete {output.clean(told)}?", "cairn runs delete")
        freed = 0
        for run in found:
            freed += cairn.upkeep.delete(run)
            output.note(f"run {run.job_id} deleted")
        output.note(f"{words.size(freed)} freed")
        if as_json:
            output.print_json({"deleted": [run.uid for run in found], "bytes_freed": freed})
