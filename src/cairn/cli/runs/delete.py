"""`cairn runs delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cairn.cli import nouns, options, output, words
from cairn.cli.opening import opened
from cairn.domain.runs import RunKind

if TYPE_CHECKING:
    from cairn.domain.runs import Run


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
        kept: list[Run] = []
        for run in found:
            started = cairn.jobs.started_by(run)
            freed += cairn.upkeep.delete(run)
            output.note(f"{nouns.noun(run)} {run.job_id} deleted")
            kept += [one for one in started if one.kind is not RunKind.TRIAL]
        output.note(f"{words.size(freed)} freed")
        gone = {run.uid for run in found}
        kept = [one for one in kept if one.uid not in gone]
        if kept:
            output.note("what its steps have started stays; to delete it:")
            output.note(f"  cairn runs delete {' '.join(one.uid[:8] for one in kept)}")
        if as_json:
            output.print_json(
                {"deleted": [run.uid for run in found], "bytes_freed": freed, "kept": [one.uid for one in kept]}
            )
