"""Where a pipeline's Python source is compiled: the user's own environment if it has kfp, else one that we build.

A pipeline file imports modules of its user's, so the environment the user works in comes first.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from cairn.environments.projects import named_packages, read_project

_MENTIONS_KFP = re.compile(r"""(?:^\s*(?:name\s*=\s*)?["']?|[\[,]\s*["'])kfp\b""", re.MULTILINE)

_PACKAGES = ("lib/python3.*/site-packages", "lib/python3*/dist-packages", "local/lib/python3.*/dist-packages")


def users_python(directory: Path, variables: Mapping[str, str] | None = None, *, module: str = "kfp/dsl") -> str:
    """The interpreter with kfp, or `module`, that the user would take for a file in `directory`; "" when there is none.

    In order: the active environment, a .venv in the directory or above it within its repository, conda's, python3 on
    PATH, the one that runs Cairn. Decided by looking for files, without importing them (seconds).
    """
    shell = os.environ if variables is None else variables
    for prefix in _prefixes(directory, shell):
        python = prefix / "bin" / "python3"
        if _has(prefix, module) and os.access(python, os.X_OK):
            return str(python)
    return ""


def project_of(directory: Path) -> Path | None:
    """The directory itself when its dependency file names kfp."""
    project = read_project(directory)
    if not project.file:
        return None
    text = (directory / project.file).read_text(errors="replace")
    return directory if _MENTIONS_KFP.search(text) else None


def lacks(python: str, project: Path) -> bool:
    """Whether the environment of `python` is without a package that the project's dependency file names: an
    environment for something else. Decided by names, without importing anything."""
    prefix = Path(python).parents[1]
    try:
        text = (prefix / "pyvenv.cfg").read_text()
    except OSError:
        text = ""
    if "include-system-site-packages = true" in text:
        return False  # what it has lies elsewhere, too
    have = {_plain(path.name.split("-")[0]) for pattern in _PACKAGES for path in prefix.glob(f"{pattern}/*-info")}
    have |= {_plain(path.stem.split("-")[0]) for pattern in _PACKAGES for path in prefix.glob(f"{pattern}/*.egg-info")}
    return not {_plain(name) for name in named_packages(project)} <= have


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _prefixes(directory: Path, shell: Mapping[str, str]) -> Iterator[Path]:
    if shell.get("VIRTUAL_ENV"):
        yield Path(shell["VIRTUAL_ENV"])
    for above in (directory, *directory.parents):
        if (above / ".venv" / "pyvenv.cfg").is_file():
            yield above / ".venv"
        if (above / ".git").exists() or above == Path.home():
            break
    if shell.get("CONDA_PREFIX"):
        yield Path(shell["CONDA_PREFIX"])
    on_path = shutil.which("python3", path=shell.get("PATH", os.defpath))
    if on_path:
        yield Path(on_path).parent.parent  # of a virtual environment this is its own; a link is not followed
        yield Path(on_path).resolve().parent.parent
    yield Path(sys.prefix)


def _has(prefix: Path, module: str) -> bool:
    for pattern in _PACKAGES:
        for packages in prefix.glob(pattern):
            if (packages / module).is_dir():
                return True
            if module.startswith("kfp/") and any(packages.glob("__editable__*kfp-*")):
                return True
    return False
