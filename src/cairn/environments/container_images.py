"""What the container engine says of images; fetching those that it does not hold."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from cairn.config.container_engine import no_engine, socket_of
from cairn.config.settings import DockerSettings
from cairn.environments.specification import ImageFacts
from cairn.environments.uv_command import Progress
from cairn.errors import EnvironmentBuildError, InputRefused
from cairn.launcher.container_api import ContainerApi, EngineError, EngineGone

_PATIENCE = 10.0  # seconds


class ContainerImages:
    """Threads: any."""

    def __init__(self, settings: DockerSettings) -> None:
        self.settings = settings
        self._fetching: dict[str, threading.Lock] = {}

    @property
    def socket(self) -> str:
        return socket_of(self.settings)

    def check(self, place: str) -> None:
        """Raises NoContainerEngine where none answers."""
        socket = self.socket
        try:
            ContainerApi(socket).ping(_PATIENCE)
        except EngineGone as error:
            raise no_engine(socket, str(error), place=place) from None

    def find(self, name: str, place: str = "", pinned: str = "") -> ImageFacts | None:
        """None for an image that the engine does not hold; a millisecond. `pinned`: the id that the name had. Raises
        NoContainerEngine, and InputRefused for a name that is none."""
        socket = self.socket
        try:
            answer = ContainerApi(socket).call("GET", f"/images/{quote(pinned or name, safe='/:@')}/json")
        except EngineGone as error:
            raise no_engine(socket, str(error), place=place, image=name if place else "PATTERN") from None
        except EngineError as error:
            if error.status == 404:
                return None
            if error.status == 400:
                raise InputRefused(f"{name!r} is no name of an image: {error.message}", place=place) from None
            raise EnvironmentBuildError(error.message, place=f"image {name}") from None
        return _facts(name, answer)

    def fetch(self, name: str, progress: Progress | None = None) -> ImageFacts:
        """The image, fetched from its registry where the engine does not hold it; two threads fetch one only once.

        Raises EnvironmentBuildError with the engine's words, NoContainerEngine.
        """
        with self._fetching.setdefault(name, threading.Lock()):
            facts = self.find(name)
            if facts is None:
                from cairn.environments.image_transfer import pull  # its client package takes a fifth of a second

                pull(self.socket, name, progress)
                facts = self.find(name)
            if facts is None:
                raise EnvironmentBuildError("the engine fetched it and does not hold it", place=f"image {name}")
            return facts


def _facts(name: str, answer: dict[str, Any]) -> ImageFacts:
    configuration = answer.get("Config") or {}
    identity = str(answer["Id"])
    identity = identity if ":" in identity else f"sha256:{identity}"  # Podman leaves it out
    return ImageFacts(
        name=name,
        id=identity,
        digest=_digest(name, answer.get("RepoDigests") or ()) or identity,
        entrypoint=tuple(configuration.get("Entrypoint") or ()),
        command=tuple(configuration.get("Cmd") or ()),
        working_directory=str(configuration.get("WorkingDir") or ""),
        variables=tuple(_pair(each) for each in configuration.get("Env") or ()),
    )


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _digest(name: str, known: Iterable[str]) -> str:
    """An image pushed to several registries has several digests: the one of the name that it was asked for by counts,
    else the first in the order of the alphabet, so that it stays the same."""
    digests = sorted(each.rpartition("@")[::2] for each in known)
    own = [digest for repository, digest in digests if repository == repository_of(name)]
    return next(iter(own or [digest for _, digest in digests]), "")


def repository_of(name: str) -> str:
    """`gcr.io:443/acme/train` of `gcr.io:443/acme/train:v3@sha256:…`."""
    head, slash, last = name.partition("@")[0].rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
