"""Canonical protobuf JSON → the wire, by the API's description.

protobuf's own json_format does the same 20 times slower, message by message; a page of a hundred jobs has tens of
thousands of them in its pipeline specs. A test holds the two to one another over every message of the API.
"""

from __future__ import annotations

import base64
import datetime
import math
import re
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from cairn.api.vertex.description import descriptor

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

Writer: TypeAlias = Callable[[Any], bytes]
"""Of one value, without its tag; a message's and a string's without its length."""

CACHED_BYTES = 32 * 1024 * 1024
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_UPPER = re.compile(r"[A-Z]")
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encoded(name: str, value: Any) -> bytes:
    """`value` as the message `name` (its full name). Raises ValueError, KeyError, TypeError for what does not fit:
    an answer of ours that is none is a defect."""
    return message_writer(descriptor(name))(value)


# --- numbers and text ------------------------------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    if 0 <= number < 0x80:
        return _ONE_BYTE[number]
    number &= 0xFFFFFFFFFFFFFFFF  # negative numbers are ten bytes
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


_ONE_BYTE = [bytes([number]) for number in range(0x80)]


def _measured(content: bytes) -> bytes:
    return _varint(len(content)) + content


def _integer(value: Any) -> bytes:
    return _varint(int(value))


def _zigzag(value: Any) -> bytes:
    number = int(value)
    return _varint(number * 2 if number >= 0 else -number * 2 - 1)


def _boolean(value: Any) -> bytes:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is no boolean")
    return b"\x01" if value else b"\x00"


def _number(value: Any) -> float:
    return _WORDS[value] if isinstance(value, str) and value in _WORDS else float(value)


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value.encode()


def _content(value: Any) -> bytes:
    text = value.replace("-", "+").replace("_", "/")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _packer(format_: str, number: Callable[[Any], Any]) -> Writer:
    pack = struct.Struct(format_).pack
    return lambda value: pack(number(value))


_SCALARS: dict[int, tuple[int, Writer]] = {  # FieldDescriptor.type → wire type, writer
    1: (_FIXED64, _packer("<d", _number)),
    2: (_FIXED32, _packer("<f", _number)),
    3: (_VARINT, _integer),
    4: (_VARINT, _integer),
    5: (_VARINT, _integer),
    6: (_FIXED64, _packer("<Q", int)),
    7: (_FIXED32, _packer("<I", int)),
    8: (_VARINT, _boolean),
    9: (_LENGTH, _text),
    12: (_LENGTH, _content),
    13: (_VARINT, _integer),
    15: (_FIXED32, _packer("<i", int)),
    16: (_FIXED64, _packer("<q", int)),
    17: (_VARINT, _zigzag),
    18: (_VARINT, _zigzag),
}
_ENUM, _MESSAGE = 14, 11


# --- messages --------------------------------------------------------------------------------------------------------


@cache
def message_writer(message: Descriptor) -> Writer:
    """The fields are looked up when the first value comes: messages contain themselves."""
    known = _WELL_KNOWN.get(message.full_name)
    if known is not None:
        return known
    fields: dict[str, Writer] = {}

    def write(value: Any) -> bytes:
        if isinstance(value, msgspec.Raw):
            value = msgspec.json.decode(value)
        if not fields:
            for field in message.fields:
                fields[field.json_name] = fields[field.name] = _field_writer(field)
        try:
            return b"".join([fields[name](one) for name, one in value.items() if one is not None or name in nulls])
        except KeyError as error:
            raise ValueError(f"{message.name} has no field or value {error}") from None

    nulls = {field.json_name for field in message.fields if _is_value(field)}
    return write


def _is_value(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return kind is not None and kind.full_name == "google.protobuf.Value" and not field.is_repeated


@cache
def _enum_writer(enum: EnumDescriptor) -> Writer:
    numbers = {value.name: _varint(value.number) for value in enum.values}
    return lambda value: numbers[value] if isinstance(value, str) else _varint(int(value))


def _one(field: FieldDescriptor) -> tuple[int, Writer]:
    """Wire type, and the writer of one value with its length."""
    if field.type == _MESSAGE:
        write = message_writer(field.message_type)
        return _LENGTH, lambda value: _measured(write(value))
    if field.type == _ENUM:
        return _VARINT, _enum_writer(field.enum_type)
    wire, scalar = _SCALARS[field.type]
    if wire == _LENGTH:
        return wire, lambda value: _measured(scalar(value))
    return wire, scalar


def _field_writer(field: FieldDescriptor) -> Writer:
    """With its tag; nothing for an empty list and a default that needs not be said."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _map_writer(field)
    wire, write = _one(field)
    tag = _varint(field.number << 3 | wire)
    if field.is_repeated:
        if wire != _LENGTH and field.is_packed:
            packed = _varint(field.number << 3 | _LENGTH)
            return lambda values: packed + _measured(b"".join(map(write, values))) if values else b""
        return lambda values: b"".join([tag + write(value) for value in values])
    if field.has_presence:
        return lambda value: tag + write(value)
    return lambda value: tag + write(value) if value else b""


def _map_writer(field: FieldDescriptor) -> Writer:
    assert field.message_type is not None
    key, item = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
    (key_wire, write_key), (item_wire, write_item) = _one(key), _one(item)
    tag = _varint(field.number << 3 | _LENGTH)
    key_tag, item_tag = _varint(1 << 3 | key_wire), _varint(2 << 3 | item_wire)
    of_boolean = key.type == 8

    def write(values: Any) -> bytes:
        parts = []
        for name, value in values.items():
            given = name == "true" if of_boolean else name
            parts.append(tag + _measured(key_tag + write_key(given) + item_tag + write_item(value)))
        return b"".join(parts)

    return write


# --- well-known types ------------------------------------------------------------------------------------------------


def _struct(value: Any) -> bytes:
    if isinstance(value, msgspec.Raw):
        return _cached_struct(bytes(value))
    return b"".join(
        [
            b"\x0a" + _measured(b"\x0a" + _measured(name.encode()) + b"\x12" + _measured(_value(one)))
            for name, one in value.items()
        ]
    )


def _list(value: Any) -> bytes:
    return b"".join([b"\x0a" + _measured(_value(one)) for one in value])


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return b"\x1a" + _measured(value.encode())
    if isinstance(value, dict):
        return b"\x2a" + _measured(_struct(value))
    if isinstance(value, bool):
        return b"\x20\x01" if value else b"\x20\x00"
    if value is None:
        return b"\x08\x00"
    if isinstance(value, list | tuple):
        return b"\x32" + _measured(_list(value))
    if isinstance(value, msgspec.Raw):
        return _value(msgspec.json.decode(value))
    return b"\x11" + _DOUBLE.pack(value)


_DOUBLE = struct.Struct("<d")


class _Structs:
    """Written ones of pipeline specs, by their JSON: the jobs of a pipeline have the same. Threads: any."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._known: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, content: bytes) -> bytes:
        with self._lock:
            found = self._known.get(content)
            if found is not None:
                self._known.move_to_end(content)
                return found
        written = _struct(msgspec.json.decode(content))
        with self._lock:
            if content not in self._known and len(content) + len(written) <= self._limit:
                self._known[content] = written
                self._held += len(content) + len(written)
            while self._held > self._limit:
                old, gone = self._known.popitem(last=False)
                self._held -= len(old) + len(gone)
        return written


_cached_struct = _Structs(CACHED_BYTES)


def _seconds_and_nanos(seconds: int, nanos: int) -> bytes:
    return (b"\x08" + _varint(seconds) if seconds else b"") + (b"\x10" + _varint(nanos) if nanos else b"")


def _timestamp(value: Any) -> bytes:
    moment = datetime.datetime.fromisoformat(value[:19])
    rest = value[19:]
    digits = ""
    if rest.startswith("."):
        digits = re.split(r"[Zz+-]", rest[1:])[0]
        rest = rest[1 + len(digits) :]
    zone = "+00:00" if rest in ("Z", "z") else rest
    offset = datetime.datetime.strptime(zone, "%z").utcoffset()
    assert offset is not None
    seconds = round((moment.replace(tzinfo=datetime.UTC) - _EPOCH - offset).total_seconds())
    return _seconds_and_nanos(seconds, int(digits.ljust(9, "0")) if digits else 0)


def _duration(value: Any) -> bytes:
    whole, _, digits = value.removesuffix("s").partition(".")
    sign = -1 if whole.startswith("-") else 1
    return _seconds_and_nanos(int(whole), sign * int(digits.ljust(9, "0")) if digits else 0)


def _mask(value: Any) -> bytes:
    paths = [_UPPER.sub(lambda found: "_" + found[0].lower(), path) for path in value.split(",") if path]
    return b"".join([b"\x0a" + _measured(path.encode()) for path in paths])


def _any(value: Mapping[str, Any]) -> bytes:
    if not value:
        return b""
    kind = value["@type"]
    name = kind.rpartition("/")[2]
    if name in _WELL_KNOWN and name != "google.protobuf.Empty":
        content = _WELL_KNOWN[name](value["value"])
    else:
        content = encoded(name, {key: one for key, one in value.items() if key != "@type"})
    return b"\x0a" + _measured(kind.encode()) + (b"\x12" + _measured(content) if content else b"")


def _wrapped(kind: int) -> Writer:
    wire, write = _SCALARS[kind]
    tag = _varint(1 << 3 | wire)
    if wire == _LENGTH:
        return lambda value: tag + _measured(write(value)) if value else b""
    return lambda value: tag + write(value) if value else b""


def _empty(_: Any) -> bytes:
    return b""


_WELL_KNOWN: dict[str, Writer] = {
    "google.protobuf.Any": _any,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Empty": _empty,
    "google.protobuf.FieldMask": _mask,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Struct": _struct,
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Value": _value,
    "google.protobuf.DoubleValue": _wrapped(1),
    "google.protobuf.FloatValue": _wrapped(2),
    "google.protobuf.Int64Value": _wrapped(3),
    "google.protobuf.UInt64Value": _wrapped(4),
    "google.protobuf.Int32Value": _wrapped(5),
    "google.protobuf.UInt32Value": _wrapped(13),
    "google.protobuf.BoolValue": _wrapped(8),
    "google.protobuf.StringValue": _wrapped(9),
    "google.protobuf.BytesValue": _wrapped(12),
}
