"""What a project directory needs: its uv.lock, pyproject.toml or requirements.txt, in that order.

A pyproject.toml without [project] is asked through its build system (Poetry's own tables).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import xxhash

from cairn.environments import interpreters
from cairn.errors import InputRefused

# A requirement without a marker: what it is called. Options, paths and URLs are none.
_REQUIREMENT = r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*\]\s*)?(?:[=<>!~(][^;@]*)?(?:\s#.*)?$"
_BOUND = re.compile(r"(>=|>|~=|==|<=|<|!=)\s*3\.(\d+)")


class Project(msgspec.Struct, frozen=True):
    """What was read. `file` is where its dependencies stand; "" for a directory that names none."""

    file: str
    inputs: str  # digest of the files that decide the dependencies
    python: str  # "3.11"
    is_package: bool  # has a build system: it is installed itself
    unread: tuple[str, ...] = ()  # files that say what it needs to others, and nothing to us


# Named when nothing else says what a directory needs; and the locks that are not taken.
_FOREIGN = ("setup.py", "setup.cfg", "Pipfile", "environment.yml", "environment.yaml", "conda.yaml", "conda.yml")
_FOREIGN_LOCKS = ("poetry.lock", "pdm.lock", "Pipfile.lock", "pixi.lock")


def read_project(directory: Path) -> Project:
    """Raises InputRefused for a pyproject.toml that is not TOML."""
    pyproject = directory / "pyproject.toml"
    table = _toml(pyproject) if pyproject.is_file() else {}
    project = table.get("project") or {}
    poetry = not project and _is_poetry_package(table)
    name = _dependency_file(directory, project, poetry)
    foreign = [] if name else [each for each in ("pyproject.toml", *_FOREIGN) if (directory / each).is_file()]
    if name != "uv.lock":
        foreign += [each for each in _FOREIGN_LOCKS if (directory / each).is_file()]
    return Project(
        file=name,
        inputs=_digest(directory, name),
        python=_python(directory, str(project.get("requires-python") or "")),
        is_package="build-system" in table and (bool(project) or poetry),
        unread=tuple(foreign),
    )


def named_packages(directory: Path) -> list[str]:
    """Names of the distributions that the directory asks for everywhere (without a marker), as they are written."""
    name = read_project(directory).file
    if name == "requirements.txt":
        lines: list[Any] = (directory / name).read_text(errors="replace").splitlines()
    else:
        project = _toml(directory / "pyproject.toml").get("project") or {} if name else {}
        lines = project.get("dependencies") or []
    return [match[1] for line in lines if isinstance(line, str) and (match := re.match(_REQUIREMENT, line))]


def _is_poetry_package(table: dict[str, Any]) -> bool:
    poetry = (table.get("tool") or {}).get("poetry") or {}
    return bool(poetry) and "build-system" in table and poetry.get("package-mode", True) is not False


def _dependency_file(directory: Path, project: dict[str, Any], poetry: bool) -> str:
    if project and (directory / "uv.lock").is_file():
        return "uv.lock"
    if project and ("dependencies" in project or not (directory / "requirements.txt").is_file()):
        return "pyproject.toml"
    if (directory / "requirements.txt").is_file():
        return "requirements.txt"
    return "pyproject.toml" if poetry else ""


def _digest(directory: Path, name: str) -> str:
    """Of the dependency file, with the requirement files that it may include."""
    digest = xxhash.xxh3_128()
    names = {name} if name else set()
    if name == "uv.lock":
        names.add("pyproject.toml")
    if name == "requirements.txt":
        found = [path for pattern in ("*.txt", "requirements/*.txt") for path in directory.glob(pattern)]
        names |= {str(path.relative_to(directory)) for path in found}
    for each in sorted(names):
        digest.update(each.encode() + b"\0" + (directory / each).read_bytes() + b"\0")
    return digest.hexdigest()


def _python(directory: Path, requires: str) -> str:
    """.python-version when it holds a version; else the newest installed one that `requires-python` allows."""
    try:
        pinned = re.match(r"\s*(?:cpython-?)?3\.(\d+)", (directory / ".python-version").read_text())
    except OSError:
        pinned = None
    if pinned:
        return f"3.{pinned[1]}"
    if not requires:
        return ""
    minors = sorted((int(version.partition(".")[2]) for version in interpreters.installed()), reverse=True)
    usual = [minor for minor in minors if 11 <= minor <= 13]
    for minor in [*usual, *minors]:
        if _allows(requires, minor):
            return f"3.{minor}"
    low = [int(number) for sign, number in _BOUND.findall(requires) if sign in {">=", "~=", "=="}]
    return f"3.{max(low)}" if low else ""


def _allows(requires: str, minor: int) -> bool:
    """PEP 440 bounds by their minor version: nearer than that we cannot choose among installed ones."""
    for sign, number in _BOUND.findall(requires):
        bound = int(number)
        fits = {
            ">=": minor >= bound, ">": minor > bound or minor == bound, "~=": minor >= bound, "==": minor == bound,
            "<=": minor <= bound, "<": minor < bound, "!=": minor != bound,
        }[sign]  # fmt: skip
        if not fits:
            return False
    return True


def _toml(path: Path) -> dict[str, Any]:
    import tomllib  # projects only

    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputRefused(f"is not TOML: {error}", place=str(path)) from None
