"""The filter language of Vertex AI as a tree."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.errors import InputRefused
from cairn.filters.tree import And, Comparison, Filter, Membership, Not, Or, Order
from cairn.filters.vertex import parse_filter, parse_order


def plain(found: Filter | None) -> object:
    """The tree as nested tuples, without places."""
    if isinstance(found, Comparison):
        value = f"~{found.value}" if found.wildcard else found.value
        return (".".join(found.field), found.operator, value)
    if isinstance(found, Membership):
        return (".".join(found.field), *found.values)
    if isinstance(found, Not):
        return ("not", plain(found.part))
    if isinstance(found, And | Or):
        return (type(found).__name__.lower(), *map(plain, found.parts))
    return found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('display_name="a b"', ("display_name", "=", "a b")),
        ("displayName = 'it\\'s'", ("display_name", "=", "it's")),
        ('a="x\\"y\\\\z"', ("a", "=", 'x"y\\z')),
        ("labels.myKey:*", ("labels.myKey", ":", "*")),
        ("labels:myKey", ("labels", ":", "myKey")),
        ('labels."a b" = c', ("labels.a b", "=", "c")),
        ("metadata.learningRate.numberValue > 1e-3", ("metadata.learningRate.number_value", ">", "1e-3")),
        ('metadata."field:1".string_value = x', ("metadata.field:1.string_value", "=", "x")),
        ("templateMetadata.version = 3", ("template_metadata.version", "=", "3")),
        ("update_time <= 2020-11-19T11:30:00-04:00", ("update_time", "<=", "2020-11-19T11:30:00-04:00")),
        ("schedule_name=projects/p/schedules/1", ("schedule_name", "=", "projects/p/schedules/1")),
        ('a="x*"', ("a", "=", "~x*")),
        ('a="x\\*"', ("a", "=", "x*")),
        ('a="*x\\*\\\\"', ("a", "=", "~*x\\*\\\\")),
        ('a<"x*"', ("a", "<", "x*")),
        ('in_context("projects/p/contexts/c")', ("in_context", "projects/p/contexts/c")),
        ("f(a, 'b')", ("f", "a", "b")),
        ("NOT a=1", ("not", ("a", "=", "1"))),
        ("-a=-1", ("not", ("a", "=", "-1"))),
        ("a=1 b=2", ("and", ("a", "=", "1"), ("b", "=", "2"))),
        ("a=1 AND b=2 OR c=3", ("and", ("a", "=", "1"), ("or", ("b", "=", "2"), ("c", "=", "3")))),
        ("(a=1 AND b=2)OR c=3", ("or", ("and", ("a", "=", "1"), ("b", "=", "2")), ("c", "=", "3"))),
        ("ORDER=1 AND ANDY=2", ("and", ("ORDER", "=", "1"), ("ANDY", "=", "2"))),
        ("a=OR", ("a", "=", "OR")),
        ("", None),
        (" \n\t", None),
    ],
)
def test_text_becomes_a_tree(text, wanted):
    assert plain(parse_filter(text)) == wanted


def test_a_comparison_knows_its_place():
    found = parse_filter("a=1 AND  bb=2")
    assert isinstance(found, And)
    assert [part.place for part in found.parts if isinstance(part, Comparison)] == [0, 9]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a", 1),
        ("a b", 2),
        ("a=", 2),
        ("=1", 0),
        ("a..b=1", 2),
        ("(a=1", 0),
        ("a=1 (b=2 OR", 11),
        ("a=1)", 3),
        ("a=1,b=2", 3),
        ('a="x', 2),
        ('a="x\\', 2),
        ("AND a=1", 0),
        ("a=1 OR", 6),
        ("a=1 AND", 7),
        ("NOT", 3),
        ("f(a", 3),
        ("f()", 2),
        ("f(a b)", 4),
        ("a='b'c=1", 5),
        ("a=(b OR c)", 2),
        ('a="*1*2*3*4*"', 2),
        ("a=\x00", 2),
        ("a='\ud800'", 3),
        ("(" * 40 + "a=1" + ")" * 40, 33),
        ("NOT " * 40 + "a=1", 33 * 4),
        ("-" * 40 + "a=1", 33),
        ("a=1 " * 251, 250 * 4),
    ],
)
def test_what_is_wrong_is_refused_with_its_offset(text, place):
    with pytest.raises(InputRefused) as refused:
        parse_filter(text)
    assert refused.value.place == f"filter, offset {place}"


def test_a_text_beyond_the_limit_is_refused():
    with pytest.raises(InputRefused, match="characters"):
        parse_filter("a=" + "1" * 20_000)


@settings(max_examples=400, deadline=2000)
@given(st.one_of(st.text(max_size=200), st.text("ab.:=<>!()\"'\\*- ANDORT,", max_size=300)))
def test_any_text_is_parsed_or_refused(text):
    for parse in (parse_filter, parse_order):
        with contextlib.suppress(InputRefused):
            parse(text)


@pytest.mark.parametrize(
    "unit", ["(", "a=1 ", "NOT ", "-", "a=1 OR ", '"', "\\", "a.", "f(a,", "a=*", 'a="*', " "], ids=repr
)
def test_long_texts_take_no_time(unit):
    started = time.monotonic()
    with pytest.raises(InputRefused):
        parse_filter((unit * 16_384)[:16_383] + ")")
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ()),
        ("createTime desc, display_name", (Order("create_time", True), Order("display_name"))),
        ("a ASC,b  DESC", (Order("a"), Order("b", True))),
    ],
)
def test_orderings(text, wanted):
    assert parse_order(text) == wanted


@pytest.mark.parametrize("text", ["a,", "a b c", "a down", ",", ",".join("abcdefghi"), "a\x00", "x" * 300])
def test_wrong_orderings_are_refused(text):
    with pytest.raises(InputRefused):
        parse_order(text)
