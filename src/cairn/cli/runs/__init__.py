"""`cairn runs`: one file for each kind of thing that is done with runs."""

from __future__ import annotations

import click

from cairn.cli.commands import LazyGroup


@click.group(
    cls=LazyGroup,
    entries={
        "list": ("cairn.cli.runs.listing:list_runs", "List runs, newest first."),
        "show": ("cairn.cli.runs.listing:show", "Show one run: its steps, outputs, metrics, artifacts."),
        "logs": ("cairn.cli.runs.logs:logs", "Print what steps have written."),
        "watch": ("cairn.cli.runs.watch:watch", "Follow a run that another process runs."),
        "cancel": ("cairn.cli.runs.control:cancel", "End runs."),
        "resume": ("cairn.cli.runs.control:resume", "Go on with a run, from what did not succeed."),
        "clone": ("cairn.cli.runs.control:clone", "Run the same pipeline again, with changed parameters."),
        "diff": ("cairn.cli.runs.diff:diff", "Compare two runs."),
        "why": ("cairn.cli.runs.why:why", "Say why a step was, or was not, taken from the cache."),
        "debug": ("cairn.cli.runs.debug:debug", "Run one step again in the foreground, for a debugger."),
        "delete": ("cairn.cli.runs.delete:delete", "Delete runs and free what only they refer to."),
    },
)
def runs() -> None:
    """Look at runs, end them, take them up again.

    RUN is a run's id, the first four or more characters of it, its job id, or "latest". TASK is a step's path as
    `cairn runs show` prints it.
    """
