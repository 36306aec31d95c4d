"""`cairn tokens create|list|revoke`: who may ask this home's server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli import options, output, words
from cairn.cli.opening import opened
from cairn.cli.tables import table
from cairn.errors import InputRefused

if TYPE_CHECKING:
    from cairn.api.accounts.ports import CredentialRecords
    from cairn.config.settings import ServerSettings
    from cairn.domain.credentials import Credential


@click.group()
def tokens() -> None:
    """Who may ask this home's server: API tokens and service accounts.

    On loopback `cairn serve` asks nobody for one, unless it is told to.
    """


@tokens.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["viewer", "editor", "admin"]),
    default="editor",
    show_default=True,
    help="viewer: look; editor: run, change, delete; admin: settings of the server too.",
)
@click.option(
    "--project", "projects", metavar="P", multiple=True, help="Where it counts; repeatable. [default: default]"
)
@click.option("--all-projects", is_flag=True, help="It counts in every project.")
@click.option("--expires", metavar="DURATION", help="It ends after so long: 12h, 30d. Without it, when it is revoked.")
@click.option(
    "--service-account",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the key file of a service account instead, for GOOGLE_APPLICATION_CREDENTIALS.",
)
@click.option("--url", metavar="URL", help="Of a service account: how its users reach the server. [default: [server]]")
@options.as_json
def create(
    *,
    name: str,
    role: str,
    projects: tuple[str, ...],
    all_projects: bool,
    expires: str | None,
    file: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Make a token for NAME and print it, this once: only its digest is kept."""
    from cairn.api.access import EVERY_PROJECT
    from cairn.api.accounts.registry import create_token
    from cairn.domain.runs import DEFAULT_PROJECT

    if projects and all_projects:
        raise InputRefused("says something else than --all-projects", place="--project", remedy="use one of them")
    roles = dict.fromkeys((EVERY_PROJECT,) if all_projects else projects or (DEFAULT_PROJECT,), role)
    lifetime = words.parse_duration(expires, "--expires") if expires else 0
    if expires and not lifetime:
        raise InputRefused("has ended before it began", place="--expires", remedy="write a duration: 30d")
    with opened() as cairn:
        if file is None:
            credential, token = create_token(cairn.records, name, roles, lifetime=lifetime)
            told = {"token": token}
        else:
            url = (url or _url(cairn.settings.server)).rstrip("/")
            credential = _account(cairn.records, name, file, url, roles, (*projects, DEFAULT_PROJECT)[0], lifetime)
            told = {"file": str(file.absolute())}
        if as_json:
            output.print_json({**_described(credential), **told})
            return
        output.note(f"{credential.identity} may log in as {_roles(credential)}; credential {credential.id}")
        output.say(next(iter(told.values())))


@tokens.command("list")
@options.as_json
def list_(*, as_json: bool) -> None:
    """All that are recorded, the newest last."""
    with opened() as cairn:
        found = cairn.records.credentials()
        if as_json:
            output.print_json([_described(one) for one in found])
            return
        rows = [
            (
                one.id,
                "account" if one.kind == "key" else one.kind,
                one.identity,
                _roles(one),
                words.moment(one.create_time),
                words.moment(one.expire_time) or "never",
                words.ago(one.use_time) or "never",
            )
            for one in found
        ]
        columns = ("credential", "kind", "name", "roles", "made", "ends", "last used")
        table(columns, rows, empty="no credentials")


@tokens.command()
@click.argument("reference", metavar="CREDENTIAL")
@options.as_json
def revoke(*, reference: str, as_json: bool) -> None:
    """End one, named by its id, or by its name where no other goes by it. A running server follows within 5 seconds."""
    from cairn.api.accounts.registry import find

    with opened() as cairn:
        credential = find(cairn.records, reference)
        cairn.records.delete_credential(credential.id)
        if as_json:
            output.print_json(_described(credential))
        else:
            output.note(f"{credential.identity} ({credential.id}) is revoked")


def _account(
    records: CredentialRecords, name: str, file: Path, url: str, roles: dict[str, str], project: str, lifetime: int
) -> Credential:
    from cairn.api.accounts.service_accounts import create_account, write_account

    if file.exists():
        raise InputRefused("is there already", place=str(file), remedy="name another file, or remove it")
    credential, account = create_account(records, name, url, roles, project=project, lifetime=lifetime)
    try:
        write_account(file, account)
    except InputRefused:
        records.delete_credential(credential.id)
        raise
    return credential


def _url(server: ServerSettings) -> str:
    if server.host in ("0.0.0.0", "::"):
        raise InputRefused("is not known: the server listens on every address", place="--url", remedy="name it")
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{'http' if server.tls == 'off' else 'https'}://{host}:{server.port}"


def _described(credential: Credential) -> dict[str, Any]:
    return {
        "id": credential.id,
        "kind": credential.kind,
        "name": credential.identity,
        "roles": credential.roles,
        "create_time": credential.create_time,
        "expire_time": credential.expire_time,
        "use_time": credential.use_time,
    }


def _roles(credential: Credential) -> str:
    return ", ".join(
        f"{role} of {'all projects' if project == '*' else project}" for project, role in credential.roles.items()
    )
