"""Building an image from a directory: by its Dockerfile, or as its Python project says.

Without a Dockerfile the project's packages are installed by `image_building`, as for a step's environment: with the
image's own Python, the home's indexes, this machine's certificates and credentials, none of which gets into a layer.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from docker.utils.build import PatternMatcher

from cairn.domain.images import ImageBuild
from cairn.environments.image_transfer import Refused, tell, words_of
from cairn.environments.uv_command import Progress
from cairn.errors import EnvironmentBuildError, InputRefused

ENVIRONMENT = "/opt/environment"
APPLICATION = "/app"
DOCKERFILES = ("Dockerfile", "Containerfile")
_STEP = re.compile(r"Step \d+/\d+ : ")
_TOLD_LINES = 20


def dockerfile_of(request: ImageBuild) -> Path | None:
    """None for a directory whose image is made of its project. Raises InputRefused."""
    root = Path(request.directory).absolute()
    if not root.is_dir():
        raise InputRefused("there is no such directory", place=request.directory)
    if request.dockerfile:
        found = next((path for path in (root / request.dockerfile, Path(request.dockerfile)) if path.is_file()), None)
        if found is None:
            raise InputRefused("there is no such Dockerfile", place=request.dockerfile)
        return found.resolve()
    return next((root / name for name in DOCKERFILES if (root / name).is_file()), None)


def build_dockerfile(socket: str, request: ImageBuild, dockerfile: Path, network: str, progress: Progress) -> None:
    """Raises EnvironmentBuildError with the failing step and its words."""
    if request.base:
        raise InputRefused(f"{dockerfile} says what it starts from", place="--base", remedy="leave --base out")
    root = os.path.abspath(request.directory)
    options = {
        "path": root,
        "dockerfile": os.fspath(dockerfile),
        "buildargs": {**_proxies(), **dict(request.build_arguments)},
        "nocache": request.no_cache,
    }
    _build(socket, request.tag, network, progress, options)


def build_project(
    socket: str,
    request: ImageBuild,
    *,
    base: str,
    project: Path,
    environment: Path,
    search: str,
    network: str,
    progress: Progress,
) -> None:
    """`project` holds the files, `environment` what they need, `search` is where in APPLICATION its modules are."""
    text = _dockerfile(base, search)
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
            archive.add(
                environment, "environment", filter=lambda entry: None if ".cairn-" in entry.name else _as_root(entry)
            )
            archive.addfile(_directory("project"))
            for name in _kept(project):
                archive.add(project / name, f"project/{name}", recursive=False, filter=_as_root)
        file.seek(0)
        options = {"fileobj": file, "custom_context": True, "nocache": request.no_cache}
        _build(socket, request.tag, network, progress, options)


def _dockerfile(base: str, search: str) -> str:
    return f"""\
FROM {base}
COPY environment {ENVIRONMENT}
ENV PATH={ENVIRONMENT}/bin:$PATH VIRTUAL_ENV={ENVIRONMENT} PYTHONPATH={search}
WORKDIR {APPLICATION}
COPY project {APPLICATION}
"""


def _build(socket: str, tag: str, network: str, progress: Progress, options: dict[str, Any]) -> None:
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        progress(line)

    try:
        with closing(docker.DockerClient(base_url=f"unix://{socket}", timeout=3600)) as client:
            answers = client.api.build(tag=tag, rm=True, forcerm=True, decode=True, network_mode=network, **options)
            tell(answers, say)
    except (DockerException, OSError, Refused) as error:
        raise _failed(tag, lines, words_of(error)) from None


def _failed(tag: str, lines: Sequence[str], reason: str) -> EnvironmentBuildError:
    """The step that failed, what it said, and the engine's word on it."""
    starts = [number for number, line in enumerate(lines) if _STEP.match(line)]
    said = list(lines[starts[-1] :] if starts else lines)
    if len(said) > _TOLD_LINES:
        said = [said[0], "…", *said[1 - _TOLD_LINES :]]
    remedy = ""
    if "buildkit" in reason.lower():
        remedy = f"build it with `docker buildx build --load -t {tag} DIR`: Cairn takes an image by its name"
    return EnvironmentBuildError("\n".join([*said, reason]), place=f"image {tag}", remedy=remedy)


def _kept(project: Path) -> Iterator[str]:
    """Files of a project but for those that its .dockerignore names."""
    patterns = []
    with contextlib.suppress(OSError):
        lines = (project / ".dockerignore").read_text().splitlines()
        patterns = [line for line in map(str.strip, lines) if line and not line.startswith("#")]
    matcher = PatternMatcher(patterns)
    for parent, directories, names in os.walk(project):
        directories.sort()
        inside = os.path.relpath(parent, project)
        for name in sorted(names):
            path = os.path.normpath(os.path.join(inside, name))
            if not matcher.matches(path):
                yield path


def _directory(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    return entry


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Readable for whoever a step runs as, and root's. Without our own marks."""
    if entry.name.startswith("environment/.cairn-"):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode |= 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


def _proxies() -> dict[str, str]:
    """What engines take as a build's proxies without a word in the image."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    return {name: value for name, value in os.environ.items() if name.upper() in names}
