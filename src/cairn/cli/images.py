"""`cairn images`: container images of components, built here."""

from __future__ import annotations

import click
import msgspec

from cairn.cli import options, output, words
from cairn.cli.commands import LazyGroup
from cairn.cli.opening import opened
from cairn.cli.tables import table
from cairn.domain.images import BuiltImage, ImageBuild
from cairn.errors import InputRefused

_HERE = "cairn.cli.images"


@click.group(
    cls=LazyGroup,
    entries={
        "build": (f"{_HERE}:build", "Build a component's image."),
        "list": (f"{_HERE}:list_images", "List the images that were built here, newest first."),
        "push": (f"{_HERE}:push", "Push an image to its registry."),
    },
)
def images() -> None:
    """Images for `--executor docker`. Steps whose image was built anew are computed anew, whatever its tag."""


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False))
@click.option("--tag", default="", metavar="NAME", help="What the image is called; default: the project's name.")
@click.option("--file", "dockerfile", default="", metavar="PATH", help="The Dockerfile, if not DIR/Dockerfile.")
@click.option("--base", default="", metavar="IMAGE", help="Without a Dockerfile: what to start from (python:X-slim).")
@click.option("--build-arg", "arguments", multiple=True, metavar="NAME=VALUE", help="For an ARG of the Dockerfile.")
@click.option("--no-cache", is_flag=True, help="Build every layer anew.")
@click.option("--push", "then_push", is_flag=True, help="Push it to its registry.")
@options.as_json
def build(
    *,
    directory: str,
    tag: str,
    dockerfile: str,
    base: str,
    arguments: tuple[str, ...],
    no_cache: bool,
    then_push: bool,
    as_json: bool,
) -> None:
    """Build the image of the components in DIR, and print its tag and digest.

    With DIR's Dockerfile; without one, of its pyproject.toml with uv.lock or its requirements.txt. What .dockerignore
    names is left out.
    """
    request = ImageBuild(directory, tag, dockerfile, base, tuple(map(_argument, arguments)), no_cache)
    with opened() as cairn:
        built = cairn.images.build(request, _say)
        if then_push:
            built = cairn.images.push(built.tag, _say)
        _tell(built, as_json=as_json)


@click.command(name="list")
@options.as_json
def list_images(*, as_json: bool) -> None:
    """List the images that were built here, newest first."""
    with opened() as cairn:
        found = cairn.images.built()
        if as_json:
            output.print_json([msgspec.to_builtins(image) for image in found])
            return
        rows = [
            (
                image.tag,
                _short(image.digest or image.id),
                words.ago(image.build_time) if image.build_time else "",
                "" if image.state == "here" else image.state,
                image.dockerfile or image.directory,
            )
            for image in found
        ]
        table(("image", "digest", "built", "", "of"), rows, empty="no images were built here")


@click.command()
@click.argument("tag", metavar="IMAGE")
@options.as_json
def push(*, tag: str, as_json: bool) -> None:
    """Push IMAGE to the registry that its name begins with."""
    with opened() as cairn:
        _tell(cairn.images.push(tag, _say), as_json=as_json)


def _say(line: str) -> None:
    output.note(output.clean(line))


def _tell(image: BuiltImage, *, as_json: bool) -> None:
    if as_json:
        output.print_json(msgspec.to_builtins(image))
    else:
        output.say(f"{image.tag} {image.digest or image.id}")


def _argument(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InputRefused(f"{text!r} is not NAME=VALUE", place="--build-arg")
    return name, value


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
