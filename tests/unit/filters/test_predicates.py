"""KFP's JSON predicates."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn.errors import InputRefused
from cairn.filters.predicates import parse_predicates
from cairn.filters.tree import And, Comparison, Membership

EQUAL = {"operation": "EQUALS", "key": "display_name", "string_value": "x"}


@pytest.mark.parametrize(
    ("predicate", "wanted"),
    [
        (EQUAL, Comparison(("display_name",), "=", "x")),
        ({"operation": 1, "key": "display_name", "stringValue": "x"}, Comparison(("display_name",), "=", "x")),
        ({"op": "NOT_EQUALS", "key": "k", "intValue": 3}, Comparison(("k",), "!=", 3)),
        ({"operation": 3, "key": "k", "long_value": "-4"}, Comparison(("k",), ">", -4)),
        ({"operation": 5, "key": "k", "longValue": 4}, Comparison(("k",), ">=", 4)),
        (
            {"operation": 6, "key": "created_at", "timestampValue": "2026-01-01T00:00:00Z"},
            Comparison(("created_at",), "<", "2026-01-01T00:00:00Z"),
        ),
        ({"operation": 7, "key": "k", "int_value": 1}, Comparison(("k",), "<=", 1)),
        ({"operation": "IN", "key": "k", "stringValues": {"values": ["a", "b"]}}, Membership(("k",), ("a", "b"))),
        ({"operation": 8, "key": "k", "long_values": {"values": ["1"]}}, Membership(("k",), (1,))),
        ({"operation": "IS_SUBSTRING", "key": "name", "stringValue": "a*"}, Comparison(("name",), ":", "a*")),
    ],
)
def test_predicates_become_a_tree(predicate, wanted):
    assert parse_predicates(json.dumps({"predicates": [predicate]})) == wanted


def test_all_predicates_hold():
    part = Comparison(("display_name",), "=", "x")
    assert parse_predicates(json.dumps({"predicates": [EQUAL, EQUAL]})) == And((part, part))


def test_a_url_encoded_filter_is_read():
    assert parse_predicates("%7B%22predicates%22%3A%20%5B%5D%7D") is None


@pytest.mark.parametrize("text", ["", " ", '{"predicates": []}'])
def test_no_predicates_are_no_filter(text):
    assert parse_predicates(text) is None


@pytest.mark.parametrize(
    ("predicate", "place"),
    [
        ("x", ""),
        ({**EQUAL, "operation": 4}, ".operation"),
        ({**EQUAL, "operation": 10}, ".operation"),
        ({**EQUAL, "operation": 0}, ".operation"),
        ({**EQUAL, "operation": True, "x": 1}, ".operation"),
        ({**EQUAL, "key": ""}, ".key"),
        ({**EQUAL, "int_value": 1}, ""),
        ({**EQUAL, "operation": "IN"}, ""),
        ({**EQUAL, "string_value": 1}, ".string_value"),
        ({**EQUAL, "string_value": "\x00"}, ".string_value"),
        ({"operation": 1, "key": "k", "int_value": "x"}, ".int_value"),
        ({"operation": 1, "key": "k", "long_value": str(1 << 64)}, ".long_value"),
        ({"operation": 8, "key": "k", "int_values": {"values": 1}}, ".int_values"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(predicate, place):
    with pytest.raises(InputRefused) as refused:
        parse_predicates(json.dumps({"predicates": [predicate]}))
    assert refused.value.place == f"filter.predicates[0]{place}"


@pytest.mark.parametrize("text", ["[", "[]", '{"predicates": 1}', "[" * 16_000, '"x"'])
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(InputRefused):
        parse_predicates(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_any_value_is_read_or_refused(value):
    for name in ("string_value", "int_value", "int_values", "operation", "key"):
        with contextlib.suppress(InputRefused):
            parse_predicates(json.dumps({"predicates": [{**EQUAL, name: value}]}))
