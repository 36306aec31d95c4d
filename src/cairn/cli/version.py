"""`cairn version`."""

from __future__ import annotations

import sys

import click

from cairn import __version__
from cairn.cli import output


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def version(*, as_json: bool) -> None:
    """Print the version."""
    if as_json:
        output.print_json({"cairn": __version__, "python": sys.version.split()[0]})
    else:
        output.say(f"cairn {__version__}")
