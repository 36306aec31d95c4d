"""Holds a plain JSON value to a message of `schema`: unknown fields, wrong types and hostile names are refused.

What comes back has camelCase names, no unset (null) fields, enums by name, durations in seconds, numbers as numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from cairn.errors import SpecError
from cairn.spec.schema import ENUMS, MESSAGES

Read = Callable[[Any], Any]

MAX_NAME = 255
_DURATION = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,9}))?s$")
_INT_TEXT = re.compile(r"-?[0-9]{1,19}$")


class Bad(Exception):
    """Something is wrong at `path`, which grows from the inside out on the way up."""

    def __init__(self, message: str, *path: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = list(path)
        self.remedy = remedy

    def at(self, *names: str) -> Bad:
        self.path[:0] = names
        return self

    def refused(self, origin: str) -> SpecError:
        inside = joined(self.path)
        return SpecError(self.message, place=f"{origin}: {inside}" if inside else origin, remedy=self.remedy)


def joined(path: Iterable[str]) -> str:
    """`["root", "dag", "[0]"]` → `root.dag[0]`; control characters are shown, not printed."""
    text = ""
    for part in path:
        shown = part if part.isprintable() else repr(part)[1:-1]
        shown = shown if len(shown) <= 100 else shown[:97] + "…"
        text += shown if not text or shown.startswith("[") else f".{shown}"
    return text


def shown(value: Any) -> str:
    """A value for a message, shortened."""
    text = repr(value) if not isinstance(value, (dict, list)) else _shape(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _shape(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "a mapping of " + (", ".join(repr(key) for key in list(value)[:3]) or "nothing")


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or "" when nothing is near."""
    import difflib

    found = difflib.get_close_matches(name[:MAX_NAME], [*islice(known, 1000)], n=1, cutoff=0.6)
    return f" (did you mean {found[0]!r}?)" if found else ""


def check_name(name: str, what: str) -> None:
    """Names of tasks, components, parameters and artifacts become parts of paths; raises Bad for one that must not."""
    if not name:
        raise Bad(f"a {what} has the empty name; letters, digits, '-' and '_' make a name")
    if len(name) > MAX_NAME:
        raise Bad(f"the {what}'s name {name[:40]!r}… has {len(name)} characters; {MAX_NAME} are the most")
    if "/" in name or "\\" in name or ".." in name or name[0] == "." or not name.isprintable():
        raise Bad(f"the {what}'s name {name[:80]!r} will not do; letters, digits, '-', '_', '.' and ' ' are right")


def read(message: str, value: Any) -> dict[str, Any]:
    """`value` as a message of that name. Raises Bad."""
    result: dict[str, Any] = _reader_of(message)(value)
    return result


# What the keys of a map are called in messages, for maps whose keys are names that Cairn makes paths of.
_NAMED = {
    "ComponentSpec": "component",
    "PipelineTaskSpec": "task",
    "InputArtifact": "input artifact",
    "InputParameter": "input parameter",
    "OutputArtifact": "output artifact",
    "OutputParameter": "output parameter",
    "DagOutputArtifact": "output artifact",
    "DagOutputParameter": "output parameter",
    "TaskParameter": "input parameter",
    "TaskArtifact": "input artifact",
    "ExecutorSpec": "executor",
}

_readers: dict[str, Read] = {}


def _reader_of(type_: str) -> Read:
    reader = _readers.get(type_)
    if reader is None:
        reader = _readers[type_] = _make_reader(type_)
    return reader


def _make_reader(type_: str) -> Read:
    if type_ in _SCALARS:
        return _SCALARS[type_]
    if type_.startswith("["):
        return _list_reader(type_[1:-1])
    if type_.startswith("{"):
        return _map_reader(type_[1:-1])
    if type_.startswith("enum "):
        return _enum_reader(type_[5:])
    return _message_reader(type_)


def _message_reader(message: str) -> Read:
    fields: dict[str, tuple[str, str, str]] = {}  # spelling → (name, type, oneof)
    for name, declared in MESSAGES[message].items():
        type_, _, group = declared.partition(" @")
        fields[name] = fields[snake(name)] = (name, type_, group)

    def read_message(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Bad(f"{shown(value)} is given where a mapping ({message}) is wanted")
        found: dict[str, Any] = {}
        groups: dict[str, str] = {}
        for key, given in value.items():
            field = fields.get(key)
            if field is None:
                known = MESSAGES[message]
                raise Bad(f"{shown(key)} is not a field of {message}{nearest(key, known)}", remedy=_fields(known))
            name, type_, group = field
            if given is None and type_ != "value":
                continue
            if name in found:
                raise Bad(f"the field is given twice, as {name} and as {snake(name)}").at(name)
            if group:
                if group in groups:
                    raise Bad(f"only one of {groups[group]} and {name} can be given")
                groups[group] = name
            try:
                found[name] = (_readers.get(type_) or _reader_of(type_))(given)
            except Bad as bad:
                raise bad.at(key) from None
        return found

    return read_message


def _fields(known: Iterable[str]) -> str:
    return "its fields are " + ", ".join(sorted(known))


def _list_reader(type_: str) -> Read:
    inner: list[Read] = []

    def read_list(value: Any) -> list[Any]:
        if type(value) is not list:
            raise Bad(f"{shown(value)} is given where a list is wanted")
        if not inner:
            inner.append(_reader_of(type_))
        each, found = inner[0], []
        for index, item in enumerate(value):
            try:
                found.append(each(item))
            except Bad as bad:
                raise bad.at(f"[{index}]") from None
        return found

    return read_list


def _map_reader(type_: str) -> Read:
    what = _NAMED.get(type_, "")
    inner: list[Read] = []

    def read_map(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Bad(f"{shown(value)} is given where a mapping is wanted")
        if not inner:
            inner.append(_reader_of(type_))
        each, found = inner[0], {}
        for key, item in value.items():
            if what:
                check_name(key, what)
            try:
                found[key] = each(item)
            except Bad as bad:
                raise bad.at(key) from None
        return found

    return read_map


def _enum_reader(enum: str) -> Read:
    names = ENUMS[enum]

    def read_enum(value: Any) -> str:
        if isinstance(value, str) and value in names:
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value in range(len(names)):
            return names[int(value)]
        near = nearest(value, names) if isinstance(value, str) else ""
        raise Bad(f"{shown(value)} is no {enum}{near}; right are {', '.join(names[1:])}")

    return read_enum


def _string(value: Any) -> str:
    if type(value) is not str:
        raise Bad(f"{shown(value)} is given where text is wanted; quote it")
    if "\0" in value:
        raise Bad(f"{shown(value)} holds a NUL character, which no command, path or variable can")
    return value


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise Bad(f"{shown(value)} is given where true or false is wanted")
    return value


def _integer(bits: int) -> Read:
    def read_integer(value: Any) -> int:
        number = value
        if (isinstance(value, str) and _INT_TEXT.match(value)) or (isinstance(value, float) and value.is_integer()):
            number = int(value)
        if type(number) is not int:
            raise Bad(f"{shown(value)} is given where a whole number is wanted")
        if not -(1 << bits) <= number < 1 << bits:
            raise Bad(f"{shown(value)} is out of range; at most {(1 << bits) - 1} is right")
        return number

    return read_integer


def _double(value: Any) -> float:
    number = value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            number = None
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise Bad(f"{shown(value)} is given where a number is wanted")
    try:
        result = float(number)
    except OverflowError:
        result = float("inf")
    if result != result or result in (float("inf"), float("-inf")):
        raise Bad(f"{shown(value)} is not a finite number")
    return result


def _struct(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise Bad(f"{shown(value)} is given where a mapping is wanted")
    return value


def _duration(value: Any) -> float:
    if isinstance(value, str):
        found = _DURATION.match(value)
        if found:
            return float(value[:-1])
        if value.startswith("-") and _DURATION.match(value[1:]):
            raise Bad(f"{value!r} is a negative duration")
    raise Bad(f"{shown(value)} is no duration; seconds as '30s' or '0.5s' are right")


def _value(value: Any) -> Any:
    return value


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


_SCALARS: dict[str, Read] = {
    "string": _string,
    "bool": _bool,
    "int32": _integer(31),
    "int64": _integer(63),
    "double": _double,
    "struct": _struct,
    "value": _value,
    "duration": _duration,
}
