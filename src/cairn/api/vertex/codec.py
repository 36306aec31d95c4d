"""Protobuf's JSON, in and out, by the API's description.

Everything inside is canonical: field names in camel case, enums by name, int64 as strings, times as RFC 3339, fields
at their default left out. REST is read by the descriptors alone, without building messages: a pipeline's spec of a
megabyte costs as little as reading its JSON. gRPC is read and written by protobuf's own json_format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from cairn.api.vertex.description import Method, Rule, descriptor, message_class, pool
from cairn.api.vertex.scalars import (
    RANGES,
    WELL_KNOWN,
    odd_number,
    read_bytes,
    read_integer,
    read_number,
    read_string,
    shown,
)
from cairn.errors import InputRefused

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

HTTP_BODY = "google.api.HttpBody"

# Of every Google API: how to answer, not what is asked.
_SYSTEM_PARAMETERS = frozenset(
    f"{sign}{name}"
    for sign in ("", "$")
    for name in ("alt", "key", "access_token", "oauth_token", "prettyPrint", "quotaUser", "userProject", "userIp",
                 "upload_protocol", "uploadType", "callback", ".xgafv")
)  # fmt: skip

# FieldDescriptor.cpp_type and .type; protobuf is imported when the first request comes.
_INT64, _UINT64, _DOUBLE, _FLOAT, _BOOL, _ENUM, _STRING = 2, 4, 5, 6, 7, 8, 9
_BYTES = 12
_NOTHING: Any = object()  # said nothing: null, or a default of a field without presence; a Value that is null says null


def parse(name: str, value: Any, place: str = "") -> dict[str, Any]:
    """The JSON of the message `name` (its full name) in canonical form. Unknown fields are refused.

    Raises InputRefused with the field's path as place.
    """
    found: dict[str, Any] = _message(descriptor(name), value, place)
    return found


def parse_request(
    method: Method,
    rule: Rule,
    *,
    variables: Mapping[str, str] | None = None,
    query: Sequence[tuple[str, str]] = (),
    body: Any = None,
) -> dict[str, Any]:
    """A REST request as its method's request message: `body` where the rule puts it, the rest from path and query.

    Raises InputRefused with the place.
    """
    request = descriptor(method.request)
    found: dict[str, Any] = {}
    if rule.body and rule.body != "*":
        field = _known(request, rule.body, "")
        if body not in (None, {}) or field.message_type is not None:
            value = _value(field, {} if body is None else body, field.json_name)
            if value is not _NOTHING:
                found[field.json_name] = value
    elif body not in (None, {}):
        found = _message(request, body, "")
    for path, values in _grouped(query).items():
        if path not in _SYSTEM_PARAMETERS:
            _put(found, request, path.split("."), values, path)
    for path, text in (variables or {}).items():
        _put(found, request, path.split("."), [text], path)
    return found


def from_message(name: str, data: bytes) -> dict[str, Any]:
    """A serialised message as canonical JSON. Raises InputRefused for bytes that are none."""
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.message import DecodeError

    message = message_class(name)()
    try:
        message.ParseFromString(data)
        found: dict[str, Any] = MessageToDict(message, descriptor_pool=pool())
    except (DecodeError, ValueError, TypeError) as error:
        raise InputRefused(f"is no {name}: {error}") from None
    return found


def to_message(name: str, value: Any) -> bytes:
    """A handler's answer, serialised. Raises InputRefused when it does not fit."""
    from google.protobuf.json_format import ParseDict, ParseError

    plain = msgspec.json.decode(encode(value))
    try:
        return ParseDict(plain, message_class(name)(), descriptor_pool=pool()).SerializeToString()
    except ParseError as error:
        raise InputRefused(f"does not fit {name}: {error}") from None


def encode(value: Any) -> bytes:
    """Canonical JSON, `msgspec.Raw` inside as it is. Numbers that JSON lacks become protobuf's words for them."""
    return msgspec.json.encode(value if not _has_oddities(value) else _worded(value))


# --- reading by the descriptors --------------------------------------------------------------------------------------


@cache
def fields_of(message: Descriptor) -> dict[str, FieldDescriptor]:
    """By both names."""
    return {name: field for field in message.fields for name in (field.name, field.json_name)}


@cache
def _enum(enum: EnumDescriptor) -> tuple[dict[str, str], dict[int, str]]:
    return {value.name: value.name for value in enum.values}, {value.number: value.name for value in enum.values}


@cache
def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


@cache
def _is_list(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated) and not is_map(field)


def _known(message: Descriptor, name: str, place: str) -> FieldDescriptor:
    field = fields_of(message).get(name)
    if field is None:
        raise InputRefused(f"{message.name} has no field {name!r}", place=_below(place, name))
    return field


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _message(message: Descriptor, value: Any, place: str) -> Any:
    reader = WELL_KNOWN.get(message.full_name)
    if reader is not None:
        return reader(value, place)
    if not isinstance(value, dict):
        raise InputRefused(f"{shown(value)} is no {message.name}", place=place or message.name)
    found: dict[str, Any] = {}
    chosen: dict[str, str] = {}
    for name, given in value.items():
        field = _known(message, name, place)
        here = _below(place, field.json_name)
        if field.json_name in found:
            raise InputRefused("is given twice", place=here)
        taken = _value(field, given, here)
        if taken is _NOTHING:
            continue
        if field.containing_oneof is not None:
            other = chosen.setdefault(field.containing_oneof.name, field.json_name)
            if other != field.json_name:
                raise InputRefused(f"excludes {other}: one of them can be set", place=here)
        found[field.json_name] = taken
    return found


def _value(field: FieldDescriptor, value: Any, place: str) -> Any:
    if value is None:
        return None if _takes_null(field) and not field.is_repeated else _NOTHING
    if is_map(field):
        return _map(field, value, place) or _NOTHING
    if _is_list(field):
        if not isinstance(value, list):
            raise InputRefused(f"{shown(value)} is no list", place=place)
        return [_item(field, item, f"{place}[{index}]") for index, item in enumerate(value)] or _NOTHING
    taken = _one(field, value, place)
    return taken if field.has_presence or not _is_zero(field, taken) else _NOTHING


@cache
def _takes_null(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == "google.protobuf.Value"


def _is_zero(field: FieldDescriptor, taken: Any) -> bool:
    if field.cpp_type == _ENUM:
        return bool(_enum(field.enum_type)[1].get(0) == taken)
    return not taken or (field.cpp_type in (_INT64, _UINT64) and taken == "0")


def _item(field: FieldDescriptor, value: Any, place: str) -> Any:
    if value is None and not _takes_null(field):
        raise InputRefused("null is no member of a list", place=place)
    return _one(field, value, place)


def _map(field: FieldDescriptor, value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputRefused(f"{shown(value)} is no object", place=place)
    kind = _entry(field)
    return {key: _item(kind, item, f"{place}[{key!r}]") for key, item in value.items()}


def _entry(field: FieldDescriptor) -> FieldDescriptor:
    """What a map's values are."""
    assert field.message_type is not None
    return field.message_type.fields_by_name["value"]


def _one(field: FieldDescriptor, value: Any, place: str) -> Any:
    kind = field.cpp_type
    if field.message_type is not None:
        return _message(field.message_type, value, place)
    if kind == _STRING:
        return read_bytes(value, place) if field.type == _BYTES else read_string(value, place)
    if kind == _BOOL:
        if not isinstance(value, bool):
            raise InputRefused(f"{shown(value)} is no boolean", place=place)
        return value
    if field.enum_type is not None:
        return _enum_name(field.enum_type, value, place)
    if kind in (_DOUBLE, _FLOAT):
        return read_number(value, place)
    number = read_integer(value, RANGES[kind], place)
    return str(number) if kind in (_INT64, _UINT64) else number


def _enum_name(enum: EnumDescriptor, value: Any, place: str) -> str:
    names, numbers = _enum(enum)
    if isinstance(value, str) and value in names:
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value, re.ASCII):  # of a query
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, bool) and isinstance(value, int) and value in numbers:
        return numbers[value]
    raise InputRefused(f"{shown(value)} is none of {', '.join(names)}", place=place)


# --- queries ---------------------------------------------------------------------------------------------------------


def _grouped(query: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in query:
        found.setdefault(name, []).append(value)
    return found


def _put(target: dict[str, Any], message: Descriptor, path: Sequence[str], texts: list[str], place: str) -> None:
    """Set a field of the request to what a query's parameter or a path's variable says."""
    field = _known(message, path[0], place.removesuffix(".".join(path)).rstrip("."))
    if len(path) > 1:
        if field.message_type is None or _is_list(field) or field.message_type.full_name in WELL_KNOWN:
            raise InputRefused(f"{field.json_name} has no fields", place=place)
        if is_map(field):
            taken = _read_text(_entry(field), texts[-1], place)
            target.setdefault(field.json_name, {})[".".join(path[1:])] = taken
            return
        _put(target.setdefault(field.json_name, {}), field.message_type, path[1:], texts, place)
        return
    if _is_list(field):
        target[field.json_name] = [_read_text(field, text, place) for text in texts]
        return
    if len(texts) > 1:
        raise InputRefused("is given more than once", place=place)
    if field.message_type is not None and field.message_type.full_name not in WELL_KNOWN:
        raise InputRefused("is a message: name its fields", place=place)
    taken = _value(field, _of_text(field, texts[0], place), place)
    if taken is not _NOTHING:
        target[field.json_name] = taken


def _read_text(field: FieldDescriptor, text: str, place: str) -> Any:
    return _one(field, _of_text(field, text, place), place)


def _of_text(field: FieldDescriptor, text: str, place: str) -> Any:
    name = field.message_type.full_name if field.message_type is not None else ""
    if field.cpp_type == _BOOL or name == "google.protobuf.BoolValue":
        if text.lower() not in ("true", "false"):
            raise InputRefused(f"{shown(text)} is no boolean", place=place)
        return text.lower() == "true"
    if name in ("google.protobuf.Struct", "google.protobuf.ListValue", "google.protobuf.Any"):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise InputRefused("is not JSON", place=place) from None
    return text


# --- writing ---------------------------------------------------------------------------------------------------------


def _has_oddities(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_oddities, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_oddities, value))
    return isinstance(value, float) and not math.isfinite(value)


def _worded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _worded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_worded(item) for item in value]
    return odd_number(value) if isinstance(value, float) and not math.isfinite(value) else value
