"""Which Python a step wants, and which this machine has."""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from pathlib import Path

from cairn.errors import EnvironmentBuildError

# `python:3.11-slim`, `ubi9/python-311:latest`, `tf-cpu.2-14.py310:latest`, `sklearn-cpu.1-3:py311`
_PATTERNS = (
    re.compile(r"(?:^|/)python:(3)\.(\d{1,2})(?![\d])"),
    re.compile(r"(?:^|[/:._-])python-?(3)\.?(\d{1,2})(?![\d])"),
    re.compile(r"(?:^|[/:._-])py(3)\.?(\d{1,2})(?![\d.])"),
    re.compile(r"(?:^|[/:._-])cp(3)(\d{1,2})(?![\d.])"),
)
_PLAIN = re.compile(r"(?:^|/)(?:python|python-?3\d*|ubi\d*/python-?\d+)(?:[:@]|$)")
_OWN_RANGE = range(11, 14)


def version_of_image(image: str) -> str:
    """`3.11` for an image whose name says so; "" for one that does not."""
    name = image.partition("@")[0]
    for pattern in _PATTERNS:
        found = pattern.search(name)
        if found:
            return f"3.{int(found[2])}"
    return ""


def is_plain_python(image: str) -> bool:
    """Whether an image is known to hold Python and little else: nothing is missed by not running in it."""
    return _PLAIN.search(image) is not None


@lru_cache(maxsize=1)
def installed() -> dict[str, str]:
    """Interpreters at hand, `3.11` → path: on PATH, our own, pyenv's, uv's. Found by name, without running any."""
    found: dict[str, str] = {}
    for named in os.environ.get("PATH", "").split(os.pathsep):
        if named and "shims" not in Path(named).parts:  # pyenv's shims answer only where a version is chosen
            _collect(Path(named), found)
    base = getattr(sys, "_base_executable", "") or sys.executable
    if base:
        found.setdefault(f"3.{sys.version_info.minor}", base)
    home = Path.home()
    roots = [Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"]
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    roots.append(Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python"))
    for root in roots:
        try:
            directories = sorted(root.iterdir(), reverse=True)
        except OSError:
            continue
        for directory in directories:
            _collect(directory / "bin", found)
    return found


def _collect(directory: Path, found: dict[str, str]) -> None:
    if (directory.parent / "pyvenv.cfg").is_file():
        return  # an interpreter of a virtual environment comes and goes
    try:
        names = [entry.name for entry in os.scandir(directory) if entry.name.startswith("python3.")]
    except OSError:
        return
    for name in names:
        minor = name[len("python3.") :]
        if minor.isdigit() and os.access(directory / name, os.X_OK):
            found.setdefault(f"3.{minor}", str(directory / name))


def default_version() -> str:
    """The newest of the versions that Cairn itself runs on."""
    for minor in reversed(_OWN_RANGE):
        if f"3.{minor}" in installed():
            return f"3.{minor}"
    return f"3.{sys.version_info.minor}"


def nearest(version: str) -> str:
    """The installed version closest to the one wanted; the newer of two equally close."""
    have = installed()
    if version in have:
        return version
    if not have:
        raise EnvironmentBuildError("no Python interpreter was found", remedy="put a python3 on PATH")
    wanted = int(version.partition(".")[2])
    minors = [int(each.partition(".")[2]) for each in have]
    usable = [minor for minor in minors if minor >= 8] or minors
    return f"3.{min(usable, key=lambda minor: (abs(minor - wanted), -minor))}"
