"""`cairn serve`."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from cairn.cli import options, output
from cairn.cli.opening import opened
from cairn.errors import InputRefused

if TYPE_CHECKING:
    from cairn.api.server import Server
    from cairn.engine.background import BackgroundHost, HostState
    from cairn.wiring import Cairn


@click.command(short_help="Serve this home to Vertex AI, Kubeflow and Cloud Storage clients.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on; any but loopback needs logins and TLS.")
@click.option("--port", metavar="PORT", type=click.IntRange(0, 65535), help="Port to listen on (8080); 0: a free one.")
@click.option("--tls", type=click.Choice(["off", "local", "files"]), help="local: by an authority of the home's own.")
@click.option("--certificate", metavar="FILE", type=click.Path(), help="PEM, the chain included; implies --tls files.")
@click.option("--key", metavar="FILE", type=click.Path(), help="The certificate's private key, PEM.")
@click.option("--behind-proxy", is_flag=True, help="A proxy in front terminates TLS, and it alone reaches this port.")
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
@options.as_json
def serve(*, quiet: bool, as_json: bool, **flags: Any) -> None:
    """Serve the Vertex AI, KFP and Cloud Storage APIs and run what is submitted, until Ctrl-C.

    One server per home. A background host that is there hands over to it: its runs go on here. Settings: [server] in
    config.toml; options come before them.
    """
    from cairn.engine.background import SERVER, BackgroundHost

    with opened() as cairn:
        _configure(cairn, flags)
        place = BackgroundHost(cairn.home.background)
        _check(cairn, place)
        _log_to_stderr(quiet=quiet)
        server, ended = _taken_over(cairn, place)
        earlier = place.port
        kept = bool(earlier and earlier != urlsplit(server.url).port and server.listen_too(earlier))
        if server.tls is not None:
            server.tls.context()  # made now: what clients are to trust is there before they look for it
        server.stop_on_signals()

        def ready() -> None:
            place.announce(server.url, SERVER, login=server.application.gate.policy.login)
            _tell(cairn, server, ended, earlier if kept else 0, quiet=quiet, as_json=as_json)

        server.run(ready)
        if not quiet:
            output.note("ended; runs that were not finished go on with the next `cairn serve`, or `cairn runs resume`")


def _configure(cairn: Cairn, flags: dict[str, Any]) -> None:
    """Options over `[server]`."""
    import os

    from msgspec.structs import replace

    given = {name: value for name, value in flags.items() if value is not None and value is not False}
    for name in ("certificate", "key"):
        if name in given:
            given[name] = os.path.abspath(given[name])
            given.setdefault("tls", "files")
    if ("certificate" in given) != ("key" in given):
        raise InputRefused("--certificate and --key belong together", place="cairn serve")
    cairn.settings = replace(cairn.settings, server=replace(cairn.settings.server, **given))


def _check(cairn: Cairn, place: BackgroundHost) -> None:
    """What can be refused before anything is ended or opened."""
    from cairn.api.accounts.policy import check_bind
    from cairn.engine.background import SERVER, server_is_there

    state = place.state()
    if state is not None and state.kind == SERVER:
        raise server_is_there(state)
    check_bind(cairn.settings, records=cairn.records)


def _taken_over(cairn: Cairn, place: BackgroundHost) -> tuple[Server, HostState | None]:
    """The server, bound before a background host is ended, unless it is that one which has the port."""
    from cairn.api.server import Server

    settings = cairn.settings.server
    state = place.state()
    if state is not None and settings.port and urlsplit(state.url).port == settings.port:
        _, ended = place.take_over()
        return Server(cairn, host=settings.host, port=settings.port), ended
    server = Server(cairn, host=settings.host, port=settings.port)
    _, ended = place.take_over()
    return server, ended


def _log_to_stderr(*, quiet: bool) -> None:
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S%z",
        stream=sys.stderr,
    )
    with contextlib.suppress(OSError, ValueError):  # where standard error is no file
        faulthandler.enable()


def _tell(cairn: Cairn, server: Server, ended: HostState | None, earlier: int, *, quiet: bool, as_json: bool) -> None:
    """Once requests are answered. `earlier`: the background host's port, where that is listened on too."""
    import os

    if as_json:
        output.print_json(
            {"url": server.url, "tls_url": server.tls_url, "pid": os.getpid(), "home": str(cairn.home.root)}
        )
        sys.stdout.flush()
    if quiet:
        return
    if not as_json:
        output.say(server.url)
        sys.stdout.flush()
    if ended is not None:
        output.note(f"the background host (process {ended.pid}) has handed over")
    if earlier:
        output.note(f"programs that know the background host find the server at http://127.0.0.1:{earlier} too")
    if server.tls_url:
        authority = cairn.home.tls / "ca.pem"
        known = f"; clients trust {authority}" if cairn.settings.server.tls == "local" else ""
        output.note(f"with TLS at {server.tls_url}{known}")
    output.note("try:  cairn exec -- python your_vertex_script.py      (in another terminal; Ctrl-C ends the server)")
