"""Structured parts of a row as JSON text.

JSON cannot say two things that a value may hold: a spilled parameter, which must not be confused with a user's
object of the same look, and NaN or an infinity (a diverged metric). Where one occurs, the text is wrapped with the
places.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec

from cairn.domain.values import Spilled
from cairn.errors import HomeError

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_MARK = "~"  # before a wrapped text: no JSON begins so
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class _Wrapped(msgspec.Struct):
    places: list[tuple[list[Any], str]]
    value: Any


def encode(value: Any) -> str:
    """JSON text that `Codec.decode` gives back exactly, integers of any size included."""
    raw = _encoder.encode(value)
    if b"null" in raw or b'"spilled"' in raw:  # the only two ways in which a special value can have been written
        places = list(_special(value, []))
        if places:
            return _MARK + _encoder.encode(_Wrapped(places, value)).decode()
    return raw.decode()


def encode_mapping(value: dict[str, Any]) -> str:
    return encode(value) if value else "{}"


class Codec(Generic[T]):
    """Reads what `encode` wrote as one type."""

    def __init__(self, type_: type[T]) -> None:
        self._type = type_
        self._decoder = msgspec.json.Decoder(type_)

    def decode(self, text: str) -> T:
        """Raises HomeError when the text is damaged."""
        try:
            if text.startswith(_MARK):
                return msgspec.convert(_unwrapped(text[1:]), self._type)
            return self._decoder.decode(text)
        except (msgspec.MsgspecError, LookupError, TypeError) as error:
            raise HomeError(f"a record cannot be read: {error}", remedy="restore a backup: `cairn restore`") from error


mapping: Codec[dict[str, Any]] = Codec(dict[str, Any])


def spilled(value: Any) -> list[str]:
    """URIs of all spilled parameters in a record."""
    return [found.uri for found in _leaves(value) if isinstance(found, Spilled)]


def _special(value: Any, place: list[Any]) -> Iterator[tuple[list[Any], str]]:
    if isinstance(value, Spilled):
        yield place, "spilled"
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield place, str(value)
    else:
        for key, member in _members(value):
            yield from _special(member, [*place, key])


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Spilled):
        yield value
    for _, member in _members(value):
        yield from _leaves(member)


def _members(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)
    else:
        for name in getattr(value, "__struct_fields__", ()):  # a Struct of whatever type
            yield name, getattr(value, name)


def _unwrapped(text: str) -> Any:
    wrapped = msgspec.json.decode(text, type=_Wrapped)
    root = {"value": wrapped.value}
    for place, what in wrapped.places:
        holder: Any = root
        *way, last = ("value", *place)
        for key in way:
            holder = holder[key]
        plain = holder[last]
        holder[last] = msgspec.convert(plain, Spilled) if what == "spilled" else _NON_FINITE[what]
    return root["value"]
