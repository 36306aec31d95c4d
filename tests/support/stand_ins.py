"""Images that pipelines name, without a registry: each name is given to an image made of this machine.

`python stand_ins.py PIPELINE… ` tags them in the engine of DOCKER_HOST.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parent))

import base_image

from cairn.environments.image_transfer import split_tag
from cairn.launcher.container_api import ContainerApi, EngineError

# What pipelines that are made of shell commands call, where this machine has it.
PROGRAMS = (
    *base_image.PROGRAMS,
    *("awk", "base64", "chown", "cksum", "cmp", "comm", "csplit", "curl", "dd", "df", "diff", "du", "expand", "expr"),
    *("factor", "fold", "groups", "gzip", "gunzip", "hostname", "install", "join", "jq", "md5sum", "nl", "nohup"),
    *("nproc", "od", "paste", "pgrep", "printenv", "ps", "realpath", "rev", "rmdir", "sha1sum", "sha256sum", "shuf"),
    *("split", "stdbuf", "sum", "sync", "tac", "tar", "timeout", "truncate", "tty", "uname", "uniq", "wget", "which"),
    *("whoami", "who", "unzip", "zcat"),
)


def images_of(pipelines: Iterable[Path]) -> set[str]:
    """The images that compiled pipelines name; files that are none name none."""
    found: set[str] = set()
    for path in pipelines:
        try:
            documents = list(yaml.safe_load_all(path.read_text(errors="replace")))
        except yaml.YAMLError:
            continue
        found.update(image for document in documents for image in _images(document))
    return found


def _images(node: Any) -> Iterator[str]:
    """Anywhere: `image` of a container, `imageUri` of a custom job's."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("image", "imageUri", "image_uri", "executorImageUri") and isinstance(value, str):
                yield value
            else:
                yield from _images(value)
    elif isinstance(node, list):
        for each in node:
            yield from _images(each)


def tag(engine_socket: str, pipelines: Iterable[Path]) -> dict[str, str]:
    """Image → why it has none; "" for one that has its stand-in. An image that the engine holds stays what it is,
    unless it is a stand-in of an earlier recipe."""
    api = ContainerApi(engine_socket)
    _, identity = base_image.make(engine_socket, PROGRAMS)
    told: dict[str, str] = {}
    for image in sorted(images_of(pipelines)):
        repository, version = split_tag(image)
        try:
            if "@" in image:
                raise EngineError(400, "it is named by its digest")
            if _is_free(api, image):
                api.call("POST", f"/images/{identity}/tag", repo=repository, tag=version)
            told[image] = ""
        except EngineError as error:
            told[image] = error.message
    return told


def _is_free(api: ContainerApi, image: str) -> bool:
    try:
        held = api.call("GET", f"/images/{image}/json")
    except EngineError as error:
        if error.status == 404:
            return True
        raise
    return any(name.startswith("cairn-test-base:") for name in held["RepoTags"])


if __name__ == "__main__":
    given = [Path(word) for word in sys.argv[1:]]
    files = [path for place in given for path in ([place] if place.is_file() else sorted(place.rglob("*.[yj]*")))]
    engine = os.environ.get("DOCKER_HOST", "/var/run/docker.sock").removeprefix("unix://")
    for name, reason in tag(engine, files).items():
        print(name, f"has none: {reason}" if reason else "has its stand-in")
