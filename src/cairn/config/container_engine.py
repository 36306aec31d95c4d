"""Which container engine this machine has, and whom its containers run as."""

from __future__ import annotations

import os
from collections.abc import Mapping

from cairn.config.settings import DockerSettings
from cairn.errors import ConfigurationError, NoContainerEngine

_USUAL = "/var/run/docker.sock"


def socket_of(settings: DockerSettings, variables: Mapping[str, str] | None = None) -> str:
    """The path of the engine's socket, which need not be there: what is configured, else DOCKER_HOST, else the first
    of Docker's and Podman's usual ones that there is.

    Raises ConfigurationError for an engine that is not behind a socket of this machine: it would not see its files.
    """
    around = os.environ if variables is None else variables
    given, place = settings.socket, "config.toml [docker] socket"
    if not given:
        given, place = around.get("DOCKER_HOST", ""), "DOCKER_HOST"
    if given:
        path = given.removeprefix("unix://")
        if "://" in path or not path.startswith("/"):
            raise ConfigurationError(
                f"{given!r} is no socket of this machine", place=place, remedy="write unix:///PATH/TO/docker.sock"
            )
        return path
    runtime = around.get("XDG_RUNTIME_DIR", "")
    usual = [_USUAL]
    if runtime:
        usual += [f"{runtime}/docker.sock", f"{runtime}/podman/podman.sock"]
    return next((path for path in usual if os.path.exists(path)), _USUAL)


def user_of(settings: DockerSettings, socket: str) -> str:
    """UID:GID that a container's processes have; "" for what the image says.

    What they write must be ours. An engine of root's runs them under our own numbers; in the user namespace of an
    engine that we run ourselves it is root who we are outside.
    """
    if settings.user == "image":
        return ""
    if settings.user != "auto":
        return settings.user
    try:
        owner = os.stat(socket).st_uid
    except OSError:
        owner = 0
    return f"{os.getuid()}:{os.getgid()}" if owner == 0 else "0:0"


def no_engine(socket: str, reason: str, *, place: str = "", image: str = "PATTERN") -> NoContainerEngine:
    """The refusal of what needs an engine where none answers. `image`: what would run in it."""
    return NoContainerEngine(
        f"no container engine answers at {socket}: {reason}",
        place=place,
        remedy="start one (`systemctl start docker`, or `systemctl --user start podman.socket`), name another with "
        "DOCKER_HOST or [docker] socket of config.toml, or run on this machine as it is: --executor process "
        f"--image '{image}=host'",
    )
