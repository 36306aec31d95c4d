"""The tree of commands. A command's module is imported when the command is called, and not before."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """`entries`: name → (module:attribute, one line of help), in the order in which they are shown. `sections`: the
    first command below each heading."""

    def __init__(
        self, *args: Any, entries: dict[str, tuple[str, str]], sections: dict[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.entries = entries
        self.sections = sections or {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry[0].partition(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.entries and not args[0].startswith("-"):
            import difflib  # only on the way to an error

            near = difflib.get_close_matches(args[0], self.entries, n=2)
            error = click.UsageError(f"there is no command {args[0]!r}", ctx)
            error.possibilities = near  # type: ignore[attr-defined]
            raise error
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        found: list[tuple[str, list[tuple[str, str]]]] = [] if self.sections else [("Commands", [])]
        for name, (_, words) in self.entries.items():
            if name in self.sections:
                found.append((self.sections[name], []))
            found[-1][1].append((name, words))
        width = max(map(len, self.entries))
        for heading, rows in found:
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), words) for name, words in rows])


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from cairn import __version__

        click.echo(f"cairn {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    entries={
        "run": ("cairn.cli.run:run", "Run a pipeline."),
        "submit": ("cairn.cli.submit:submit", "Run a pipeline on Vertex AI, Kubeflow Pipelines or another Cairn."),
        "runs": ("cairn.cli.runs:runs", "Look at runs, end them, take them up again."),
        "sweeps": ("cairn.cli.sweeps:sweeps", "Runs of one pipeline, one for each combination (`cairn run -m`)."),
        "schedules": ("cairn.cli.schedules:schedules", "Run pipelines again and again."),
        "jobs": ("cairn.cli.jobs:jobs", "Training jobs: several replicas, Python packages, machines."),
        "studies": ("cairn.cli.studies:studies", "What tuning jobs have tried: trials, plots, the best parameters."),
        "tensorboard": ("cairn.cli.tensorboard:tensorboard", "Look at what trainings log, with the real TensorBoard."),
        "artifacts": ("cairn.cli.artifacts:artifacts", "Look at what steps have put out."),
        "cache": ("cairn.cli.cache:cache", "Recorded results that later runs may take."),
        "serve": ("cairn.cli.serving:serve", "Serve this home to Vertex AI, Kubeflow and storage clients."),
        "exec": ("cairn.cli.pointing:execute", "Run a command with its Google and Kubeflow clients pointed here."),
        "env": ("cairn.cli.pointing:environment", "Print what points clients here, for a shell to evaluate."),
        "status": ("cairn.cli.background:status", "The server or background host, and what it runs."),
        "stop": ("cairn.cli.background:stop", "End the server or background host; its runs can be resumed."),
        "tokens": ("cairn.cli.tokens:tokens", "Who may ask this home's server."),
        "images": ("cairn.cli.images:images", "The container images that are built here."),
        "environments": ("cairn.cli.environments:environments", "The environments that steps run in."),
        "gc": ("cairn.cli.storage:gc", "Free space: remove what nothing refers to any more."),
        "backup": ("cairn.cli.storage:backup", "Copy database and artifacts to a directory."),
        "restore": ("cairn.cli.storage:restore", "Bring a backup back into this home."),
        "completion": ("cairn.cli.completion:completion", "Print the completion script for a shell."),
        "version": ("cairn.cli.version:version", "Print the version."),
    },
    sections={
        "run": "Pipelines",
        "jobs": "Training",
        "artifacts": "Results",
        "serve": "Clients",
        "images": "This home",
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def cairn() -> None:
    """Run machine-learning pipelines written for Kubeflow Pipelines and Vertex AI Pipelines on this machine.

    Everything an installation stores is in CAIRN_HOME (default ~/.cairn).
    """
