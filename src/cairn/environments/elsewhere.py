"""What of a container step holds on this machine only, so that it would fail or differ where it is sent to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from cairn.environments import interpreters
from cairn.environments.command_shape import Containerized, Install, Lightweight, recognise
from cairn.environments.images import matches
from cairn.spec.types import ContainerSpec

_LOCAL_PACKAGE = re.compile(r"(?:[./~]|file:)|.*@\s*file:", re.IGNORECASE)
_LOCAL_INDEX = re.compile(r"[./~]|file:|https?://(?:localhost|127\.|\[::1\])", re.IGNORECASE)
_KFP = re.compile(r"kfp(?:\[[^\]]*\])?\s*(?:===?\s*(?P<version>[^\s;,]+))?", re.IGNORECASE)
_UNPUBLISHED = re.compile(r"\+|\.?dev|unknown", re.IGNORECASE)


class Portability(msgspec.Struct, frozen=True):
    """`refused`: (message, remedy) of what would not work elsewhere; `warned`: what is another thing there."""

    refused: tuple[tuple[str, str], ...] = ()
    warned: tuple[str, ...] = ()


def portability(container: ContainerSpec, images: Sequence[tuple[str, str]]) -> Portability:
    """`images`: the mappings of this machine, pattern and target."""
    shape = recognise(container.command, container.args)
    if isinstance(shape, Lightweight):
        return Portability(tuple(_lightweight(shape.install, container.image)))
    return image_portability(container.image, images, containerized=isinstance(shape, Containerized))


def image_portability(image: str, images: Sequence[tuple[str, str]], *, containerized: bool = False) -> Portability:
    target = next((target for pattern, target in images if matches(pattern, image)), "")
    if not target:
        return Portability()
    if in_registry(image):
        return Portability(warned=(f"runs in image {image}, not as {target}",))
    made = "`kfp component build --push-image`" if containerized else "`docker push`"
    return Portability(
        ((
            f"its image {image!r} is none of a registry: it stands for {target} on this machine",
            f"push the image ({made}) and name it with its registry: REGISTRY/{image}",
        ),)
    )  # fmt: skip


def in_registry(image: str) -> bool:
    """Whether an image names a registry that others reach: `gcr.io/acme/train`; not `train`, nor `localhost/train`."""
    host, slash, _ = image.partition("/")
    return bool(slash) and "." in host.partition(":")[0] and not host.startswith("127.")


def _lightweight(install: Install, image: str) -> Iterator[tuple[str, str]]:
    packages = (*install.packages, *install.bare)
    for package in packages:
        if _LOCAL_PACKAGE.match(package):
            yield f"installs {package!r}, which is on this machine only", "publish it, or name it by a URL"
    for place in (install.index_url, *install.extra_index_urls, *install.find_links):
        if place and _LOCAL_INDEX.match(place):
            yield f"installs from {place!r}, which is on this machine only", "name an index that the steps can reach"
    named = [found for found in map(_KFP.match, packages) if found and _is_kfp(found)]
    for found in named:
        version = found["version"] or ""
        if _UNPUBLISHED.search(version):
            yield (
                f"installs kfp {version}, which is not published",
                "compile with a released kfp, or set kfp_package_path of its component",
            )
    if not named and not packages and interpreters.is_plain_python(image):
        yield (
            f"needs kfp, and neither installs it nor does its image {image} bring it",
            "leave install_kfp_package as it is, or give its component an image with kfp",
        )


def _is_kfp(found: re.Match[str]) -> bool:
    rest = found.string[found.end() :][:1]
    return not rest or not (rest.isalnum() or rest in "-_.")
