"""Container images that are made here."""

from __future__ import annotations

import msgspec


class ImageBuild(msgspec.Struct, frozen=True):
    """What `cairn images build` was asked for."""

    directory: str
    tag: str = ""  # "": the project's name
    dockerfile: str = ""  # "": the directory's own; where it has none, one is made of its project
    base: str = ""  # of a project: the image to start from; "": python:X-slim
    build_arguments: tuple[tuple[str, str], ...] = ()
    no_cache: bool = False


class BuiltImage(msgspec.Struct, frozen=True):
    """`state`: here; changed, when the engine knows another image by this tag by now; gone."""

    tag: str
    id: str  # "sha256:…" of its configuration
    digest: str = ""  # of its manifest, once it was pushed
    directory: str = ""
    dockerfile: str = ""  # "": made of the project's files
    base: str = ""
    build_time: int = 0  # microseconds since the Unix epoch
    state: str = "here"
