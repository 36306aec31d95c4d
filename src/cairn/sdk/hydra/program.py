"""Where a Hydra program is, and what its own `@hydra.main` says: read from its source, never imported."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import ConfigurationError
from cairn.sdk.hydra.expressions import Unknown, value_of


@dataclass(frozen=True)
class Program:
    """`words` are what follows `python`, from the directory `project`. `config_dir` is absolute, or None for a program
    without one; `config_name` None for one without a primary config. `unread` are those of the two that are known only
    when the program runs, as the source has them."""

    file: Path
    project: Path
    words: tuple[str, ...]
    config_dir: Path | None
    config_name: str | None
    known: bool  # whether it has a @hydra.main
    unread: dict[str, str]


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
    said, unread = _hydra_main(file)
    path = said.get("config_path")
    directory = (file.parent / path).resolve() if path is not None else None
    return Program(file, root, words, directory, said.get("config_name"), bool(said or unread), unread)


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


def _hydra_main(file: Path) -> tuple[dict[str, str | None], dict[str, str]]:
    """The arguments of hydra.main, and those that only a run can tell: two times {} where it is not called."""
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError, OSError) as error:
        raise ConfigurationError(f"cannot be read: {error}", place=str(file)) from None
    names = _names_of_main(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
            return _arguments(node, tree, file)
    return {}, {}


def _names_of_main(tree: ast.Module) -> set[str]:
    """How the file calls hydra.main: `hydra.main`, `main` (from hydra import main), an alias."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {f"{one.asname or one.name}.main" for one in node.names if one.name == "hydra"}
        if isinstance(node, ast.ImportFrom) and (node.module or "") in ("hydra", "hydra.main"):
            names |= {one.asname or one.name for one in node.names if one.name == "main"}
    return names


def _arguments(call: ast.Call, tree: ast.Module, file: Path) -> tuple[dict[str, str | None], dict[str, str]]:
    named = dict(zip(("config_path", "config_name"), call.args, strict=False))
    named |= {one.arg: one.value for one in call.keywords if one.arg}
    found: dict[str, str | None] = {}
    unread: dict[str, str] = {}
    for name in ("config_path", "config_name"):
        expression = named.get(name, ast.Constant(None))
        try:
            found[name] = value_of(expression, tree, file)
        except Unknown:
            unread[name] = ast.unparse(expression)
        if name == "config_path" and "://" in (found.get(name) or ""):  # a package's: pkg://acme.conf
            unread[name] = repr(found.pop(name))
    return found, unread
