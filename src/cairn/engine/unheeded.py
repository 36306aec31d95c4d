"""Overrides that change nothing of a run: nothing that was asked for is ignored in silence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from cairn.config.composing import Composed

Path: TypeAlias = tuple[str, ...]

_OVERRIDE = re.compile(r"(?:\+\+|\+)?([^=@/~{}\[\]\s]+)=(.*)$", re.DOTALL)
_REFERENCE = re.compile(r"[.\w\-\[\]]+")
_PARTS = re.compile(r"[^.\[\]]+")
_ABOUT_RUNS = ("cairn", "hydra")


def unheeded(composed: Composed, taken: Iterable[str]) -> tuple[str, ...]:
    """A warning for each override whose key no parameter takes, `taken` being the keys that parameters do take, and
    nothing that counts refers to by an interpolation. Choices of groups are none of these: they bring many keys."""
    asked = [
        (override, path)
        for override in composed.configuration.overrides
        if (path := _value_key(override, composed)) and path[0] not in _ABOUT_RUNS
    ]
    keys = [tuple(_PARTS.findall(key)) for key in taken]
    asked = [(override, path) for override, path in asked if not _touches(path, keys)]
    if not asked:
        return ()
    import yaml  # only where an override may have gone astray

    written = yaml.load(composed.configuration.text, Loader=yaml.BaseLoader) or {}
    heeded = _closure(written, [("cairn",), *keys])
    return tuple(
        f"{override} changes nothing of this run: no parameter takes {'.'.join(path)}"
        for override, path in asked
        if _node(written, path) is not None and not _touches(path, heeded)
    )


def _value_key(override: str, composed: Composed) -> Path:
    """The key that it gives a value to; () for a group's choice and whatever else is no plain value."""
    match = _OVERRIDE.match(override)
    if match is None:
        return ()
    path, value = tuple(_PARTS.findall(match.group(1))), match.group(2).strip()
    node = _node(composed.values, path)
    if isinstance(node, dict) and not value.startswith("{"):
        return ()
    chosen = f"{match.group(1)}/{value.strip(chr(39) + chr(34))}"
    if any(file.endswith((f"/{chosen}.yaml", f"/{chosen}.yml", f" {chosen}")) for file, _ in composed.files):
        return ()
    return path


def _closure(written: Any, keys: list[Path]) -> list[Path]:
    """These keys, and all that they come to refer to."""
    found = list(dict.fromkeys(keys))
    for path in found:  # grows meanwhile
        found += [one for one in dict.fromkeys(_references(written, path)) if one not in found]
    return found


def _references(written: Any, path: Path) -> Iterator[Path]:
    """What the values at and below `path` refer to, or the interpolation above that stands for it."""
    node: Any = written
    at: Path = ()
    for part in path:
        if isinstance(node, str):
            break
        node, at = _child(node, part), (*at, part)
    waiting: list[tuple[Path, Any]] = [(at, node)]
    for place, value in waiting:
        if isinstance(value, str) and "${" in value:
            for token in _REFERENCE.findall(value):
                dots = len(token) - len(token.lstrip("."))
                parts = tuple(_PARTS.findall(token))
                if parts:
                    yield (*place[:-dots], *parts) if dots else parts
        elif isinstance(value, dict):
            waiting += [((*place, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*place, str(index)), inner) for index, inner in enumerate(value)]


def _touches(path: Path, keys: Iterable[Path]) -> bool:
    """Whether one lies in the other."""
    return any(path[: len(key)] == key[: len(path)] for key in keys)


def _node(tree: Any, path: Path) -> Any:
    for part in path:
        tree = _child(tree, part)
    return tree


def _child(node: Any, part: str) -> Any:
    if isinstance(node, dict):
        return node.get(part)
    if isinstance(node, list) and part.isdigit() and int(part) < len(node):
        return node[int(part)]
    return None
