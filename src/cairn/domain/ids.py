"""Identifiers that are unique without asking anybody (RFC 9562). Importing uuid costs more than this needs."""

from __future__ import annotations

import os
import time

_DIGITS = 10**18


def random_uid() -> str:
    """A UUID of version 4 as text: for runs and artifacts, which people name by their first characters."""
    return _text(bytearray(os.urandom(16)), 0x40)


def ordered_uid() -> str:
    """A UUID of version 7 as text, milliseconds first: what is written by the thousand then lies together."""
    return _text(bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10)), 0x70)


def numeric_id(uid: str) -> str:
    """Nineteen digits of a UUID: what resources of Vertex AI are called."""
    return str(_DIGITS + int(uid.replace("-", ""), 16) % (8 * _DIGITS))


def _text(raw: bytearray, version: int) -> str:
    raw[6] = (raw[6] & 0x0F) | version
    raw[8] = (raw[8] & 0x3F) | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
