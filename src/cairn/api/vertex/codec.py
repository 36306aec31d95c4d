"""Protobuf's JSON, in and out, by the API's description.

Everything inside is canonical: field names in camel case, enums by name, int64 as strings, times as RFC 3339, fields
at their default left out. REST is read by the descriptors alone, without building messages: a pipeline's spec of a
megabyte costs as little as reading its JSON. gRPC is read and written by protobuf's own json_format.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from cairn.api.vertex.description import Method, Rule, descriptor, message_class, pool
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
_INT32, _INT64, _UINT32, _UINT64, _DOUBLE, _FLOAT, _BOOL, _ENUM, _STRING = range(1, 10)
_BYTES = 12
_RANGES = {
    _INT32: (-(2**31), 2**31 - 1),
    _INT64: (-(2**63), 2**63 - 1),
    _UINT32: (0, 2**32 - 1),
    _UINT64: (0, 2**64 - 1),
}
_TIMESTAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"-?\d{1,12}(\.\d{1,9})?s")
_SNAKE = re.compile(r"_([a-z0-9])")
_DOUBLE_MAX = sys.float_info.max
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


# --- masks -----------------------------------------------------------------------------------------------------------


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


def camel(name: str) -> str:
    return _SNAKE.sub(lambda found: found[1].upper(), name)


def _check_path(message: Descriptor | None, path: Sequence[str]) -> None:
    for index, part in enumerate(path):
        if message is None or message.full_name in _WELL_KNOWN:
            return
        field = _fields(message).get(part)
        if field is None:
            raise InputRefused(f"{message.name} has no field {part!r}", place=".".join(path[: index + 1]))
        if _is_map(field):
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


# --- reading by the descriptors --------------------------------------------------------------------------------------


@cache
def _fields(message: Descriptor) -> dict[str, FieldDescriptor]:
    """By both names."""
    return {name: field for field in message.fields for name in (field.name, field.json_name)}


@cache
def _enum(enum: EnumDescriptor) -> tuple[dict[str, str], dict[int, str]]:
    return {value.name: value.name for value in enum.values}, {value.number: value.name for value in enum.values}


@cache
def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


@cache
def _is_list(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated) and not _is_map(field)


def _known(message: Descriptor, name: str, place: str) -> FieldDescriptor:
    field = _fields(message).get(name)
    if field is None:
        raise InputRefused(f"{message.name} has no field {name!r}", place=_below(place, name))
    return field


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _message(message: Descriptor, value: Any, place: str) -> Any:
    reader = _WELL_KNOWN.get(message.full_name)
    if reader is not None:
        return reader(value, place)
    if not isinstance(value, dict):
        raise InputRefused(f"{_shown(value)} is no {message.name}", place=place or message.name)
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
    if _is_map(field):
        return _map(field, value, place) or _NOTHING
    if _is_list(field):
        if not isinstance(value, list):
            raise InputRefused(f"{_shown(value)} is no list", place=place)
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
        raise InputRefused(f"{_shown(value)} is no object", place=place)
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
        return _bytes(value, place) if field.type == _BYTES else _string(value, place)
    if kind == _BOOL:
        if not isinstance(value, bool):
            raise InputRefused(f"{_shown(value)} is no boolean", place=place)
        return value
    if field.enum_type is not None:
        return _enum_name(field.enum_type, value, place)
    if kind in (_DOUBLE, _FLOAT):
        return _number(value, place)
    number = _integer(value, _RANGES[kind], place)
    return str(number) if kind in (_INT64, _UINT64) else number


def _string(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise InputRefused(f"{_shown(value)} is no string", place=place)
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


def _bytes(value: Any, place: str) -> str:
    text = _string(value, place).replace("-", "+").replace("_", "/")
    try:
        return base64.b64encode(base64.b64decode(text + "=" * (-len(text) % 4), validate=True)).decode()
    except (binascii.Error, ValueError):
        raise InputRefused("is not base64", place=place) from None


def _integer(value: Any, bounds: tuple[int, int], place: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputRefused(f"{_shown(value)} is no whole number", place=place)
    if not bounds[0] <= value <= bounds[1]:
        raise InputRefused(f"{value} is out of range", place=place)
    return value


def _number(value: Any, place: str) -> float | int | str:
    if isinstance(value, str):
        if value in ("NaN", "Infinity", "-Infinity"):
            return value
        try:
            number = float(value)
        except ValueError:
            raise InputRefused(f"{_shown(value)} is no number", place=place) from None
        if math.isfinite(number) and value.strip() == value:
            return number
        raise InputRefused(f"{_shown(value)} is no number", place=place)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputRefused(f"{_shown(value)} is no number", place=place)
    return value if math.isfinite(value) else _odd_number(value)


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
    raise InputRefused(f"{_shown(value)} is none of {', '.join(names)}", place=place)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


# --- the well-known types --------------------------------------------------------------------------------------------


def _timestamp(value: Any, place: str) -> str:
    from datetime import datetime, timedelta

    found = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise InputRefused(f"{_shown(value)} is no time in RFC 3339: 2026-11-20T20:16:02.99Z is one", place=place)
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        if zone not in "Zz":
            offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:]))
            moment -= offset if zone[0] == "+" else -offset
    except (ValueError, OverflowError) as error:
        raise InputRefused(f"{value!r} is no time: {error}", place=place) from None
    digits = (fraction or ".").rstrip("0")[1:]
    shown = f".{digits.ljust(-(-len(digits) // 3) * 3, '0')}" if digits else ""
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}{shown}Z"


def _duration(value: Any, place: str) -> str:
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise InputRefused(f"{_shown(value)} is no duration: 3.5s is one", place=place)
    return value


def _mask(value: Any, place: str) -> str:
    return ",".join(camel(part.strip()) for part in _string(value, place).split(",") if part.strip())


def _struct(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputRefused(f"{_shown(value)} is no object", place=place)
    _check_free(value, place)
    return value


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputRefused(f"{_shown(value)} is no list", place=place)
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
        raise InputRefused(f"{_shown(value)} is no finite number", place=place)


def _any(value: Any, place: str) -> dict[str, Any]:
    found = _struct(value, place)
    if found and not isinstance(found.get("@type"), str):
        raise InputRefused("names no type", place=_below(place, "@type"))
    return found


def _empty(value: Any, place: str) -> dict[str, Any]:
    if value != {}:
        raise InputRefused(f"{_shown(value)} is not empty", place=place)
    return {}


def _boolean(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise InputRefused(f"{_shown(value)} is no boolean", place=place)
    return value


_WELL_KNOWN: dict[str, Callable[[Any, str], Any]] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.FieldMask": _mask,
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _anything,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Any": _any,
    "google.protobuf.Empty": _empty,
    "google.protobuf.DoubleValue": _number,
    "google.protobuf.FloatValue": _number,
    "google.protobuf.Int64Value": lambda value, place: str(_integer(value, _RANGES[_INT64], place)),
    "google.protobuf.UInt64Value": lambda value, place: str(_integer(value, _RANGES[_UINT64], place)),
    "google.protobuf.Int32Value": lambda value, place: _integer(value, _RANGES[_INT32], place),
    "google.protobuf.UInt32Value": lambda value, place: _integer(value, _RANGES[_UINT32], place),
    "google.protobuf.BoolValue": _boolean,
    "google.protobuf.StringValue": _string,
    "google.protobuf.BytesValue": _bytes,
}


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
        if field.message_type is None or _is_list(field) or field.message_type.full_name in _WELL_KNOWN:
            raise InputRefused(f"{field.json_name} has no fields", place=place)
        if _is_map(field):
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
    if field.message_type is not None and field.message_type.full_name not in _WELL_KNOWN:
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
            raise InputRefused(f"{_shown(text)} is no boolean", place=place)
        return text.lower() == "true"
    if name in ("google.protobuf.Struct", "google.protobuf.ListValue", "google.protobuf.Any"):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise InputRefused("is not JSON", place=place) from None
    return text


# --- writing ---------------------------------------------------------------------------------------------------------


def _odd_number(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


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
    return _odd_number(value) if isinstance(value, float) and not math.isfinite(value) else value
