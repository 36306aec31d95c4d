"""Where in a configuration's files something stands: only read on the way to an error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

_PARTS = re.compile(r"[^.\[\]]+")


def place_of(files: Iterable[tuple[str, str]], key: str) -> str:
    """`file:line` where `key` (`train.layers[0].size`) was last set, else where the nearest node above it was; "" when
    nothing of it stands in a file. `files` are (file, package) in the order in which they were merged."""
    wanted = _PARTS.findall(key)
    best, place = 0, ""
    for file, package in files:
        inside = _PARTS.findall(package)
        if wanted[: len(inside)] != inside:
            continue
        depth, line = _deepest(file, wanted[len(inside) :])
        if depth and len(inside) + depth >= best:
            best, place = len(inside) + depth, f"{file}:{line}"
    return place


def default_place(file: str, option: str) -> str:
    """`file:line` of the defaults list's entry that leads to `option` (`model/nope`), else of the list."""
    root = _tree(file)
    for key, value in _pairs(root):
        if key.value != "defaults" or not isinstance(value.value, list):
            continue
        for item in value.value:
            if _names(item, option):
                return f"{file}:{item.start_mark.line + 1}"
        return f"{file}:{key.start_mark.line + 1}"
    return file


def _names(item: Any, option: str) -> bool:
    """Of `- model: nope`, `- override /model@package: nope`, `- model/nope` and `- model: [some, nope]`."""
    if isinstance(item.value, str):
        return option.endswith(item.value.partition("@")[0].strip("/"))
    for group, chosen in _pairs(item):
        name = group.value.split()[-1].partition("@")[0].strip("/")
        options = [one.value for one in chosen.value] if isinstance(chosen.value, list) else [chosen.value]
        if any(isinstance(one, str) and option.endswith(f"{name}/{one}") for one in options) or option == name:
            return True
    return False


def _deepest(file: str, parts: list[str]) -> tuple[int, int]:
    """How many of the parts there are, and the line of the last."""
    node, depth, line = _tree(file), 0, 0
    for part in parts:
        found = next(((key, value) for key, value in _children(node) if key == part), None)
        if found is None:
            break
        node, depth, line = found[1][1], depth + 1, found[1][0]
    return depth, line


def _children(node: Any) -> Iterator[tuple[str, tuple[int, Any]]]:
    """(name, (line, node)) of a mapping or a list."""
    if node is None or isinstance(node.value, str):
        return
    for number, item in enumerate(node.value):
        if isinstance(item, tuple):
            if isinstance(item[0].value, str):
                yield item[0].value, (item[0].start_mark.line + 1, item[1])
        else:
            yield str(number), (item.start_mark.line + 1, item)


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    if node is None or isinstance(node.value, str):
        return []
    return [item for item in node.value if isinstance(item, tuple) and isinstance(item[0].value, str)]


def _tree(file: str) -> Any:
    """The file's YAML nodes; None for what is no file or no YAML."""
    import yaml

    try:
        with open(file, encoding="utf-8") as opened:
            return yaml.compose(opened, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return None
