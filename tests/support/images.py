"""Images for one test: built from the base image that the engine has, and removed with it."""

import contextlib
import io
import tarfile
import uuid
from collections.abc import Iterator, Mapping

import docker
from docker.errors import ImageNotFound


class Images:
    """`images.build("RUN …", {"file": "text"})` is the name of an image that begins with the base image."""

    def __init__(self, socket: str, base: str) -> None:
        self.client = docker.DockerClient(base_url=f"unix://{socket}", timeout=120)
        self.base = base
        self._made: list[str] = []

    def name(self) -> str:
        """One that no image has; what will have it is removed at the end."""
        self._made.append(f"cairn-test/{uuid.uuid4().hex[:12]}:v1")
        return self._made[-1]

    def build(self, instructions: str, files: Mapping[str, str] | None = None, *, name: str = "") -> str:
        name = name or self.name()
        contents = {**(files or {}), "Dockerfile": f"FROM {self.base}\n{instructions}\n"}
        with io.BytesIO() as context:
            with tarfile.open(fileobj=context, mode="w") as archive:
                for path, text in contents.items():
                    entry = tarfile.TarInfo(path)
                    entry.size = len(text.encode())
                    archive.addfile(entry, io.BytesIO(text.encode()))
            context.seek(0)
            self.client.images.build(fileobj=context, custom_context=True, tag=name, rm=True, network_mode="host")
        return name

    def empty(self) -> str:
        """An image of one file, without a shell and without Python."""
        name = self.name()
        with io.BytesIO() as context:
            with tarfile.open(fileobj=context, mode="w") as archive:
                archive.addfile(tarfile.TarInfo("file"))
            repository, _, tag = name.partition(":")
            self.client.api.import_image_from_data(context.getvalue(), repository=repository, tag=tag)
        return name

    def remove(self, name: str) -> None:
        with contextlib.suppress(ImageNotFound):
            self.client.images.remove(name, force=True)

    def id(self, name: str) -> str:
        return self.client.images.get(name).id

    def close(self) -> None:
        for name in self._made:
            self.remove(name)
        self.client.close()


@contextlib.contextmanager
def images_of(socket: str, base: str) -> Iterator[Images]:
    images = Images(socket, base)
    try:
        yield images
    finally:
        images.close()
