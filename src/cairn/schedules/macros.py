"""What KFP's controller replaces in a recurring run's parameters: `[[ScheduledTime]]`, `[[ScheduledTime.2006-01-02]]`,
`[[CurrentTime]]`, `[[Index]]`, `[[RunUUID]]`.

Source: kubeflow/pipelines, backend/src/common/util/parameter_formatter.go; layouts as in Go's package time, in UTC.
What is none of these stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

_MACRO = re.compile(r"\[\[(.*?)\]\]")
_DEFAULT = "20060102150405"
# In Go's order: of those that begin alike the longer one first.
_LAYOUT = re.compile(
    r"January|Jan|Monday|Mon|MST|2006|002|-07:00:00|-070000|-07:00|-0700|-07|Z07:00|Z0700|Z07|[.,]0+(?!\d)|[.,]9+(?!\d)"
    r"|01|02|03|04|05|06|_2|15|PM|pm|1|2|3|4|5"
)
_PARTS: dict[str, Callable[[datetime], str]] = {
    "January": lambda t: t.strftime("%B"),
    "Jan": lambda t: t.strftime("%b"),
    "Monday": lambda t: t.strftime("%A"),
    "Mon": lambda t: t.strftime("%a"),
    "MST": lambda _: "UTC",
    "2006": lambda t: f"{t.year:04}",
    "06": lambda t: f"{t.year % 100:02}",
    "002": lambda t: t.strftime("%j"),
    "01": lambda t: f"{t.month:02}",
    "1": lambda t: str(t.month),
    "02": lambda t: f"{t.day:02}",
    "_2": lambda t: f"{t.day:2}",
    "2": lambda t: str(t.day),
    "15": lambda t: f"{t.hour:02}",
    "03": lambda t: f"{(t.hour + 11) % 12 + 1:02}",
    "3": lambda t: str((t.hour + 11) % 12 + 1),
    "04": lambda t: f"{t.minute:02}",
    "4": lambda t: str(t.minute),
    "05": lambda t: f"{t.second:02}",
    "5": lambda t: str(t.second),
    "PM": lambda t: "AM" if t.hour < 12 else "PM",
    "pm": lambda t: "am" if t.hour < 12 else "pm",
    "-07:00:00": lambda _: "+00:00:00",
    "-070000": lambda _: "+000000",
    "-07:00": lambda _: "+00:00",
    "-0700": lambda _: "+0000",
    "-07": lambda _: "+00",
    "Z07:00": lambda _: "Z",
    "Z0700": lambda _: "Z",
    "Z07": lambda _: "Z",
}


class Macros(msgspec.Struct, frozen=True):
    """What is known of one tick. `scheduled` and `current`: microseconds since the Unix epoch."""

    scheduled: int
    current: int
    index: int  # 1 for the first run of the schedule
    run_uid: str

    def fill(self, value: Any) -> Any:
        """`value` with the macros of its strings replaced, at any depth."""
        if isinstance(value, str):
            return _MACRO.sub(self._one, value) if "[[" in value else value
        if isinstance(value, dict):
            return {name: self.fill(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self.fill(member) for member in value]
        return value

    def _one(self, found: re.Match[str]) -> str:
        name, _, layout = found[1].partition(".")
        if name in ("ScheduledTime", "CurrentTime"):
            when = self.scheduled if name == "ScheduledTime" else self.current
            return go_time(when, layout if "." in found[1] else _DEFAULT)
        if found[1] == "Index":
            return str(self.index)
        return self.run_uid if found[1] == "RunUUID" else found[0]


def go_time(moment: int, layout: str) -> str:
    """A time in UTC, to the second, by a layout of Go's package time: `2006-01-02` gives 2026-11-21."""
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment // 1_000_000)

    def part(found: re.Match[str]) -> str:
        make = _PARTS.get(found[0])
        if make is not None:
            return make(time)
        return found[0] if "0" in found[0] else ""  # fractions of a second: there are none

    return _LAYOUT.sub(part, layout)
