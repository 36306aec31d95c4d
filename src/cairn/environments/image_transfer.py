"""Fetching and pushing images, with the credentials that `docker login` keeps, by Docker's SDK."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

import docker
from docker.errors import DockerException

from cairn.environments.redaction import redact
from cairn.environments.uv_command import Progress
from cairn.errors import EnvironmentBuildError


def pull(socket: str, name: str, progress: Progress | None = None) -> None:
    """Raises EnvironmentBuildError with the engine's words."""
    if progress is not None:
        progress(f"Fetching image {name}")
    repository, tag = split_tag(name)
    try:
        with closing(docker.DockerClient(base_url=f"unix://{socket}", timeout=600)) as client:
            tell(client.api.pull(repository, tag=tag, stream=True, decode=True), progress)
    except (DockerException, OSError, Refused) as error:
        raise EnvironmentBuildError(
            f"the image cannot be fetched: {words_of(error)}",
            place=f"image {name}",
            remedy=f"see that `docker pull {name}` works (a registry of your own wants `docker login`), build it with "
            f"`cairn images build DIR --tag {name}`, or map it: --image '{name}=host'",
        ) from None


def split_tag(name: str) -> tuple[str, str]:
    """`gcr.io:443/acme/train`, `v1` (`latest` where it says nothing); a digest is its own tag."""
    repository, at, digest = name.partition("@")
    if at:
        return repository, digest
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{head}{slash}{last}", tag or "latest"


class Refused(Exception):
    """The engine's word in the middle of an answer that began well."""


def tell(answers: Iterable[Any], progress: Progress | None) -> list[dict[str, Any]]:
    """Hand on what the engine says while it works: a line for each that says something new. Gives the `aux` parts.

    Raises Refused.
    """
    auxiliary: list[dict[str, Any]] = []
    for answer in answers:
        if "errorDetail" in answer or "error" in answer:
            raise Refused(str((answer.get("errorDetail") or {}).get("message") or answer.get("error")))
        if "aux" in answer:
            auxiliary.append(answer["aux"])
        for line in _lines(answer):
            if progress is not None and line.strip():
                progress(redact(line))
    return auxiliary


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    if "stream" in answer:
        yield from str(answer["stream"]).splitlines()
    elif "status" in answer and not answer.get("progressDetail"):  # bars of layers are for terminals
        layer = f"{answer['id']}: " if "id" in answer else ""
        yield f"{layer}{answer['status']}"


def words_of(error: Exception) -> str:
    return redact(str(getattr(error, "explanation", None) or error))


def push(socket: str, name: str, progress: Progress | None = None) -> None:
    """Raises EnvironmentBuildError with the words of the engine or the registry."""
    repository, tag = split_tag(name)
    try:
        with closing(docker.DockerClient(base_url=f"unix://{socket}", timeout=600)) as client:
            tell(client.api.push(repository, tag=tag, stream=True, decode=True), progress)
    except (DockerException, OSError, Refused) as error:
        raise EnvironmentBuildError(
            f"it cannot be pushed: {words_of(error)}",
            place=f"image {name}",
            remedy="name it with its registry (`--tag REGISTRY/NAME:TAG`), and `docker login REGISTRY` first",
        ) from None
