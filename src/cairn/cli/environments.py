"""`cairn environments`: what steps run in."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from cairn.cli import options, output, words
from cairn.cli.commands import LazyGroup
from cairn.cli.opening import opened
from cairn.cli.tables import facts, table

_HERE = "cairn.cli.environments"


@click.group(
    cls=LazyGroup,
    entries={
        "list": (f"{_HERE}:list_environments", "List environments, last used first."),
        "show": (f"{_HERE}:show", "Show one environment and its packages."),
        "refresh": (f"{_HERE}:refresh", "Have requested packages resolved anew."),
        "remove": (f"{_HERE}:remove", "Remove environments."),
    },
)
def environments() -> None:
    """Environments are built once for what components ask for, and shared by all runs of a home."""


@click.command(name="list")
@options.as_json
def list_environments(*, as_json: bool) -> None:
    """List environments, last used first."""
    with opened() as cairn:
        found = cairn.environment_collection.list_environments(cairn.environments.catalogue)
        if as_json:
            output.print_json([msgspec.to_builtins(info) for info in found])
            return
        rows = [
            (
                info.key[:12],
                info.python,
                words.size(info.own_size),
                words.ago(int(info.last_use * 1e6)),
                _condition(info),
                "; ".join(info.asked_for),
            )
            for info in found
        ]
        columns = ("environment", "python", "own size", "last use", "", "asked for")
        table(columns, rows, empty="no environments")


def _condition(info: Any) -> str:
    if not info.ready:
        return "not finished"
    return "in use" if info.in_use else ""


@click.command()
@click.argument("key")
@options.as_json
def show(key: str, *, as_json: bool) -> None:
    """Show the environment whose key, as `list` prints it, begins with KEY, and its packages."""
    with opened() as cairn:
        info, packages = cairn.environment_collection.show_environment(cairn.environments.catalogue, key)
        if as_json:
            output.print_json({**msgspec.to_builtins(info), "packages": packages})
            return
        facts(
            [
                ("environment", info.key),
                ("directory", str(cairn.environments.catalogue.directory(info.key))),
                ("python", info.python),
                ("asked for", "\n".join(info.asked_for)),
                ("size", f"{words.size(info.size)}, of it its own {words.size(info.own_size)}"),
                ("last use", words.ago(int(info.last_use * 1e6))),
                ("state", _condition(info)),
                ("packages", "\n".join(packages)),
            ]
        )


@click.command()
@click.argument("key", required=False)
@options.as_json
def refresh(key: str | None, *, as_json: bool) -> None:
    """Have the packages of all environments, or of KEY, resolved anew by the next run that needs them."""
    with opened() as cairn:
        lines = cairn.environment_collection.refresh_environments(cairn.environments.catalogue, key or "")
        if as_json:
            output.print_json({"refreshed": lines})
            return
        for line in lines:
            output.say(line)
        output.note(f"{words.plural(len(lines), 'specification')} will be resolved anew")


@click.command()
@click.argument("keys", metavar="KEY…", nargs=-1, required=True)
@options.as_json
def remove(keys: tuple[str, ...], *, as_json: bool) -> None:
    """Remove environments; one that a run uses stays. They are built again when they are needed."""
    with opened() as cairn:
        freed = 0
        removed: list[str] = []
        for key in keys:
            collected = cairn.environment_collection.remove_environment(cairn.environments.catalogue, key)
            if not collected.environments:
                output.warn(f"{key} is in use and stays")
            removed += collected.environments
            freed += collected.bytes_freed
        if as_json:
            output.print_json({"removed": removed, "bytes_freed": freed})
        else:
            output.note(f"{words.plural(len(removed), 'environment')} removed, {words.size(freed)} freed")
