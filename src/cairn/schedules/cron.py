"""Cron expressions as instants, across the changes of a time zone's offset.

An expression whose hours are all hours (`*/15 * * * *`) keeps its pace: each instant at which the local clock shows a
matching time, so an hour that exists twice has its ticks twice and one that does not exist has none. Every other one
names times of the day: each nominal local time is one tick, at its first occurrence where it exists twice, and at the
first instant after the gap where it does not exist (02:30 runs at 03:00; several times in one gap are one tick).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from cairn.errors import InputRefused
from cairn.schedules.types import Dialect

MAX_LENGTH = 256  # characters of an expression
SECOND = 1_000_000  # microseconds
_PREFIX = re.compile(r"(?:CRON_)?TZ=(\S*)\s*")
_DESCRIPTORS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LOOK = 12 * 3600  # seconds; no zone changes its offset twice within so short a time
_FIRST = 0  # seconds: nothing was due before 1970


class Cron:
    """The ticks of one expression. Threads: any."""

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        """`expression`: six fields, seconds first. Raises CronSimError."""
        self.expression = expression
        self.zone = zone
        hours = CronSim(expression, _wall(0)).hours
        self._paced = zone.key == "UTC" or len(hours) == 24

    def after(self, moment: int) -> int:
        """The first tick after a moment; 0 when there is none in fifty years."""
        second = max(_FIRST, moment // SECOND)
        try:
            found = self._next_paced(second) if self._paced else self._next_named(second)
        except (OverflowError, ValueError):  # beyond the year 9999
            return 0
        return found * SECOND

    def _next_paced(self, second: int) -> int:
        naive, offset = second + self._offset(second), self._offset(second)
        while True:
            following = next(CronSim(self.expression, _wall(naive)), None)
            if following is None:
                return 0
            instant = _count(following) - offset
            change = self._change(second, instant)
            if not change:
                return instant
            second, offset = change, self._offset(change)
            naive = second + offset - 1

    def _next_named(self, second: int) -> int:
        for wall in CronSim(self.expression, _wall(second + self._offset(second))):
            instant = self._instant(wall)
            if instant > second:  # else it is the second time that the clock shows it
                return instant
        return 0

    def _instant(self, wall: datetime) -> int:
        count = _count(wall)
        before = count - _seconds(wall.replace(tzinfo=self.zone, fold=0).utcoffset())
        if before + self._offset(before) == count:
            return before
        after = count - _seconds(wall.replace(tzinfo=self.zone, fold=1).utcoffset())
        return self._change(after, before) or before

    def _change(self, second: int, until: int) -> int:
        """The first second in (second, until] with another offset than `second` has; 0 when there is none."""
        offset = self._offset(second)
        while second < until:
            look = min(second + _LOOK, until)
            if self._offset(look) == offset:
                second = look
                continue
            while look - second > 1:
                middle = (second + look) // 2
                if self._offset(middle) == offset:
                    second = middle
                else:
                    look = middle
            return look
        return 0

    def _offset(self, second: int) -> int:
        if self.zone.key == "UTC":
            return 0
        return _seconds(datetime.fromtimestamp(second, self.zone).utcoffset())


class Interval:
    """A tick every so many seconds, counted from `anchor`, which is none itself."""

    def __init__(self, seconds: int, anchor: int) -> None:
        self.step = seconds * SECOND
        self.anchor = anchor

    def after(self, moment: int) -> int:
        """The first tick after a moment."""
        return self.anchor + max(1, (moment - self.anchor) // self.step + 1) * self.step


def latest(times: Cron | Interval, first: int, now: int) -> int:
    """The last tick that is not after `now`, given one: in some thirty steps, however many lie between."""
    low, high = first // SECOND, now // SECOND
    while low < high:
        middle = (low + high + 1) // 2
        following = times.after(middle * SECOND - 1)
        if following and following <= now:
            low = middle
        else:
            high = middle - 1
    return max(first, times.after(low * SECOND - 1))


@lru_cache(maxsize=1024)
def parse_cron(text: str, dialect: Dialect = "unix", time_zone: str = "") -> Cron | int:
    """An expression; of `@every DURATION`, the seconds. Raises InputRefused."""
    if len(text) > MAX_LENGTH:
        _refuse(text, f"is longer than {MAX_LENGTH} characters")
    prefix = _PREFIX.match(text.strip())
    body = text.strip()[prefix.end() if prefix else 0 :].strip()
    zone = parse_zone(prefix[1] if prefix else time_zone or "UTC")
    if body.startswith("@every "):
        return _every(text, body[7:].strip())
    if body.startswith("@"):
        if body not in _DESCRIPTORS:
            _refuse(text, f"{body.split()[0]} is not known", remedy=f"{', '.join(_DESCRIPTORS)}, @every DURATION")
        body = _DESCRIPTORS[body]
    fields = [re.sub(r"\?", "*", field) for field in body.split()]
    if len(fields) == 5:
        fields = [*fields, "*"] if dialect == "robfig" else ["0", *fields]
    if len(fields) != 6:
        seconds = "second " if dialect == "robfig" else ""
        _refuse(text, f"has {len(body.split())} fields", remedy=f"write {seconds}minute hour day month weekday")
    try:
        cron = Cron(" ".join(fields), zone)
    except (CronSimError, AssertionError, ValueError, TypeError) as error:
        why = str(error).removeprefix("Bad ")
        _refuse(text, f"has a wrong {why}" if why else "is not understood", remedy=f"read as: {' '.join(fields)}")
    if not cron.after(946_684_800 * SECOND):
        _refuse(text, "names a time that never comes")
    return cron


def caution(text: str, dialect: Dialect) -> str:
    """What a user of an expression should be told of how it is read; "" when there is nothing."""
    body = _PREFIX.sub("", text.strip(), count=1).split()
    if dialect == "robfig" and len(body) == 5 and not body[0].startswith("@"):
        return (
            f"the cron expression {text!r} has five fields: as by Kubeflow Pipelines, it is read as "
            "second minute hour day month, on every weekday"
        )
    return ""


def parse_zone(name: str) -> ZoneInfo:
    """Raises InputRefused for what is no zone of the IANA database."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputRefused(
            f"{name!r} is no time zone", place="cron", remedy="give a name of the IANA database: Europe/Berlin"
        ) from None


def _every(text: str, duration: str) -> int:
    parts = _DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        _refuse(text, f"{duration!r} is no duration", remedy="write 90s, 5m or 1h30m")
    return max(1, int(sum(float(number) * _UNITS[unit] for number, unit in parts)))


def _refuse(text: str, message: str, remedy: str = "") -> NoReturn:
    raise InputRefused(f"the cron expression {text[:80]!r} {message}", place="cron", remedy=remedy)


def _wall(count: int) -> datetime:
    """Seconds of a local clock as a date and time without a zone."""
    return datetime(1970, 1, 1) + timedelta(seconds=count)  # noqa: DTZ001


def _count(wall: datetime) -> int:
    return round(wall.replace(tzinfo=UTC).timestamp())


def _seconds(offset: timedelta | None) -> int:
    return round(offset.total_seconds()) if offset is not None else 0
