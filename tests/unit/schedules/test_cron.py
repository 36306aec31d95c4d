"""Cron expressions as instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.errors import InputRefused
from cairn.schedules.cron import Cron, Interval, latest, parse_cron, parse_zone

SECOND = 1_000_000
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca", "UTC")


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * SECOND


def ticks(text: str, begin: str, end: str, **how) -> list[str]:
    """Local times with their offset, from begin to end."""
    cron = parse_cron(text, **how)
    assert isinstance(cron, Cron)
    found, moment = [], at(begin) - 1
    while (moment := cron.after(moment)) and moment <= at(end):
        found.append(datetime.fromtimestamp(moment // SECOND, cron.zone).isoformat())
    return found


@pytest.mark.parametrize(
    ("cron", "day", "expected"),
    [
        # the clock goes from 02:00 to 03:00
        ("TZ=Europe/Berlin 30 2 * * *", "2026-03-29", ["2026-03-29T03:00:00+02:00"]),
        ("TZ=Europe/Berlin 0,15,30 2 * * *", "2026-03-29", ["2026-03-29T03:00:00+02:00"]),
        ("TZ=Europe/Berlin 30 1,2,3 * * *", "2026-03-29",
         ["2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"]),
        ("TZ=Europe/Berlin 0 2,3 * * *", "2026-03-29", ["2026-03-29T03:00:00+02:00"]),
        # and from 03:00 back to 02:00
        ("TZ=Europe/Berlin 30 2 * * *", "2026-10-25", ["2026-10-25T02:30:00+02:00"]),
        ("TZ=Europe/Berlin 59 2 * * *", "2026-10-25", ["2026-10-25T02:59:00+02:00"]),
        ("TZ=Europe/Berlin 0 2,3 * * *", "2026-10-25", ["2026-10-25T02:00:00+02:00", "2026-10-25T03:00:00+01:00"]),
        ("CRON_TZ=America/New_York 30 2 * * *", "2026-03-08", ["2026-03-08T03:00:00-04:00"]),
        ("CRON_TZ=America/New_York 30 1 * * *", "2026-11-01", ["2026-11-01T01:30:00-04:00"]),
        # half an hour, from 02:00 to 02:30 and back
        ("TZ=Australia/Lord_Howe 15 2 * * *", "2026-10-04", ["2026-10-04T02:30:00+11:00"]),
        ("TZ=Australia/Lord_Howe 45 1 * * *", "2026-04-05", ["2026-04-05T01:45:00+11:00"]),
    ],
)  # fmt: skip
def test_a_time_of_the_day_comes_once_each_day(cron, day, expected):
    zone = cron.split()[0].partition("=")[2]
    begin = datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=parse_zone(zone))
    end = begin.replace(hour=23, minute=59, second=59)
    assert ticks(cron, begin.isoformat(), end.isoformat()) == expected


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("time", [(0, 0), (1, 45), (2, 15), (2, 30)])
def test_no_day_of_a_year_is_left_out_or_has_two(zone, time):
    hour, minute = time
    cron = parse_cron(f"TZ={zone} {minute} {hour} * * *")
    moment, days = at("2026-01-01T12:00:00+00:00"), []
    while (moment := cron.after(moment)) < at("2027-01-01T12:00:00+00:00"):
        days.append(datetime.fromtimestamp(moment // SECOND, cron.zone).date())
    assert len(days) == 365
    assert all(b - a == timedelta(days=1) for a, b in pairwise(days))


@pytest.mark.parametrize("zone", ZONES)
def test_every_quarter_of_an_hour_keeps_its_pace(zone):
    cron = parse_cron(f"TZ={zone} */15 * * * *")
    begin, end = at("2026-01-01T00:00:00+00:00"), at("2027-01-01T00:00:00+00:00")
    moment, found = begin - 1, []
    while (moment := cron.after(moment)) < end:
        found.append(moment)
    assert found == list(range(begin, end, 900 * SECOND))  # their offsets are multiples of a quarter


def test_an_hour_that_exists_twice_has_its_half_hours_twice():
    found = ticks("TZ=Europe/Berlin */30 * * * *", "2026-10-25T02:00:00+02:00", "2026-10-25T03:00:00+01:00")
    assert [one[11:] for one in found] == [
        "02:00:00+02:00", "02:30:00+02:00", "02:00:00+01:00", "02:30:00+01:00", "03:00:00+01:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("0 0 9 ? * 2-6", "0 9 * * TUE-SAT"),  # SUN is 0
        ("0 0/10 * * * ?", "*/10 * * * *"),
        ("0 0 9 1 1", "0 9 1 1 *"),  # the day of the week may be left out
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * SUN"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("TZ=Asia/Tokyo 0 0 9 * * *", "CRON_TZ=Asia/Tokyo 0 9 * * *"),
    ],
)
def test_what_kfps_controller_takes(text, same):
    begin, end = "2025-12-28T00:00:00+00:00", "2026-02-03T00:00:00+00:00"
    assert ticks(text, begin, end, dialect="robfig") == ticks(same, begin, end)


def test_six_fields_have_seconds_first():
    found = ticks("*/20 * * * * *", "2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00")
    assert [one[17:19] for one in found] == ["00", "20", "40", "00"]


@pytest.mark.parametrize(("text", "seconds"), [("@every 5m", 300), ("@every 1h30m10s", 5410), ("@every 100ms", 1)])
def test_every_so_often(text, seconds):
    assert parse_cron(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "", "* * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *",
        "5-1 * * * *", "a * * * *", "0 0 30 2 *", "0 0 31 4 *", "L * * * *", "L/2 * * * *", "@reboot", "@every",
        "@every x", "@every -5m", "TZ= 0 * * * *", "TZ=Mars/Base 0 * * * *", "TZ=/etc/passwd 0 * * * *", "TZ=UTC",
        "TZ=../UTC 0 * * * *", "0 0 * * 1,MON#9", "*" * 300, "٣ * * * *", "1.5 * * * *", "0 0 * * 2#", "0 0 * * #2",
        "0 0 L-3 * *",
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_the_place(text):
    with pytest.raises(InputRefused) as refused:
        parse_cron(text)
    assert refused.value.place == "cron"


@pytest.mark.parametrize("text", ["* * *", "* * * *", "60 * * * * *", "* 60 * * *", "@reboot", "* * * * * * *"])
def test_what_kfps_controller_does_not_take(text):
    with pytest.raises(InputRefused):
        parse_cron(text, "robfig")


EXPRESSION = st.tuples(
    st.sampled_from(["*", "*/7", "0", "30", "0,30", "5-20", "59", "*/15"]),
    st.sampled_from(["*", "*/6", "0", "1", "2", "3", "2,3", "1-3", "23"]),
    st.sampled_from(["*", "1", "28", "1-7", "*/10", "L"]),
    st.sampled_from(["*", "3", "10", "3,4,10,11", "JAN-MAR", "*/2"]),
    st.sampled_from(["*", "SUN", "0", "7", "MON-FRI", "5#2", "1,3"]),
).map(" ".join)
MOMENT = st.integers(1_577_836_800, 1_893_456_000).map(lambda second: datetime.fromtimestamp(second, UTC))


@settings(max_examples=300, deadline=None)
@given(expression=EXPRESSION, moment=MOMENT)
def test_in_utc_it_is_what_cronsim_says(expression, moment):
    reference = CronSim(expression, moment)
    found = parse_cron(expression)
    count = round(moment.timestamp()) * SECOND
    for _ in range(20):
        count = found.after(count)
        assert datetime.fromtimestamp(count // SECOND, UTC) == next(reference)


@settings(max_examples=100, deadline=None)
@given(expression=EXPRESSION, moment=MOMENT, zone=st.sampled_from(ZONES))
def test_in_a_zone_it_is_what_a_plain_reading_of_all_minutes_says(expression, moment, zone):
    """Of 4 days around a change of the offset or not: each matching local minute once, or each instant."""
    cron = parse_cron(f"TZ={zone} {expression}")
    changes = [datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 2, tzinfo=UTC), datetime(2026, 4, 3, tzinfo=UTC)]
    begin = changes[moment.day % 3] + timedelta(minutes=moment.minute)
    end = begin + timedelta(days=4)
    expected = set()
    instants = [begin + timedelta(minutes=n) for n in range(1, 4 * 1440)]
    walls = {instant: instant.astimezone(cron.zone) for instant in instants}
    if expression.split()[1] == "*":
        expected = {instant for instant, wall in walls.items() if _matches(expression, wall)}
    else:
        first: dict[datetime, datetime] = {}
        for instant, wall in walls.items():
            first.setdefault(wall.replace(tzinfo=None, fold=0), instant)
        wall = walls[instants[0]].replace(tzinfo=None)
        if walls[instants[0]].fold:
            return
        while wall <= walls[instants[-1]].replace(tzinfo=None):
            shown = wall
            while shown not in first:  # it does not exist
                shown += timedelta(minutes=1)
                if shown > walls[instants[-1]].replace(tzinfo=None):
                    break
            else:
                if _matches(expression, wall):
                    expected.add(first[shown])
            wall += timedelta(minutes=1)
    found, count = set(), round(begin.timestamp()) * SECOND
    while (count := cron.after(count)) and count < round(end.timestamp()) * SECOND:
        found.add(datetime.fromtimestamp(count // SECOND, UTC))
    assert found == expected


def _matches(expression: str, wall: datetime) -> bool:
    read = _read(expression)
    fits = wall.minute in read.minutes and wall.hour in read.hours and wall.month in read.months
    return fits and read.match_day(wall.date())


@lru_cache
def _read(expression: str) -> CronSim:
    return CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC))


def test_the_latest_of_many_is_found_at_once():
    for times in (parse_cron("* * * * * *"), parse_cron("TZ=Europe/Berlin 30 2 * * *"), Interval(7, 5 * SECOND)):
        first = times.after(1_000_000_000 * SECOND)
        now = 1_900_000_000 * SECOND + 500_000
        found = latest(times, first, now)
        assert found <= now < times.after(found)
        assert latest(times, first, first) == first


def test_an_interval_is_counted_from_its_anchor():
    times = Interval(60, 7 * SECOND)
    assert [times.after(7 * SECOND), times.after(67 * SECOND), times.after(0)] == [
        67 * SECOND,
        127 * SECOND,
        67 * SECOND,
    ]


def test_the_end_of_time_is_no_defect():
    assert parse_cron("0 0 29 2 *").after(at("2096-03-01T00:00:00+00:00")) == at("2104-02-29T00:00:00+00:00")
    assert parse_cron("TZ=Europe/Berlin 0 0 1 1 *").after(253_402_300_799 * SECOND) == 0
    assert parse_cron("0 0 1 1 *").after(9 * 10**18) == 0
