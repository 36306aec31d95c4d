"""Values held to a parameter's declared type: what KFP's driver accepts, with integers kept apart from doubles."""

from __future__ import annotations

import json

from cairn.domain.values import ParameterType, Value

RIGHT = {
    ParameterType.NUMBER_DOUBLE: "a number",
    ParameterType.NUMBER_INTEGER: "a whole number",
    ParameterType.STRING: "text",
    ParameterType.BOOLEAN: "true or false",
    ParameterType.LIST: "a list",
    ParameterType.STRUCT: "a mapping",
    ParameterType.TASK_FINAL_STATUS: "a mapping",
    ParameterType.TASK_CONFIG: "a mapping",
}
NUMBERS = (ParameterType.NUMBER_DOUBLE, ParameterType.NUMBER_INTEGER)
_MOST_EXACT = 2.0**53  # above it doubles are not all the integers, and were no integers before
_MOST_INTEGER = 2.0**63
STRUCTS = (ParameterType.STRUCT, ParameterType.TASK_FINAL_STATUS, ParameterType.TASK_CONFIG)


def coerce(value: Value, type_: ParameterType) -> Value:
    """`value` as one of `type_`. Raises ValueError when it is none; the message says what would be right.

    Text takes anything (its JSON), a double takes an integer, an integer takes a double without a fraction.
    """
    match type_:
        case ParameterType.STRING:
            return value if isinstance(value, str) else _text(value)
        case ParameterType.BOOLEAN:
            fits = isinstance(value, bool)
        case ParameterType.LIST:
            fits = isinstance(value, list)
        case ParameterType.NUMBER_DOUBLE:
            fits = isinstance(value, (int, float)) and not isinstance(value, bool)
            if fits:
                return _double(value)
        case ParameterType.NUMBER_INTEGER:
            if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_INTEGER:
                return int(value)
            fits = isinstance(value, int) and not isinstance(value, bool)
        case _:
            fits = isinstance(value, dict)
    if not fits:
        raise ValueError(f"{RIGHT[type_]} is wanted ({type_})")
    return value


def with_integers(value: Value) -> Value:
    """A list or mapping of a document, with integers where the author wrote them.

    The compiler passes constants through protobuf's Struct, which has doubles only: 3 is written as 3.0. A whole number
    becomes an integer again, except in a list of nothing but numbers of which one has a fraction: all were doubles.
    """
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _MOST_EXACT else value
    if isinstance(value, dict):
        return {key: with_integers(item) for key, item in value.items()}
    if isinstance(value, list):
        doubles = all(isinstance(item, float) for item in value)
        if doubles and not all(item.is_integer() for item in value):
            return value
        return [with_integers(item) for item in value]
    return value


def compatible(produced: ParameterType, wanted: ParameterType) -> bool:
    """Whether a value of type `produced` can be one of type `wanted`."""
    return (
        wanted is ParameterType.STRING
        or produced is wanted
        or (produced in NUMBERS and wanted in NUMBERS)
        or (produced in STRUCTS and wanted in STRUCTS)
    )


def _double(value: Value) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a number below 1.8e308 is wanted (NUMBER_DOUBLE)") from None


def _text(value: Value) -> str:
    """KFP's text of a number has no needless `.0`."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return json.dumps(value)
