"""Where a Hydra program is, and what its own `@hydra.main` says: read from its source, never imported."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import ConfigurationError


@dataclass(frozen=True)
class Program:
    """`words` are what follows `python`, from the directory `project`. `config_dir` is absolute, or None for a program
    without one; `config_name` None for one without a primary config."""

    file: Path
    project: Path
    words: tuple[str, ...]
    config_dir: Path | None
    config_name: str | None
    known: bool  # whether @hydra.main could be read


def find_program(program: str, module: str, project: str | os.PathLike[str] | None, base: Path) -> Program:
    """`program` is a file relative to `base`; `module` is looked for in `project`. Raises ConfigurationError."""
    if bool(program) == bool(module):
        raise ConfigurationError("give the program's file or module=, one of them", place="cairn.hydra.component")
    if module:
        root = (base / (project or ".")).resolve()
        file = _module_file(module, root)
        words: tuple[str, ...] = ("-m", module)
    else:
        file = (base / program).resolve()
        if not file.is_file():
            raise ConfigurationError("there is no such file", place=str(file), remedy=f"paths start from {base}")
        root = (base / project).resolve() if project is not None else file.parent
        if not file.is_relative_to(root):
            raise ConfigurationError(f"does not lie in the project {root}", place=str(file))
        words = (file.relative_to(root).as_posix(),)
    said = _hydra_main(file)
    path = said.get("config_path", None)
    known = "config_name" in said or "config_path" in said
    directory = (file.parent / path) if isinstance(path, str) and "://" not in path else None
    name = said.get("config_name")
    return Program(file, root, words, directory and directory.resolve(), name, known)


def _module_file(module: str, root: Path) -> Path:
    below = Path(*module.split("."))
    places = [
        place / variant
        for place in (root, root / "src")
        for variant in (below.with_suffix(".py"), below / "__main__.py")
    ]
    for place in places:
        if place.is_file():
            return place
    raise ConfigurationError(
        f"there is no module {module}", place=str(root), remedy="looked for " + ", ".join(map(str, places))
    )


def _hydra_main(file: Path) -> dict[str, str | None]:
    """The arguments of hydra.main that are literals: {} where it is not called, or they cannot be read."""
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError, OSError) as error:
        raise ConfigurationError(f"cannot be read: {error}", place=str(file)) from None
    names = _names_of_main(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
            return _literals(node)
    return {}


def _names_of_main(tree: ast.Module) -> set[str]:
    """How the file calls hydra.main: `hydra.main`, `main` (from hydra import main), an alias."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {f"{one.asname or one.name}.main" for one in node.names if one.name == "hydra"}
        if isinstance(node, ast.ImportFrom) and (node.module or "") in ("hydra", "hydra.main"):
            names |= {one.asname or one.name for one in node.names if one.name == "main"}
    return names


def _literals(call: ast.Call) -> dict[str, str | None]:
    named = dict(zip(("config_path", "config_name"), call.args, strict=False))
    named |= {one.arg: one.value for one in call.keywords if one.arg}
    found: dict[str, str | None] = {}
    for name in ("config_path", "config_name"):
        value = named.get(name, ast.Constant(None))
        if isinstance(value, ast.Constant) and (value.value is None or isinstance(value.value, str)):
            found[name] = value.value
    return found
