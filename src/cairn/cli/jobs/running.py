"""`cairn jobs run`."""

from __future__ import annotations

import os
from typing import Any

import click

from cairn.cli import options
from cairn.cli.opening import opened
from cairn.errors import InputRefused


@click.command(short_help="Run a custom job.")
@click.argument("words", metavar="FILE | -- COMMAND…", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--image", "images", metavar="IMAGE | PATTERN=TARGET", multiple=True,
    help="IMAGE: what COMMAND runs in. PATTERN=TARGET: images that match run as host, project:DIR or docker.",
)  # fmt: skip
@click.option("--replicas", default=1, show_default=True, help="Of COMMAND: the chief, and workers.")
@click.option("--machine-type", default="", metavar="TYPE", help="Of each replica: n1-standard-4, …")
@click.option("--accelerator", default="", metavar="TYPE[:COUNT]", help="Of each replica: NVIDIA_TESLA_T4:2, …")
@click.option("--env", metavar="NAME=VALUE", multiple=True, help="A variable of each replica. Repeatable.")
@click.option("--display-name", default="", metavar="NAME", help="What the job is called.")
@click.option("--base-output-dir", default="", metavar="URI", help="What AIP_MODEL_DIR and the like are below.")
@click.option("--timeout", default="", metavar="DURATION", help="End it after so long: 90s, 12h.")
@click.option("--label", "labels", metavar="NAME=VALUE", multiple=True, help="A label on the job. Repeatable.")
@click.option("--executor", metavar="NAME", help="Where replicas run: process or docker.")
@click.option("--strict", is_flag=True, help="Refuse what exceeds this machine instead of sharing what there is.")
@click.option("--in-place", is_flag=True, help="project:DIR runs in the directory itself.")
@click.option("--detach", is_flag=True, help="Leave the job to the background host and return.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line of standard output.")
@click.option("--quiet", is_flag=True, help="No progress.")
@options.traceback
def run(
    words: tuple[str, ...], *, images: tuple[str, ...], labels: tuple[str, ...], executor: str | None, strict: bool,
    in_place: bool, detach: bool, as_json: bool, quiet: bool, with_trace: bool, **flags: Any,
) -> int:  # fmt: skip
    """Run a job and wait for its end; exits as `cairn run` does.

    FILE is YAML or JSON: a CustomJob of Vertex AI, or its job spec alone. Without one, --image names the image that
    COMMAND runs in:

    cairn jobs run --image trainer:1 --replicas 2 --machine-type n1-standard-4 -- python train.py --epochs 3
    """
    from msgspec.structs import replace

    from cairn.cli.jobs.message import message_in, message_of_flags, with_flags
    from cairn.cli.run import execute, leave

    own = [image for image in images if "=" not in image]
    if len(own) > 1:
        raise InputRefused(f"{len(own)} images are named, and COMMAND runs in one", place="--image")
    if not own and len(words) != 1:
        raise click.UsageError("give a FILE, or --image IMAGE -- COMMAND…")
    if not own and (flags["replicas"] != 1 or any(flags[name] for name in ("machine_type", "accelerator", "env"))):
        raise InputRefused(
            "what a FILE holds is not changed by --replicas, --machine-type, --accelerator and --env",
            place=words[0],
            remedy="write it into the file",
        )
    message = with_flags(message_of_flags(own[0], words, flags) if own else message_in(words[0]), flags)
    with opened(executor or "") as cairn:
        defaults = cairn.run_settings()
        settings = replace(
            defaults,
            executor=executor or defaults.executor,
            strict=strict or defaults.strict,
            in_place=in_place,
            images=(*(options.parse_image(text) for text in images if "=" in text), *defaults.images),
            detached=detach,
        )
        created = cairn.jobs.create(
            message,
            settings=settings,
            labels=dict(map(options.parse_label, labels)),
            source="" if own else os.path.abspath(words[0]),
        )
        if detach:
            return leave(cairn, created.run, as_json=as_json)
        return execute(cairn, created.run, created.pipeline, as_json=as_json, quiet=quiet, with_trace=with_trace)
