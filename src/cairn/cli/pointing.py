"""`cairn exec` and `cairn env`: unmodified Google and Kubeflow clients, pointed at this home."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import click

from cairn.cli import options, output
from cairn.cli.opening import opened
from cairn.errors import InputRefused, NotFound

if TYPE_CHECKING:
    from cairn.engine.background import BackgroundHost
    from cairn.wiring import Cairn

_SHELLS = ("bash", "fish", "powershell")  # bash: any POSIX shell


@click.command(
    name="exec",
    short_help="Run a command with its Google and Kubeflow clients pointed here.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--project", metavar="NAME", default="", help="The project, where the shell names none (default).")
@click.argument("command", metavar="-- COMMAND…", nargs=-1, type=click.UNPROCESSED)
def execute(command: tuple[str, ...], *, project: str) -> None:
    """Run COMMAND, unedited, against this home: `cairn exec -- python train_on_vertex.py`.

    Its google-cloud-aiplatform, kfp, google-cloud-storage and gcsfs talk to the home's server or, where none runs, to
    the background host, which is started. Nothing is sent to Google. Runs that it has submitted go on after it ended.
    """
    if not command:
        raise InputRefused("no command is given", place="cairn exec", remedy="cairn exec -- python your_script.py")
    program = shutil.which(command[0])
    if program is None:
        raise NotFound(f"there is no command {command[0]!r}", place="cairn exec")
    with opened() as cairn:
        from cairn.engine.background import BackgroundHost

        place = BackgroundHost(cairn.home.background)
        place.use()  # kept open by what we become
        found = _variables(cairn, place, project)
    os.execve(program, list(command), {**os.environ, **found})


@click.command(name="env", short_help="Print what points clients here, for a shell to evaluate.")
@click.option("--shell", type=click.Choice(_SHELLS), help="Whose syntax; bash is any POSIX shell's. Default: $SHELL's.")
@click.option("--unset", is_flag=True, help="Print what takes it back.")
@click.option("--project", metavar="NAME", default="", help="The project, where the shell names none (default).")
@options.as_json
def environment(*, shell: str | None, unset: bool, project: str, as_json: bool) -> None:
    """Print shell commands that point Google and Kubeflow clients at this home: `eval "$(cairn env)"`."""
    from cairn.client import environment as pointing

    if unset:
        values = pointing.restoring(os.environ)
    else:
        with opened() as cairn:
            from cairn.engine.background import BackgroundHost

            values = dict(_variables(cairn, BackgroundHost(cairn.home.background), project))
    if as_json:
        output.print_json(values)
        return
    for line in pointing.assignments(values, shell or _own_shell()):
        output.say(line)


def _own_shell() -> str:
    name = os.path.basename(os.environ.get("SHELL", ""))
    return name if name in _SHELLS else "powershell" if name == "pwsh" else "bash"


def _variables(cairn: Cairn, place: BackgroundHost, project: str) -> dict[str, str]:
    """For the server that runs, or the background host, started if need be."""
    from cairn.api.accounts.service_accounts import default_account
    from cairn.client.environment import DEFAULT_PROJECT, variables

    state = place.ensured(cairn.home.root)
    chosen = project or DEFAULT_PROJECT
    bundle = cairn.home.tls / "bundle.pem"
    credentials = default_account(cairn.home, cairn.records, state.url, chosen)
    return variables(
        state.url,
        credentials,
        project=chosen,
        roots_file=bundle if state.url.startswith("https:") and bundle.exists() else None,
    )
