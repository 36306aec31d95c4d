"""Bodies, times and empty fields as KFP's JSON has them."""

import pytest

from cairn.api.kfp import messages
from cairn.api.kfp.messages import FLAG, INTEGER, MESSAGE, TEXT, WORD, filled, integer, message, micros, moment
from cairn.domain.runs import Failure
from cairn.errors import InputRefused

FIELDS = {"display_name": TEXT, "runtime_config": MESSAGE, "no_catchup": FLAG, "max_concurrency": INTEGER, "mode": WORD}


def test_both_namings_are_read():
    asked = {"displayName": "x", "runtime_config": {"parameters": {"camelCase": 1}}, "noCatchup": True, "mode": None}
    assert message(asked, FIELDS) == {
        "display_name": "x",
        "runtime_config": {"parameters": {"camelCase": 1}},
        "no_catchup": True,
    }


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ([], "body"),
        ({"colour": 1}, "colour"),
        ({"display_name": 1}, "display_name"),
        ({"display_name": True}, "display_name"),
        ({"runtimeConfig": "x"}, "runtime_config"),
        ({"no_catchup": 1}, "no_catchup"),
        ({"max_concurrency": True}, "max_concurrency"),
        ({"max_concurrency": 1.5}, "max_concurrency"),
        ({"mode": []}, "mode"),
    ],
)
def test_what_does_not_belong_there_is_refused_with_its_place(asked, place):
    with pytest.raises(InputRefused) as refused:
        message(asked, FIELDS)
    assert refused.value.place == place


def test_numbers_come_as_text_too():
    assert (integer("12", "x"), integer(12, "x"), integer("-1", "x")) == (12, 12, -1)
    for bad in ("", "1.5", "x", "9" * 30, "٣"):
        with pytest.raises(InputRefused):
            integer(bad, "x")


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_500_000, "1970-01-01T00:00:01.5Z"),
        (1_767_225_600_000_001, "2026-01-01T00:00:00.000001Z"),
    ],
)
def test_times_go_there_and_back(time, text):
    assert moment(time) == text
    assert micros(text, "x") == time


def test_times_with_a_zone_or_without_one():
    assert micros("2026-01-01T01:00:00+01:00", "x") == micros("2026-01-01T00:00:00", "x") == 1_767_225_600_000_000
    for bad in ("", "yesterday", "2026-13-01T00:00:00Z"):
        with pytest.raises(InputRefused):
            micros(bad, "x")


def test_empty_fields_are_left_out():
    found = {"a": "", "b": [], "c": {}, "d": None, "e": 0, "f": False, "g": "x", "h": {"i": ""}, "j": 1}
    assert filled(found) == {"g": "x", "h": {"i": ""}, "j": 1}


def test_a_failure_is_a_status():
    told = messages.rpc_status(Failure("broke", code=4, place="train", remedy="mend it"))
    assert told == {"code": 4, "message": "train: broke (mend it)", "details": []}
