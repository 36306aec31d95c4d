"""`--image PATTERN=TARGET`: what stands for a container image."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cairn.errors import UnsupportedFeature


class Target(msgspec.Struct, frozen=True):
    kind: str  # host | project | docker
    directory: str = ""
    image: str = ""  # of docker: what takes its place; "" for itself


def target_of(image: str, images: Sequence[tuple[str, str]]) -> Target | None:
    """The first mapping whose pattern matches. Raises UnsupportedFeature for a target that is none."""
    for pattern, target in images:
        if matches(pattern, image):
            return parse_target(target, pattern)
    return None


def container_of(image: str, images: Sequence[tuple[str, str]], executor: str) -> str | None:
    """The image whose container a step runs in; None for a step that runs on the machine. The first mapping that
    matches decides, else the executor."""
    for pattern, target in images:
        if matches(pattern, image):
            return (parse_target(target, pattern).image or image) if target.partition(":")[0] == "docker" else None
    return image if executor == "docker" else None


def matches(pattern: str, image: str) -> bool:
    """`*` stands for anything, `/` included; the rest is literal."""
    expression = "".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", pattern))
    return re.fullmatch(expression, image, re.DOTALL) is not None


def parse_target(target: str, pattern: str) -> Target:
    if target == "host":
        return Target("host")
    if target == "docker":
        return Target("docker")
    kind, colon, directory = target.partition(":")
    if kind == "docker" and directory:
        return Target("docker", image=directory)
    if kind != "project" or not colon or not directory:
        raise UnsupportedFeature(
            f"{target!r} is no target",
            place=f"--image {pattern}={target}",
            remedy="use host, project:DIR, docker or docker:IMAGE",
        )
    path = Path(os.path.abspath(os.path.expanduser(directory)))
    if not path.is_dir():
        raise UnsupportedFeature("there is no such directory", place=f"--image {pattern}={target}")
    return Target("project", str(path))
