"""KFP's list filters: a JSON object of predicates, all of which must hold.

Source: kubeflow/pipelines backend/api/v2beta1/filter.proto, and `kfp.Client.list_runs`, which documents it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import msgspec

from cairn.errors import InputRefused
from cairn.filters.tree import And, Comparison, Filter, Membership, Operator, Scalar
from cairn.filters.vertex import MAX_COMPARISONS, MAX_LENGTH, snake_case

_NAMES = {
    1: "EQUALS",
    2: "NOT_EQUALS",
    3: "GREATER_THAN",
    5: "GREATER_THAN_EQUALS",  # there is no 4
    6: "LESS_THAN",
    7: "LESS_THAN_EQUALS",
    8: "IN",
    9: "IS_SUBSTRING",
}
_OPERATORS: dict[str, Operator] = {
    "EQUALS": "=",
    "NOT_EQUALS": "!=",
    "GREATER_THAN": ">",
    "GREATER_THAN_EQUALS": ">=",
    "LESS_THAN": "<",
    "LESS_THAN_EQUALS": "<=",
    "IS_SUBSTRING": ":",
}
_SINGLE = ("int_value", "long_value", "string_value", "timestamp_value")
_LISTS = ("int_values", "long_values", "string_values")


def parse_predicates(text: str) -> Filter | None:
    """None for a blank text and for no predicates. Raises InputRefused with the place."""
    if not text.strip():
        return None
    if len(text) > MAX_LENGTH:
        raise InputRefused(f"it has more than {MAX_LENGTH} characters", place="filter")
    if text.lstrip().startswith("%"):
        text = unquote(text)  # "a url-encoded, JSON-serialized Filter", says the client's documentation
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InputRefused(f"it is not JSON: {error}", place="filter") from error
    predicates = found.get("predicates") if isinstance(found, dict) else None
    if not isinstance(predicates, list) or len(predicates) > MAX_COMPARISONS:
        raise InputRefused(f'{{"predicates": […]}} was expected, with up to {MAX_COMPARISONS}', place="filter")
    parts = tuple(_predicate(one, f"filter.predicates[{at}]") for at, one in enumerate(predicates))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else And(parts)


def _predicate(found: Any, place: str) -> Filter:
    if not isinstance(found, dict):
        raise InputRefused("an object was expected", place=place)
    members = {snake_case(name): value for name, value in found.items() if value is not None}
    name = _operation(members.get("operation", members.get("op")), place)
    key = members.get("key")
    if not isinstance(key, str) or not key or "\x00" in key:
        raise InputRefused("a key was expected", place=f"{place}.key")
    field = tuple(key.split("."))
    given = [member for member in (*_SINGLE, *_LISTS) if member in members]
    wanted = _LISTS if name == "IN" else _SINGLE
    if len(given) != 1 or given[0] not in wanted:
        raise InputRefused(f"{name} takes one of {', '.join(wanted)}", place=place)
    value = members[given[0]]
    if name == "IN":
        values = value.get("values") if isinstance(value, dict) else value
        if not isinstance(values, list) or len(values) > MAX_COMPARISONS:
            raise InputRefused(
                f'{{"values": […]}} was expected, with up to {MAX_COMPARISONS}', place=f"{place}.{given[0]}"
            )
        return Membership(field, tuple(_scalar(one, given[0], place) for one in values))
    return Comparison(field, _OPERATORS[name], _scalar(value, given[0], place))


def _operation(found: Any, place: str) -> str:
    """By name or by number."""
    if isinstance(found, int) and not isinstance(found, bool) and found in _NAMES:
        return _NAMES[found]
    if isinstance(found, str) and found in _NAMES.values():
        return found
    raise InputRefused(f"{str(found)[:40]!r} is not one of {', '.join(_NAMES.values())}", place=f"{place}.operation")


def _scalar(value: Any, member: str, place: str) -> Scalar:
    textual = member.startswith(("string", "timestamp"))
    if textual and isinstance(value, str) and "\x00" not in value:
        return value
    if not textual and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return value
    if not textual and isinstance(value, str) and value.lstrip("-").isascii() and value.lstrip("-").isdigit():
        return _scalar(int(value[:20]), member, place)  # protobuf JSON writes 64 bits as text
    raise InputRefused(f"{value!r:.60} does not fit", place=f"{place}.{member}")
