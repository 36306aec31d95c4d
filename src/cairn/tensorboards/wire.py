"""Protobuf's wire format, as far as event files need it: fields of a message by number, and the few that are written.

Source: https://protobuf.dev/programming-guides/encoding. Descriptors are not needed, and no generated code is loaded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TypeAlias

Field: TypeAlias = tuple[int, int, int | bytes]
"""(number, wire type, what it holds): an int of a varint, bytes of everything else (4, 8, or as many as it says)."""

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_WIDTHS = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT = 10


class Malformed(ValueError):
    """It is no message."""


def fields(message: bytes) -> Iterator[Field]:
    """In the order in which they stand there. Raises Malformed."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, kind, value
            continue
        if kind == LENGTH:
            width, at = _varint(message, at)
        elif kind in _WIDTHS:
            width = _WIDTHS[kind]
        else:
            raise Malformed(f"wire type {kind} at byte {at}")
        if at + width > end:
            raise Malformed(f"a field of {width} bytes goes beyond the end")
        yield number, kind, message[at : at + width]
        at += width


def strings(message: bytes, number: int) -> list[bytes]:
    """Every value of a repeated message, string or bytes field."""
    return [value for found, _, value in fields(message) if found == number and isinstance(value, bytes)]


def last(message: bytes, number: int) -> bytes:
    """Of a message, string or bytes field; b"" when it is not set."""
    return next(reversed(strings(message, number)), b"")


def signed(value: int) -> int:
    """An int64 or int32 of what its varint says."""
    return value - (1 << 64) if value >> 63 else value


def double(value: int | bytes) -> float:
    """Raises Malformed."""
    return float(_unpacked("<d", value))


def single(value: int | bytes) -> float:
    """Raises Malformed."""
    return float(_unpacked("<f", value))


def numbers(message: bytes, number: int, code: str) -> list[float]:
    """A repeated number, packed or not. `code`: of `struct` for fixed widths (d, f); v for varints."""
    found: list[float] = []
    for name, kind, value in fields(message):
        if name != number:
            continue
        if isinstance(value, int):
            found.append(signed(value))
        elif code == "v":
            found.extend(map(signed, _varints(value)))
        elif kind == LENGTH:
            if len(value) % struct.calcsize(code):
                raise Malformed("numbers are cut off")
            found.extend(one for (one,) in struct.iter_unpack(f"<{code}", value))
        else:
            found.append(_unpacked(f"<{code}", value))
    return found


def varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def tagged(number: int, value: bytes | int) -> bytes:
    """A field as it is written: bytes with their length, a number as a varint."""
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    return varint(number << 3 | LENGTH) + varint(len(value)) + value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for place in range(at, min(at + _LONGEST_VARINT, len(message))):
        byte = message[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place + 1
        shift += 7
    raise Malformed(f"a number at byte {at} has no end")


def _varints(content: bytes) -> Iterator[int]:
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        yield value


def _unpacked(code: str, value: int | bytes) -> float:
    if isinstance(value, int) or len(value) != struct.calcsize(code):
        raise Malformed("a number of another width")
    found: float = struct.unpack(code, value)[0]
    return found
