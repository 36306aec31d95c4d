"""Numbers, times and values as a person reads them."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from cairn.cli.output import one_line
from cairn.domain import durations
from cairn.domain.values import Spilled
from cairn.errors import InputRefused

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def duration(seconds: float) -> str:
    """0.31 s, 12 s, 1 m 05 s, 2 h 03 m."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} m"


def ago(then: int, now: int = 0) -> str:
    """A recorded time (microseconds) seen from now: "3 minutes ago"."""
    if not then:
        return ""
    seconds = max(0, ((now or time.time_ns() // 1000) - then) // 1_000_000)
    for size, name in ((604800, "week"), (86400, "day"), (3600, "hour"), (60, "minute")):
        count = seconds // size
        if count:
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now" if seconds < 5 else f"{seconds} seconds ago"


def moment(then: int) -> str:
    """A recorded time as local date and time, "" when not known."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(then / 1e6)) if then else ""


def size(count: int) -> str:
    """Bytes: 512 B, 1.5 KiB."""
    value = float(count)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


def parse_duration(text: str, option: str) -> int:
    """Seconds of "90", "15m", "12h", "30d". Raises InputRefused."""
    try:
        return int(durations.seconds_of(text))
    except ValueError:
        raise InputRefused(f"{text!r} is no duration", place=option, remedy=durations.RIGHT) from None


def value(found: Any, limit: int = 80) -> str:
    """A parameter's value in one line: text as it is, everything else as JSON."""
    if isinstance(found, Spilled):
        return f"({size(found.size)} in {found.uri})"
    text = found if isinstance(found, str) else msgspec.json.encode(found, enc_hook=str).decode()
    return one_line(text, limit)


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
