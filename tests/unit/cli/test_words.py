import pytest

from cairn.cli import output, words
from cairn.domain.values import Spilled
from cairn.errors import InputRefused


def test_each_package_that_uv_installs_is_not_told(capsys):
    for line in ("Installed 2 packages in 3ms", " + certifi==2026.10.18", "+ idna==3.20", "Bytecode compiled"):
        output.note_building(line)
    assert capsys.readouterr().err == "Installed 2 packages in 3ms\nBytecode compiled\n"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.004, "0.00 s"), (0.314, "0.31 s"), (12.4, "12 s"), (65, "1 m 05 s"), (3599.9, "1 h 00 m"), (7380, "2 h 03 m")],
)
def test_durations(seconds, told):
    assert words.duration(seconds) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(1, "just now"), (42, "42 seconds ago"), (60, "1 minute ago"), (7200, "2 hours ago"), (86400 * 15, "2 weeks ago")],
)
def test_times_seen_from_now(seconds, told):
    now = 1_800_000_000_000_000
    assert words.ago(now - seconds * 1_000_000, now) == told


def test_a_time_in_the_future_is_now_and_an_unknown_one_is_nothing():
    assert words.ago(2_000_000, 1_000_000) == "just now"
    assert words.ago(0) == ""


@pytest.mark.parametrize(("count", "told"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB")])
def test_sizes(count, told):
    assert words.size(count) == told


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("15m", 900), ("1.5h", 5400), ("30d", 2_592_000), ("0s", 0)])
def test_durations_are_read(text, seconds):
    assert words.parse_duration(text, "--older-than") == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "-1d", "1y", "inf", "nan", "d"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(InputRefused) as refused:
        words.parse_duration(text, "--older-than")
    assert refused.value.place == "--older-than"


def test_values_in_one_line():
    assert words.value("two\nlines") == "two lines"
    assert words.value({"a": [1, None]}) == '{"a":[1,null]}'
    assert words.value("x" * 200, 10) == "x" * 9 + "…"
    assert "2.0 MiB" in words.value(Spilled("/x", "xxh3:0", 2 << 20))


def test_a_terminal_never_obeys_what_a_run_says():
    hostile = "a\x1b]0;title\x07b\x1b[2J\r\x9b31m"
    shown = output.clean(hostile)
    assert shown.isprintable()
    assert "\\x1b" in shown
    assert output.clean("kept\n\tas it is: é√") == "kept\n\tas it is: é√"
