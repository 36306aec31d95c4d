"""`cairn jobs cancel` and `cairn jobs delete`."""

from __future__ import annotations

import click

from cairn.cli import options, output, words
from cairn.cli.jobs.finding import find_job, jobs_argument
from cairn.cli.opening import opened
from cairn.cli.runs.control import end_run
from cairn.errors import WrongState


@click.command()
@jobs_argument
@options.as_json
def cancel(references: tuple[str, ...], *, as_json: bool) -> None:
    """End each JOB: its replicas are asked to end, and killed ten seconds later."""
    with opened() as cairn:
        found = [find_job(cairn, reference) for reference in references]
        for run in found:
            if run.state.terminal:
                raise WrongState(f"job {run.job_id} has ended: {run.state}")
        ended = [end_run(cairn, run) for run in found]
        for run in ended:
            output.note(f"job {run.job_id} {run.state.lower()}")
        if as_json:
            output.print_json([{"job_id": run.job_id, "run_id": run.uid, "state": str(run.state)} for run in ended])


@click.command()
@jobs_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.as_json
def delete(references: tuple[str, ...], *, yes: bool, as_json: bool) -> None:
    """Delete each JOB with its logs. What it has put into buckets stays."""
    with opened() as cairn:
        found = list({run.uid: run for run in (find_job(cairn, one) for one in references)}.values())
        if not yes:
            options.ask(f"delete {', '.join(run.job_id for run in found)}?", "cairn jobs delete")
        freed = 0
        for run in found:
            freed += cairn.jobs.delete(run)
            output.note(f"job {run.job_id} deleted")
        output.note(f"{words.size(freed)} freed")
        if as_json:
            output.print_json({"deleted": [run.job_id for run in found], "bytes_freed": freed})
