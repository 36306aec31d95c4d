"""JSON values as protobuf's scalars and well-known types take them, in canonical form."""

from __future__ import annotations

import base64
import binascii
import math
import re
import sys
from collections.abc import Callable
from datetime import UTC
from typing import Any

from cairn.errors import InputRefused

_INT32, _INT64, _UINT32, _UINT64 = range(1, 5)  # FieldDescriptor.cpp_type
RANGES = {
    _INT32: (-(2**31), 2**31 - 1),
    _INT64: (-(2**63), 2**63 - 1),
    _UINT32: (0, 2**32 - 1),
    _UINT64: (0, 2**64 - 1),
}
_TIMESTAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"-?\d{1,12}(\.\d{1,9})?s")
_SNAKE = re.compile(r"_([a-z0-9])")
_DOUBLE_MAX = sys.float_info.max


def read_string(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise InputRefused(f"{shown(value)} is no string", place=place)
    if not value.isascii():
        _check_text(value, place)
    if "\x00" in value:
        raise InputRefused("holds a character NUL", place=place)
    return value


def _check_text(text: str, place: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputRefused("holds half a surrogate pair, which is no text", place=place) from None


def read_bytes(value: Any, place: str) -> str:
    text = read_string(value, place).replace("-", "+").replace("_", "/")
    try:
        return base64.b64encode(base64.b64decode(text + "=" * (-len(text) % 4), validate=True)).decode()
    except (binascii.Error, ValueError):
        raise InputRefused("is not base64", place=place) from None


def read_integer(value: Any, bounds: tuple[int, int], place: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputRefused(f"{shown(value)} is no whole number", place=place)
    if not bounds[0] <= value <= bounds[1]:
        raise InputRefused(f"{value} is out of range", place=place)
    return value


def read_number(value: Any, place: str) -> float | int | str:
    if isinstance(value, str):
        if value in ("NaN", "Infinity", "-Infinity"):
            return value
        try:
            number = float(value)
        except ValueError:
            raise InputRefused(f"{shown(value)} is no number", place=place) from None
        if math.isfinite(number) and value.strip() == value:
            return number
        raise InputRefused(f"{shown(value)} is no number", place=place)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputRefused(f"{shown(value)} is no number", place=place)
    try:
        return value if math.isfinite(value) else odd_number(value)
    except OverflowError:  # an integer of more than 308 digits
        raise InputRefused("is out of range", place=place) from None


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def odd_number(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def camel(name: str) -> str:
    return _SNAKE.sub(lambda found: found[1].upper(), name)


def _timestamp(value: Any, place: str) -> str:
    from datetime import datetime, timedelta

    found = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise InputRefused(f"{shown(value)} is no time in RFC 3339: 2026-11-20T20:16:02.99Z is one", place=place)
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        if zone not in "Zz":
            offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:]))
            moment -= offset if zone[0] == "+" else -offset
    except (ValueError, OverflowError) as error:
        raise InputRefused(f"{value!r} is no time: {error}", place=place) from None
    digits = (fraction or ".").rstrip("0")[1:]
    tail = f".{digits.ljust(-(-len(digits) // 3) * 3, '0')}" if digits else ""
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}{tail}Z"


def _duration(value: Any, place: str) -> str:
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise InputRefused(f"{shown(value)} is no duration: 3.5s is one", place=place)
    return value


def _mask(value: Any, place: str) -> str:
    return ",".join(camel(part.strip()) for part in read_string(value, place).split(",") if part.strip())


def _struct(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputRefused(f"{shown(value)} is no object", place=place)
    _check_free(value, place)
    return value


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputRefused(f"{shown(value)} is no list", place=place)
    _check_free(value, place)
    return value


def _anything(value: Any, place: str) -> Any:
    _check_free(value, place)
    return value


def _check_free(value: Any, place: str) -> None:
    """What may stand in a Struct: any JSON, but numbers as far as a double goes, and text that is text."""
    if isinstance(value, str):
        if not value.isascii():
            _check_text(value, place)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not key.isascii():
                _check_text(key, place)
            _check_free(item, f"{place}.{key}")
    elif isinstance(value, list):
        for item in value:
            _check_free(item, place)
    elif isinstance(value, int | float) and not -_DOUBLE_MAX <= value <= _DOUBLE_MAX:
        raise InputRefused(f"{shown(value)} is no finite number", place=place)


def _any(value: Any, place: str) -> dict[str, Any]:
    found = _struct(value, place)
    if found and not isinstance(found.get("@type"), str):
        raise InputRefused("names no type", place=f"{place}.@type")
    return found


def _empty(value: Any, place: str) -> dict[str, Any]:
    if value != {}:
        raise InputRefused(f"{shown(value)} is not empty", place=place)
    return {}


def read_boolean(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise InputRefused(f"{shown(value)} is no boolean", place=place)
    return value


WELL_KNOWN: dict[str, Callable[[Any, str], Any]] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.FieldMask": _mask,
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _anything,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Any": _any,
    "google.protobuf.Empty": _empty,
    "google.protobuf.DoubleValue": read_number,
    "google.protobuf.FloatValue": read_number,
    "google.protobuf.Int64Value": lambda value, place: str(read_integer(value, RANGES[_INT64], place)),
    "google.protobuf.UInt64Value": lambda value, place: str(read_integer(value, RANGES[_UINT64], place)),
    "google.protobuf.Int32Value": lambda value, place: read_integer(value, RANGES[_INT32], place),
    "google.protobuf.UInt32Value": lambda value, place: read_integer(value, RANGES[_UINT32], place),
    "google.protobuf.BoolValue": read_boolean,
    "google.protobuf.StringValue": read_string,
    "google.protobuf.BytesValue": read_bytes,
}
