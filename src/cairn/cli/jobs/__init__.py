"""`cairn jobs`: one file for each kind of thing that is done with custom jobs."""

from __future__ import annotations

import click

from cairn.cli.commands import LazyGroup


@click.group(
    cls=LazyGroup,
    entries={
        "run": ("cairn.cli.jobs.running:run", "Run a custom job: of a file, or a command in an image."),
        "list": ("cairn.cli.jobs.listing:list_jobs", "List jobs, newest first."),
        "show": ("cairn.cli.jobs.listing:show", "Show one job: its worker pools, its state, its replicas."),
        "logs": ("cairn.cli.jobs.logs:logs", "Print what replicas have written."),
        "stream-logs": ("cairn.cli.jobs.logs:stream_logs", "Follow what replicas write until the job has ended."),
        "cancel": ("cairn.cli.jobs.control:cancel", "End jobs."),
        "delete": ("cairn.cli.jobs.control:delete", "Delete jobs with their logs."),
    },
)
def jobs() -> None:
    """Run training jobs as Vertex AI's CustomJob describes them, and look at them.

    JOB is a job's number, the first four or more characters of its run's id, or "latest".
    """
