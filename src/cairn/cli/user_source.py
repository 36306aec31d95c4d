"""From the text that a component was compiled to, back to the user's own file.

kfp copies a function's source, without decorators and indentation, below a few import lines. Where the same text stands
in the pipeline's file, lines of the one are lines of the other.
"""

from __future__ import annotations

import ast
import os
import textwrap
from typing import TypeAlias

import msgspec

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Place(msgspec.Struct, frozen=True):
    """A function in the user's file: line `first` there is line `compiled_first` in the compiled component."""

    file: str
    name: str
    first: int
    compiled_first: int
    length: int
    unchanged: bool  # the text is the same as when it was compiled

    def line(self, compiled: int) -> int | None:
        """The user's line for a line of the compiled component, None outside the function or when it was edited."""
        offset = compiled - self.compiled_first
        return self.first + offset if self.unchanged and 0 <= offset < self.length else None


def candidates(source: str) -> list[str]:
    """Files that may hold the functions of a pipeline that came from `source`: itself, or the .py beside a .yaml."""
    path = source.rpartition(":")[0] if ".py:" in source else source
    stem, extension = os.path.splitext(path)
    names = [path] if extension == ".py" else [f"{stem}.py", f"{os.path.splitext(stem)[0]}.py"]
    return [name for name in dict.fromkeys(names) if os.path.isfile(name)]


def find(source: str, compiled: str, name: str = "") -> Place | None:
    """Where the function of a compiled component stands in the pipeline's file. `name`: of several, this one."""
    ours = _function(_parse(compiled), name)
    return _written(source, compiled, ours) if ours is not None else None


def find_all(source: str, compiled: str) -> list[Place]:
    """The same for every function of a compiled component: `additional_funcs` stand in it too."""
    tree = _parse(compiled)
    functions = [node for node in tree.body if isinstance(node, _FUNCTIONS)] if tree is not None else []
    places = [_written(source, compiled, node) for node in functions]
    return [place for place in places if place is not None]


def _written(source: str, compiled: str, ours: _Function) -> Place | None:
    text = _lines(compiled, ours)
    for file in candidates(source):
        try:
            with open(file, encoding="utf-8", errors="replace") as opened:
                written = opened.read()
        except OSError:
            continue
        place = _place(file, written, ours, text)
        if place is not None:
            return place
    return None


def _place(file: str, written: str, ours: _Function, text: list[str]) -> Place | None:
    name, compiled_first = ours.name, ours.lineno
    edited: Place | None = None
    for node in _functions(_parse(written)):
        if node.name != name:
            continue
        theirs = _lines(written, node)
        if theirs == text:
            return Place(file, name, node.lineno, compiled_first, len(text), unchanged=True)
        edited = edited or Place(file, name, node.lineno, compiled_first, len(theirs), unchanged=False)
    return edited


def _parse(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def _functions(tree: ast.Module | None) -> list[_Function]:
    if tree is None:
        return []
    return [node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)]


def _function(tree: ast.Module | None, name: str) -> _Function | None:
    """The named function, else the last one at the top: what kfp puts after imports and additional functions."""
    if tree is None:
        return None
    found = [node for node in tree.body if isinstance(node, _FUNCTIONS)]
    named = [node for node in found if node.name == name]
    chosen = named or found
    return chosen[-1] if chosen else None


def _lines(text: str, node: _Function) -> list[str]:
    """The function's lines from `def` on, without indentation and trailing space."""
    lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
    return [line.rstrip() for line in textwrap.dedent("\n".join(lines)).splitlines()]
