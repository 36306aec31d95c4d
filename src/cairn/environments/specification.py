"""What an environment is asked to be. Hashable; its key names the lock that it was resolved to."""

from __future__ import annotations

import platform
from functools import lru_cache

import msgspec
import xxhash

from cairn.environments.redaction import without_credentials


class UvSpec(msgspec.Struct, frozen=True):
    """A virtual environment that uv builds.

    `packages` come with their dependencies, `bare` ones as they are named. What is configured for the home (indexes,
    constraints) is part of the spec, so that a changed configuration resolves anew.
    """

    python: str  # "3.11"
    packages: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    brought: str = ""  # installed bare unless the packages bring it: kfp, where the image is expected to have it
    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    prerelease: bool = False
    constraints: str = ""
    overrides: str = ""
    exclude_newer: str = ""
    offline: bool = False
    inputs: str = ""  # digest of the files that take part: constraints, overrides, the project's own
    project: str = ""  # directory whose dependencies are wanted; not in the key, its files are
    project_file: str = ""  # uv.lock | pyproject.toml | requirements.txt
    project_package: str = ""  # digest of the project's files when it is itself to be installed
    editable: bool = False
    variables: tuple[tuple[str, str], ...] = ()  # the step's own, for `$NAME` in index URLs; not in the key
    image: str = ""  # id of the image that its packages are added to, for the image's own Python: `python` is ""
    place: str = ""  # where it is in the image's containers; "": where lightweight components expect it

    @property
    def key(self) -> str:
        return _key(self)


class HostSpec(msgspec.Struct, frozen=True):
    """The machine as it is."""


class ImageFacts(msgspec.Struct, frozen=True):
    """An image that the engine holds."""

    name: str  # as it was asked for
    id: str  # "sha256:…" of its configuration
    digest: str  # of its manifest, where it has been in a registry; else `id`: what it is known by everywhere
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str = ""
    variables: tuple[tuple[str, str], ...] = ()


class ImageSpec(msgspec.Struct, frozen=True):
    """A container image, and what a lightweight component installs in it."""

    name: str
    facts: ImageFacts | None  # as the engine said when the run was planned; None for an image that is to be fetched
    own_words: int = 0  # of what is executed the image says nothing; 1: its ENTRYPOINT; 2: its ENTRYPOINT and CMD
    packages: UvSpec | None = None


class ProjectSpec(msgspec.Struct, frozen=True):
    """A directory of the user's as it was when planned: `snapshot` holds its files, `digest` is over them.

    In place, `snapshot` is the directory itself.
    """

    directory: str
    snapshot: str
    digest: str
    in_place: bool
    uv: UvSpec


class BesideSpec(msgspec.Struct, frozen=True):
    """Packages without what they depend on, in a directory, beside an environment that has the rest."""

    base: HostSpec | ProjectSpec
    requirements: tuple[str, ...]
    directory: str  # named by its contents


@lru_cache(maxsize=4096)
def _key(spec: UvSpec) -> str:
    """Digest of all that decides what the resolution gives; credentials and the place of a lock do not."""
    parts = (
        platform.system(), platform.machine(), spec.python, spec.packages, spec.bare, spec.brought,
        without_credentials(spec.index_url), tuple(map(without_credentials, spec.extra_index_urls)),
        tuple(map(without_credentials, spec.find_links)),
        spec.prerelease, spec.exclude_newer, spec.inputs, spec.offline, spec.project_file, spec.project_package,
        spec.project if spec.editable else "", *([spec.image, spec.place] if spec.image else []),
    )  # fmt: skip
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode(parts))
