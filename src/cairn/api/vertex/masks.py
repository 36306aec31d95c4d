"""Field masks: what a readMask leaves of a message, what an updateMask changes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from cairn.api.vertex.codec import fields_of, is_map
from cairn.api.vertex.description import descriptor
from cairn.api.vertex.scalars import WELL_KNOWN, camel
from cairn.errors import InputRefused

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor


def mask_paths(mask: str) -> list[tuple[str, ...]]:
    """A FieldMask's paths as canonical field names; `*` and "" are no paths."""
    paths = (part.strip() for part in mask.split(","))
    return [tuple(map(camel, path.split("."))) for path in paths if path and path != "*"]


def masked(name: str, value: Mapping[str, Any], mask: str) -> dict[str, Any]:
    """What a readMask leaves of a message. Raises InputRefused for a field that the message does not have."""
    paths = mask_paths(mask)
    if not paths:
        return dict(value)
    found: dict[str, Any] = {}
    for path in paths:
        _check_path(descriptor(name), path)
        _copy(value, found, path)
    return found


def merged(name: str, old: Mapping[str, Any], new: Mapping[str, Any], mask: str) -> dict[str, Any]:
    """`old` with what an updateMask names taken from `new`; without a mask, with everything that `new` has set.

    Raises InputRefused for a field that the message does not have.
    """
    if mask.strip() == "*":
        return dict(new)
    paths = mask_paths(mask) or [(key,) for key in new]
    found = dict(old)
    for path in paths:
        _check_path(descriptor(name), path)
        _replace(found, new, path)
    return found


def _check_path(message: Descriptor | None, path: Sequence[str]) -> None:
    for index, part in enumerate(path):
        if message is None or message.full_name in WELL_KNOWN:
            return
        field = fields_of(message).get(part)
        if field is None:
            raise InputRefused(f"{message.name} has no field {part!r}", place=".".join(path[: index + 1]))
        if is_map(field):
            return
        message = field.message_type


def _copy(source: Mapping[str, Any], target: dict[str, Any], path: Sequence[str]) -> None:
    head, rest = path[0], path[1:]
    if head not in source:
        return
    value = plain(source[head]) if rest else source[head]
    if not rest:
        target[head] = value
    elif isinstance(value, Mapping):
        _copy(value, target.setdefault(head, {}), rest)


def _replace(target: dict[str, Any], source: Mapping[str, Any], path: Sequence[str]) -> None:
    head, rest = path[0], path[1:]
    if rest:
        below = target.get(head)
        target[head] = dict(below) if isinstance(below, Mapping) else {}
        given = source.get(head)
        _replace(target[head], given if isinstance(given, Mapping) else {}, rest)
    elif head in source:
        target[head] = source[head]
    else:
        target.pop(head, None)


def plain(value: Any) -> Any:
    """The value that a `msgspec.Raw` stands for; others as they are."""
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value
