"""Reading nodes of a composed configuration: what each key may hold, and errors that name file, key and nearest key.

A table says of each key which fields it gives and how its value is read. null says nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from cairn.config.composing import Composed
from cairn.config.places import place_of
from cairn.domain.durations import RIGHT, seconds_of
from cairn.errors import ConfigurationError

MISSING = "???"  # how OmegaConf writes a value that is still to be given


class Place(msgspec.Struct, frozen=True):
    """A key of a composed configuration; as text with the file and line, or the override, that says it."""

    composed: Composed
    key: str = ""

    def at(self, key: object) -> Place:
        return Place(self.composed, f"{self.key}.{key}" if self.key else str(key))

    def __str__(self) -> str:
        """`conf/config.yaml:12: cairn.steps.train.cpu`"""
        for override in self.composed.configuration.overrides:
            if override.partition("=")[0].lstrip("+") == self.key:
                return f"{self.composed.primary}: {override}"
        return f"{place_of(self.composed.files, self.key) or self.composed.primary}: {self.key}"

    def bad(self, message: str, remedy: str = "") -> ConfigurationError:
        return ConfigurationError(message, place=str(self), remedy=remedy)


Read: TypeAlias = Callable[[Any, Place], Any]
Fields: TypeAlias = Callable[[Any, Place], dict[str, Any]]


def field(name: str, read: Read) -> Fields:
    """A key whose value, read so, is field `name`."""
    return lambda value, place: {name: read(value, place)}


def fields(value: Any, place: Place, table: Mapping[str, Fields], refused: Mapping[str, str] = {}) -> dict[str, Any]:
    """The fields that a mapping gives. `refused` are keys with the reason why they are none.

    Raises ConfigurationError: no mapping, an unknown key, a field that two keys give, a value that is missing.
    """
    found: dict[str, Any] = {}
    given: dict[str, str] = {}
    for key, inner in mapping(value, place).items():
        inside = place.at(key)
        if key in refused and inner is not None:
            raise inside.bad(f"is not honoured: {refused[key]}")
        if key not in table:
            if key in refused:
                continue
            raise place.bad(f"has no key {key!r}{nearest(key, table)}", remedy=f"its keys are {', '.join(table)}")
        if inner is None:
            continue
        for name, one in table[key](present(inner, inside), inside).items():
            if name in found and name != "warnings":
                raise inside.bad(f"says again what {place.at(given[name]).key} says", remedy="keep one of them")
            found[name] = (*found.get(name, ()), *one) if name == "warnings" else one
            given[name] = key
    return found


def present(value: Any, place: Place) -> Any:
    if value == MISSING:
        raise place.bad("has no value yet (???)", remedy=f"give {place.key}=VALUE")
    return value


def mapping(value: Any, place: Place) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise place.bad(f"{shown(value)} is given where a mapping is wanted")
    for key in value:
        if not isinstance(key, str):
            raise place.bad(f"its key {key!r} is no text", remedy="quote it")
    return value


def text(value: Any, place: Place) -> str:
    if not isinstance(value, str):
        raise place.bad(f"{shown(value)} is given where text is wanted", remedy="quote it")
    return value


def scalar_text(value: Any, place: Place) -> str:
    """Text, or a number or truth value as YAML writes it: what environment variables and labels are made of."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise place.bad(f"{shown(value)} is given where text is wanted", remedy="quote it")


def truth(value: Any, place: Place) -> bool:
    if not isinstance(value, bool):
        raise place.bad(f"{shown(value)} is given where true or false is wanted")
    return value


def whole(least: int) -> Read:
    def read(value: Any, place: Place) -> int:
        number = int(value) if isinstance(value, float) and value.is_integer() else value
        if isinstance(number, bool) or not isinstance(number, int):
            raise place.bad(f"{shown(value)} is given where a whole number is wanted")
        if number < least:
            raise place.bad(f"{number} is too small; {least} is the least")
        return number

    return read


def duration(value: Any, place: Place) -> float:
    """Seconds of a number of seconds, or of text such as 90s, 12h."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            return seconds_of(str(value))
        except ValueError:
            pass
    raise place.bad(f"{shown(value)} is no duration", remedy=RIGHT)


def whole_duration(value: Any, place: Place) -> int:
    seconds = duration(value, place)
    if seconds and seconds < 1:
        raise place.bad(f"{shown(value)} is less than a second")
    return int(seconds)


def quantity(value: Any, place: Place) -> str:
    """A number or a Kubernetes quantity, as written; whether it is one is checked where it is used."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise place.bad(f"{shown(value)} is no quantity", remedy="write 2, 500m or 16Gi")
    return str(value)


def choice(*names: str) -> Read:
    def read(value: Any, place: Place) -> str:
        if value not in names:
            near = nearest(value, names) if isinstance(value, str) else ""
            raise place.bad(f"{shown(value)} will not do{near}", remedy=f"one of {', '.join(names)} is right")
        return str(value)

    return read


def each(read: Read) -> Read:
    """A mapping whose values are read so."""

    def read_all(value: Any, place: Place) -> dict[str, Any]:
        return {
            key: read(present(inner, place.at(key)), place.at(key))
            for key, inner in mapping(value, place).items()
            if inner is not None
        }

    return read_all


def several(read: Read) -> Read:
    """A list, or one value for a list of one."""

    def read_all(value: Any, place: Place) -> tuple[Any, ...]:
        if not isinstance(value, list):
            return (read(value, place),)
        return tuple(read(present(one, place.at(index)), place.at(index)) for index, one in enumerate(value))

    return read_all


def nearest(name: object, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or ""."""
    found = difflib.get_close_matches(str(name)[:255], list(known), n=1, cutoff=0.6)
    return f" (did you mean {found[0]!r}?)" if found else ""


def shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    written = repr(value)
    return written if len(written) <= 60 else written[:57] + "…"
