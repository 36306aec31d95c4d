"""Protobuf JSON, read field by field: as the API hands it on, and as people and the prebuilt components write it (names
in snake case, enumerations by number, integers as text). What is wrong is refused with its place."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from cairn.errors import InputRefused

E = TypeVar("E", bound=str)

_DURATION = re.compile(r"(-?[0-9]{1,12})(?:\.([0-9]{1,9}))?s")


class Fields:
    """The fields of one message. Those that nobody has asked for are refused by `done`."""

    def __init__(self, message: Any, place: str) -> None:
        if not isinstance(message, Mapping):
            raise InputRefused("an object was expected here", place=place)
        self.place = place
        # As protobuf's readers do, null is a field that is not set.
        self._given = {camel(str(name)): value for name, value in message.items() if value is not None}
        self._asked: set[str] = set()

    def at(self, name: str) -> str:
        return f"{self.place}.{name}"

    def refuse(self, message: str, name: str = "", remedy: str = "") -> InputRefused:
        return InputRefused(message, place=self.at(name) if name else self.place, remedy=remedy)

    def get(self, name: str) -> Any:
        """None when it is not set."""
        self._asked.add(name)
        return self._given.get(name)

    def text(self, name: str, *, required: bool = False) -> str:
        value = self.get(name)
        if value is None or value == "":
            if required:
                raise self.refuse("is required", name)
            return ""
        if not isinstance(value, str):
            raise self.refuse(f"{value!r} is no text", name)
        return value

    def number(self, name: str) -> float | None:
        value = self.get(name)
        return None if value is None else number(value, self.at(name))

    def integer(self, name: str) -> int | None:
        value = self.get(name)
        return None if value is None else integer(value, self.at(name))

    def flag(self, name: str) -> bool:
        value = self.get(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise self.refuse(f"{value!r} is neither true nor false", name)

    def list(self, name: str) -> Sequence[Any]:
        value = self.get(name)
        if value is None:
            return ()
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.refuse("a list was expected here", name)
        return value

    def message(self, name: str) -> Fields | None:
        value = self.get(name)
        return None if value is None else Fields(value, self.at(name))

    def one_of(self, *names: str) -> tuple[str, Fields] | None:
        """The one of them that is set. Raises InputRefused for two."""
        found = [(name, below) for name in names if (below := self.message(name)) is not None]
        if len(found) > 1:
            raise self.refuse(f"{found[0][0]} and {found[1][0]} cannot both be set")
        return found[0] if found else None

    def choice(self, name: str, numbered: Mapping[int, E]) -> E:
        """A value of an enumeration, by its name or number; the first one when it is not set."""
        value = self.get(name)
        if value is None:
            return next(iter(numbered.values()))
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value in numbered:
            return numbered[int(value)]
        for one in numbered.values():
            if value == one:
                return one
        raise self.refuse(f"{value!r} is none of {', '.join(numbered.values())}", name)

    def done(self) -> None:
        if unknown := sorted(self._given.keys() - self._asked):
            raise self.refuse(f"there is no field {unknown[0]!r}", remedy=f"there are {', '.join(sorted(self._asked))}")


def number(value: Any, place: str) -> float:
    """A finite one. Raises InputRefused."""
    try:
        found = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except ValueError:
        found = None
    if found is None:
        raise InputRefused(f"{value!r} is no number", place=place)
    if not math.isfinite(found):
        raise InputRefused(f"{value!r} is not finite", place=place)
    return found


def integer(value: Any, place: str) -> int:
    """Of 64 bits. Raises InputRefused."""
    if isinstance(value, str) and re.fullmatch("-?[0-9]{1,19}", value, re.ASCII):
        value = int(value)
    found = number(value, place)
    exact = value if isinstance(value, int) else int(found)
    if found != exact and not isinstance(value, int):
        raise InputRefused(f"{value!r} is no integer", place=place)
    if not -(1 << 63) <= exact < 1 << 63:
        raise InputRefused(f"{value!r} is no integer of 64 bits", place=place)
    return exact


def duration(value: Any, place: str) -> int:
    """Microseconds of "1.5s". Raises InputRefused, also for a negative one."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise InputRefused(f"{value!r} is no duration", place=place, remedy='write seconds with an s: "3.5s"')
    if value.startswith("-"):
        raise InputRefused("a duration is not negative", place=place)
    return int(found[1]) * 1_000_000 + int((found[2] or "").ljust(9, "0")) // 1000


def camel(name: str) -> str:
    """`min_value` → `minValue`."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)
