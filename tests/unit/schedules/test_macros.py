"""What KFP's controller replaces in parameters."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cairn.schedules.macros import Macros, go_time

WHEN = round(datetime(2026, 3, 5, 15, 4, 9, tzinfo=UTC).timestamp()) * 1_000_000
MACROS = Macros(WHEN, WHEN + 61_000_000, 7, "the-uid")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("[[ScheduledTime]]", "20260305150409"),
        ("[[CurrentTime]]", "20260305150510"),
        ("[[Index]]", "7"),
        ("[[RunUUID]]", "the-uid"),
        ("a [[ScheduledTime.2006-01-02]]/[[Index]]", "a 2026-03-05/7"),
        ("[[CurrentTime.15-04-05]]", "15-05-10"),
        ("[[ScheduledTime.]]", ""),
        ("[[Unknown]] [[", "[[Unknown]] [["),
        ("nothing", "nothing"),
    ],
)
def test_each_is_replaced(text, filled):
    assert MACROS.fill(text) == filled
    assert MACROS.fill({"a": [text, 1, None]}) == {"a": [filled, 1, None]}


@pytest.mark.parametrize(
    ("layout", "shown"),
    [
        ("2006-01-02T15:04:05Z07:00", "2026-03-05T15:04:09Z"),
        ("Mon Jan _2 15:04:05 2006", "Thu Mar  5 15:04:09 2026"),
        ("Monday, 02-Jan-06 15:04:05 MST", "Thursday, 05-Mar-26 15:04:09 UTC"),
        ("3:04PM", "3:04PM"),
        ("Jan 2 03:4:5pm -0700", "Mar 5 03:4:9pm +0000"),
        ("002", "064"),
        ("20060102", "20260305"),
        ("15:04:05.000", "15:04:09.000"),
        ("15:04:05.999", "15:04:09"),
    ],
)
def test_layouts_of_go(layout, shown):
    assert go_time(WHEN, layout) == shown
