"""Images that are made here: built from a directory, remembered, pushed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from cairn.config.settings import DockerSettings
from cairn.domain.clock import Clock
from cairn.domain.documents import Document
from cairn.domain.images import BuiltImage, ImageBuild
from cairn.engine.ports import Environment
from cairn.environments.container_images import ContainerImages
from cairn.environments.projects import Project, read_project
from cairn.environments.specification import ImageFacts
from cairn.environments.uv_command import Progress
from cairn.errors import AlreadyExists, EnvironmentBuildError, InputRefused, NotFound

IMAGE = "image"
# A reference as engines read it: https://pkg.go.dev/github.com/distribution/reference
_NAME = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::\d+)?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*(?::[\w][\w.-]{0,127})?",
    re.ASCII,
)


class ImageRecords(Protocol):
    def create_document(self, document: Document) -> Document: ...

    def replace_document(self, document: Document, *, etag: str = "") -> Document: ...

    def page_documents(self, kind: str, *, limit: int = ...) -> tuple[list[Document], str]: ...


# What a project's packages come to in an image: (the project's files, what was read of it, the image) → an environment
Installer = Callable[[Path, Project, ImageFacts, Progress], Environment]


class ImageService:
    """Threads: any."""

    def __init__(
        self,
        records: ImageRecords,
        clock: Clock,
        settings: DockerSettings,
        snapshot: Callable[[Path], Path],
        install: Installer,
        default_python: Callable[[], str],
    ) -> None:
        self.images = ContainerImages(settings)
        self._records = records
        self._clock = clock
        self._snapshot = snapshot
        self._install = install
        self._default_python = default_python

    def build(self, request: ImageBuild, progress: Progress) -> BuiltImage:
        """Raises InputRefused, NoContainerEngine, EnvironmentBuildError with the words of the step that failed."""
        from cairn.environments import image_making  # imports the engine's client package: a fifth of a second

        dockerfile = image_making.dockerfile_of(request)
        tag = request.tag or _usual_tag(Path(request.directory))
        if not _NAME.fullmatch(tag):
            raise InputRefused(
                f"{tag!r} is no name of an image", place="--tag", remedy="write NAME or REGISTRY/NAME:TAG"
            )
        tag = tag if ":" in tag.rpartition("/")[2] else f"{tag}:latest"
        request = msgspec.structs.replace(request, tag=tag)
        self.images.find(tag)  # that there is an engine, before anything else is done
        network = "host" if self.images.settings.network == "none" else self.images.settings.network
        if dockerfile is not None:
            base = ""
            image_making.build_dockerfile(self.images.socket, request, dockerfile, network, progress)
        else:
            base = self._build_project(request, network, progress)
        facts = self.images.find(tag)
        if facts is None:
            raise EnvironmentBuildError("the engine has built it and does not hold it", place=f"image {tag}")
        built = BuiltImage(
            tag=tag,
            id=facts.id,
            digest=_manifest(facts),
            directory=os.path.abspath(request.directory),
            dockerfile=os.fspath(dockerfile or ""),
            base=base,
            build_time=self._clock.now(),
        )
        self._remember(built)
        return built

    def push(self, tag: str, progress: Progress) -> BuiltImage:
        """Raises NotFound, EnvironmentBuildError with the registry's words."""
        from cairn.environments.image_transfer import push

        facts = self.images.find(tag)
        if facts is None:
            raise NotFound(f"the container engine holds no image {tag!r}", remedy="`cairn images build DIR --tag TAG`")
        push(self.images.socket, tag, progress)
        facts = self.images.find(tag) or facts
        known = next((image for image in self.built() if image.tag == tag), BuiltImage(tag, facts.id))
        pushed = msgspec.structs.replace(known, id=facts.id, digest=_manifest(facts), state="here")
        self._remember(pushed)
        return pushed

    def built(self) -> list[BuiltImage]:
        """Those that this home remembers, newest first, as the engine knows them now. Raises NoContainerEngine."""
        found, _ = self._records.page_documents(IMAGE, limit=1000)
        images = [msgspec.convert(document.body, BuiltImage) for document in found]
        return sorted(map(self._as_it_is, images), key=lambda image: -image.build_time)

    def _as_it_is(self, image: BuiltImage) -> BuiltImage:
        facts = self.images.find(image.tag)
        state = "gone" if facts is None else "here" if facts.id == image.id else "changed"
        return msgspec.structs.replace(image, state=state)

    def _build_project(self, request: ImageBuild, network: str, progress: Progress) -> str:
        from cairn.environments.image_making import APPLICATION, build_project

        project = self._snapshot(Path(request.directory))
        read = read_project(project)
        if request.build_arguments:
            raise InputRefused("there is no Dockerfile to give them to", place="--build-arg")
        if not read.file:
            unread = f" ({', '.join(read.unread)} is not read)" if read.unread else ""
            raise InputRefused(
                f"has no Dockerfile, and nothing says what it needs{unread}",
                place=request.directory,
                remedy="write a Dockerfile, a requirements.txt, or [project] in a pyproject.toml",
            )
        base = request.base or f"python:{read.python or self._default_python()}-slim"
        facts = self._base(base, progress)
        environment = self._install(project, read, facts, progress)
        assert environment.image is not None
        ((_, directory),) = environment.image.mounts
        search = f"{APPLICATION}/src" if read.is_package and (project / "src").is_dir() else APPLICATION
        build_project(
            self.images.socket,
            request,
            base=base,
            project=project,
            environment=Path(directory),
            search=search,
            network=network,
            progress=progress,
        )
        return base

    def _base(self, name: str, progress: Progress) -> ImageFacts:
        try:
            return self.images.fetch(name, progress)
        except EnvironmentBuildError as error:
            raise EnvironmentBuildError(
                error.message,
                place=error.place,
                remedy=f"see that `docker pull {name}` works, or name an image with Python that is here: --base IMAGE",
            ) from None

    def _remember(self, image: BuiltImage) -> None:
        now = self._clock.now()
        body: dict[str, Any] = msgspec.to_builtins(image)
        document = Document(IMAGE, image.tag, display_name=image.tag, create_time=now, update_time=now, body=body)
        try:
            self._records.create_document(document)
        except AlreadyExists:
            self._records.replace_document(document)


def _manifest(facts: ImageFacts) -> str:
    return facts.digest if facts.digest != facts.id else ""


def _usual_tag(directory: Path) -> str:
    """The project's name as names of images are written."""
    import tomllib

    name = ""
    try:
        table = tomllib.loads((directory / "pyproject.toml").read_text())
        name = str((table.get("project") or {}).get("name") or "")
    except (OSError, ValueError):
        pass
    name = re.sub(r"[^a-z0-9]+", "-", (name or directory.absolute().name).lower()).strip("-")
    return name or "image"
