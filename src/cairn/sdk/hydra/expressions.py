"""What an expression of a program's source comes to, worked out without running the program.

Texts, constants of the module, and paths from `__file__`, as `@hydra.main(config_path=…)` has them:
`str(Path(__file__).parent / "conf")`, `os.path.join(ROOT, "conf")`.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "str": str,
    "Path": Path,
    "pathlib.Path": Path,
    "os.fspath": os.fspath,
    "os.path.join": os.path.join,
    "os.path.dirname": os.path.dirname,
    "os.path.abspath": os.path.abspath,
    "os.path.realpath": os.path.realpath,
    "os.path.normpath": os.path.normpath,
}
_METHODS = {"resolve", "absolute", "as_posix", "joinpath", "with_name"}


class Unknown(Exception):
    """It is known only when the program runs."""


def value_of(expression: ast.expr, tree: ast.Module, file: Path) -> str | None:
    """Raises Unknown."""
    try:
        found = _Reader(tree, file).read(expression)
    except (TypeError, ValueError, AttributeError, IndexError, ArithmeticError, OSError, RecursionError) as error:
        raise Unknown from error
    if found is not None and not isinstance(found, str | Path):
        raise Unknown
    return None if found is None else str(found)


class _Reader:
    def __init__(self, tree: ast.Module, file: Path) -> None:
        self._file = file
        self._assigned: dict[str, list[ast.expr]] = {}
        for node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            value = getattr(node, "value", None)
            for target in targets:
                if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign) and value is not None:
                    self._assigned.setdefault(target.id, []).append(value)

    def read(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self._named(node.id)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Add):
            left, right = self.read(node.left), self.read(node.right)
            return left / right if isinstance(node.op, ast.Div) else left + right
        if isinstance(node, ast.Attribute) and node.attr in {"parent", "parents"}:
            return getattr(self.read(node.value), node.attr)
        if isinstance(node, ast.Subscript):
            return self.read(node.value)[self.read(node.slice)]
        if isinstance(node, ast.JoinedStr):
            return "".join(str(self.read(getattr(one, "value", one) if isinstance(one, ast.FormattedValue) else one))
                           for one in node.values)  # fmt: skip
        if isinstance(node, ast.Call) and not node.keywords:
            return self._called(node)
        raise Unknown

    def _named(self, name: str) -> Any:
        if name == "__file__":
            return str(self._file)
        values = self._assigned.get(name, [])
        if len(values) != 1:
            raise Unknown
        return self.read(values[0])

    def _called(self, node: ast.Call) -> Any:
        arguments = [self.read(one) for one in node.args]
        function = _FUNCTIONS.get(ast.unparse(node.func))
        if function is None and isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            of = self.read(node.func.value)
            function = getattr(of, node.func.attr) if isinstance(of, Path) else None
        if function is None:
            raise Unknown
        return function(*arguments)
