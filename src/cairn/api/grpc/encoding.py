"""A handler's answer on the wire."""

from __future__ import annotations

from typing import Any


def encoded(name: str, value: Any) -> bytes:
    from cairn.api.vertex.codec import to_message

    return to_message(name, value)
