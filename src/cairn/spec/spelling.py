"""Members of a document that is kept as it was written: in camelCase, or as protobuf's own names in snake_case."""

from __future__ import annotations

from typing import Any

from cairn.spec.reader import snake


def key_of(message: dict[str, Any], name: str) -> str:
    """How `name` (camelCase) is written in `message`, or would be."""
    other = snake(name)
    return other if name not in message and other in message else name


def value_of(message: dict[str, Any], name: str, default: Any = None) -> Any:
    """null is not there."""
    found = message.get(key_of(message, name))
    return default if found is None else found


def member(message: dict[str, Any], name: str) -> dict[str, Any]:
    """The message that is member `name`, put there where it is missing."""
    key = key_of(message, name)
    if message.get(key) is None:
        message[key] = {}
    found: dict[str, Any] = message[key]
    return found


def put(message: dict[str, Any], name: str, value: Any) -> None:
    message[key_of(message, name)] = value


def drop(message: dict[str, Any], *names: str) -> None:
    for name in names:
        message.pop(key_of(message, name), None)
