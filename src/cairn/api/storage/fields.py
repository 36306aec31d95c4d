"""Partial responses: `fields=items(name,size),nextPageToken`, `items/name`, `*`.

https://cloud.google.com/storage/docs/json_api#partial-response
"""

from __future__ import annotations

from typing import Any, TypeAlias

from cairn.errors import InputRefused

_LIMIT = 2000
_DEPTH = 20
Mask: TypeAlias = "dict[str, Mask]"  # {}: all of it


def parse(text: str) -> Mask:
    """Raises InputRefused."""
    if len(text) > _LIMIT:
        raise InputRefused(f"is longer than {_LIMIT} characters", place="fields")
    mask, rest = _list(text, 0)
    if rest:
        raise InputRefused(f"cannot be read from {rest[:20]!r} on", place="fields")
    return mask


def names(mask: Mask, *path: str) -> bool:
    """Whether a path is asked for by its name."""
    for name in path:
        if name not in mask:
            return False
        mask = mask[name]
    return True


def select(value: Any, mask: Mask) -> Any:
    if not mask:
        return value
    if isinstance(value, list):
        return [select(one, mask) for one in value]
    if not isinstance(value, dict):
        return value
    if "*" in mask:
        return {name: select(one, mask.get(name, mask["*"])) for name, one in value.items()}
    return {name: select(one, mask[name]) for name, one in value.items() if name in mask}


def _list(text: str, depth: int) -> tuple[Mask, str]:
    if depth > _DEPTH:
        raise InputRefused("is nested too deeply", place="fields")
    mask: Mask = {}
    while True:
        text = _one(text, mask, depth)
        if not text.startswith(","):
            return mask, text
        text = text[1:]


def _one(text: str, mask: Mask, depth: int) -> str:
    """Read `a/b(c,d)` into the mask; what is left."""
    while True:
        end = next((at for at, sign in enumerate(text) if sign in ",/()"), len(text))
        name = text[:end].strip()
        if not name:
            raise InputRefused("names nothing", place="fields")
        mask = mask.setdefault(name, {})
        text = text[end:]
        if not text.startswith("/"):
            break
        text = text[1:]
    if text.startswith("("):
        below, text = _list(text[1:], depth + 1)
        if not text.startswith(")"):
            raise InputRefused("has a parenthesis that is not closed", place="fields")
        mask.update(below)
        text = text[1:]
    return text
