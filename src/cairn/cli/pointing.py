"""`cairn exec` and `cairn env`: unmodified Google and Kubeflow clients, pointed at this home."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from cairn.cli import options, output
from cairn.cli.opening import opened
from cairn.errors import InputRefused, NotFound

if TYPE_CHECKING:
    from cairn.engine.background import BackgroundHost
    from cairn.wiring import Cairn

_SHELLS = ("bash", "fish", "powershell")  # bash: any POSIX shell
_FILE = click.Path(path_type=Path, dir_okay=False)


def _elsewhere(command: Any) -> Any:
    """What names a server of somebody else's."""
    for option in (
        click.option("--url", metavar="URL", help="A server elsewhere, instead of this home's own."),
        click.option("--credentials", metavar="FILE", type=_FILE, help="Of `cairn tokens create --service-account`."),
        click.option(
            "--authority", metavar="FILE", type=_FILE, help="PEM of the authority to trust, for an https URL."
        ),
        click.option(
            "--project", metavar="NAME", default="", help="The project, where the shell names none (default)."
        ),
    ):
        command = option(command)
    return command


@click.command(
    name="exec",
    short_help="Run a command with its Google and Kubeflow clients pointed here.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@_elsewhere
@click.argument("command", metavar="-- COMMAND…", nargs=-1, type=click.UNPROCESSED)
def execute(command: tuple[str, ...], **where: Any) -> None:
    """Run COMMAND, unedited, against this home: `cairn exec -- python train_on_vertex.py`.

    Its google-cloud-aiplatform, kfp, google-cloud-storage and gcsfs talk to the home's server or, where none runs, to
    the background host, which is started. Nothing is sent to Google. Runs that it has submitted go on after it ended.
    """
    if not command:
        raise InputRefused("no command is given", place="cairn exec", remedy="cairn exec -- python your_script.py")
    program = shutil.which(command[0])
    if program is None:
        raise NotFound(f"there is no command {command[0]!r}", place="cairn exec")
    found = _pointing(**where, hold=True)
    kept = {name: value for name, value in os.environ.items() if name not in found}
    os.execve(program, list(command), {**kept, **{name: value for name, value in found.items() if value is not None}})


@click.command(name="env", short_help="Print what points clients here, for a shell to evaluate.")
@click.option("--shell", type=click.Choice(_SHELLS), help="Whose syntax; bash is any POSIX shell's. Default: $SHELL's.")
@click.option("--unset", is_flag=True, help="Print what takes it back.")
@_elsewhere
@options.as_json
def environment(*, shell: str | None, unset: bool, as_json: bool, **where: Any) -> None:
    """Print shell commands that point Google and Kubeflow clients at this home: `eval "$(cairn env)"`.

    At a server elsewhere: cairn env --url https://cairn.example.com:8080 --credentials FILE --authority ca.pem
    """
    from cairn.client import environment as pointing

    values = pointing.restoring(os.environ) if unset else _pointing(**where)
    if as_json:
        output.print_json(values)
        return
    for line in pointing.assignments(values, shell or _own_shell()):
        output.say(line)


def _own_shell() -> str:
    name = os.path.basename(os.environ.get("SHELL", ""))
    return name if name in _SHELLS else "powershell" if name == "pwsh" else "bash"


def _pointing(
    url: str | None, credentials: Path | None, authority: Path | None, project: str, *, hold: bool = False
) -> dict[str, str | None]:
    """`hold`: the background host stays for as long as this process does, or what it becomes."""
    if url:
        return _at_elsewhere(url, credentials, authority, project)
    for given, name in ((credentials, "--credentials"), (authority, "--authority")):
        if given:
            raise InputRefused("is for a server elsewhere", place=name, remedy="name it with --url")
    with opened() as cairn:
        from cairn.engine.background import BackgroundHost

        place = BackgroundHost(cairn.home.background)
        if hold:
            place.use()
        return _at_home(cairn, place, project)


def _at_home(cairn: Cairn, place: BackgroundHost, project: str) -> dict[str, str | None]:
    """For the server that runs, or the background host, started if need be."""
    from cairn.api.accounts.service_accounts import default_account
    from cairn.client.environment import DEFAULT_PROJECT, variables

    state = place.ensured(cairn.home.root)
    chosen = project or DEFAULT_PROJECT
    credentials = default_account(cairn.home, cairn.records, state.url, chosen)
    return variables(state.url, credentials, project=chosen, login=state.login)


def _at_elsewhere(url: str, credentials: Path | None, authority: Path | None, project: str) -> dict[str, str | None]:
    """Nothing is asked of the server: it need not run yet."""
    from cairn.client.environment import variables

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
        raise InputRefused("is no server's address", place="--url", remedy="write https://HOST:PORT")
    if credentials is None:
        raise InputRefused(
            "needs credentials to log in with", place="--url",
            remedy="`cairn tokens create NAME --service-account FILE --url URL` there makes the FILE for --credentials",
        )  # fmt: skip
    account = read_account(credentials)
    roots = roots_of(authority) if authority is not None else None
    return variables(
        url, credentials.absolute(), project=project or account["project_id"], roots_file=roots, login=True
    )


def roots_of(authority: Path) -> Path:
    """PEM of all authorities to trust, with that one. Raises InputRefused."""
    from cairn.api.tls import bundle_with
    from cairn.config.home import Home

    return bundle_with(authority, Home.locate().tls)


def read_account(path: Path) -> dict[str, str]:
    """The key file of a service account. Raises InputRefused for another one."""
    import json

    try:
        account = json.loads(path.read_bytes())
    except OSError as error:
        raise InputRefused(f"cannot be read: {error.strerror}", place=str(path)) from None
    except ValueError:
        account = None
    if not isinstance(account, dict) or account.get("type") != "service_account" or not account.get("project_id"):
        raise InputRefused("is no key file of a service account", place=str(path))
    return account
