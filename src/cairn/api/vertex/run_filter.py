"""Filters of lists of runs (pipeline jobs, jobs, training pipelines), in the records' terms
(`records/run_pages.COLUMNS`)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from cairn.errors import InputRefused
from cairn.filters.tree import And, Comparison, Filter, Membership, Not, Or
from cairn.filters.vertex import parse_filter

# aiplatform.v1 PipelineState and JobState by number, as some clients write them
_STATES = (
    "UNSPECIFIED", "QUEUED", "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLING", "CANCELLED", "PAUSED",
    "EXPIRED", "UPDATING", "PARTIALLY_SUCCEEDED",
)  # fmt: skip
_ABSENT = frozenset(("UNSPECIFIED", "QUEUED", "PAUSED", "EXPIRED", "UPDATING", "PARTIALLY_SUCCEEDED"))  # of no run ever


class RunFilter(msgspec.Struct, frozen=True):
    """`fields`: the API's names to the records' columns; `prefix`: what the API writes before a state; `constants`:
    fields that have the same text in every entry of the list."""

    fields: Mapping[str, str]
    prefix: str
    constants: Mapping[str, str] = {}

    def read(self, text: str) -> Filter | None:
        """Raises InputRefused with the offset of what is wrong."""
        found = parse_filter(text)
        return None if found is None else self._translated(found)

    def _translated(self, part: Filter) -> Filter:
        if isinstance(part, Not):
            return Not(self._translated(part.part))
        if isinstance(part, And):
            return And(tuple(map(self._translated, part.parts)))
        if isinstance(part, Or):
            return Or(tuple(map(self._translated, part.parts)))
        name = part.field[0]
        field = self.fields.get(name)
        if isinstance(part, Membership) or (field is None and name not in self.constants):
            raise InputRefused(
                f"there is no field {'.'.join(part.field)[:80]!r}",
                place=f"filter, offset {part.place}",
                remedy=f"fields: {', '.join((*self.fields, *self.constants))}",
            )
        if field is None:
            return _constant(part, self.constants[name])
        named = msgspec.structs.replace(part, field=(field, *part.field[1:]))
        if field == "state":
            return self._state(named)
        if field == "schedule":
            return msgspec.structs.replace(named, value=str(part.value).rpartition("/")[2])
        return named

    def _state(self, part: Comparison) -> Filter:
        word = str(part.value).removeprefix(self.prefix)
        if word.isdecimal() and int(word) < len(_STATES):
            word = _STATES[int(word)]
        if word not in _ABSENT:
            return msgspec.structs.replace(part, value=word)
        return _all(part.operator == "!=", part.place)


def _constant(part: Comparison, text: str) -> Filter:
    if part.operator not in ("=", "!=", ":"):
        raise InputRefused(
            f"{part.field[0]} is not compared with {part.operator}",
            place=f"filter, offset {part.place}",
            remedy="use =, != or :",
        )
    wanted = str(part.value)
    if part.wildcard:
        pattern = "".join(".*" if each == "*" else re.escape(each[-1]) for each in re.findall(r"\\.|.", wanted))
        equal = re.fullmatch(pattern, text, re.DOTALL) is not None
    else:
        equal = wanted in text or wanted == "*" if part.operator == ":" else wanted == text
    return _all(equal is (part.operator != "!="), part.place)


def _all(holds: bool, place: int) -> Filter:
    """Every entry, or none."""
    nothing = Comparison(("job_id",), "=", "", place=place)
    return Not(nothing) if holds else nothing
