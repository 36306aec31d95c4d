"""page_size, sort_by and filter of every list."""

import json
from types import SimpleNamespace

import pytest

from cairn.api.kfp.lists import DEFAULT_PAGE, MAX_PAGE, list_query, orders_of
from cairn.errors import InputRefused
from cairn.filters.tree import And, Comparison, Membership, Order

NAMES = {"name": "display_name", "created_at": "create_time", "state": "state"}


def asked(**query):
    return SimpleNamespace(first=lambda name, default="": query.get(name, default))


def test_nothing_asked_is_the_first_page_of_all():
    found = list_query(asked(), NAMES)
    assert (found.where, found.orders, found.token, found.limit) == (None, (), "", DEFAULT_PAGE)


@pytest.mark.parametrize(("text", "limit"), [("0", DEFAULT_PAGE), ("7", 7), ("999999", MAX_PAGE)])
def test_page_sizes(text, limit):
    assert list_query(asked(page_size=text), NAMES).limit == limit


@pytest.mark.parametrize(
    ("text", "orders"),
    [
        ("", ()),
        ("created_at", (Order("create_time"),)),
        ("created_at asc", (Order("create_time"),)),
        ("created_at desc", (Order("create_time", descending=True),)),
        ("name, created_at DESC", (Order("display_name"), Order("create_time", descending=True))),
    ],
)
def test_orders(text, orders):
    assert orders_of(text, NAMES) == orders


@pytest.mark.parametrize("text", ["mood", "name up", "name asc desc", "name asc created_at"])
def test_orders_that_are_none(text):
    with pytest.raises(InputRefused) as refused:
        orders_of(text, NAMES)
    assert refused.value.place == "sort_by"


def test_filters_are_put_into_the_records_names_and_words():
    predicates = [
        {"operation": "EQUALS", "key": "name", "stringValue": "x"},
        {"operation": "IN", "key": "state", "stringValues": {"values": ["a", "b"]}},
    ]
    found = list_query(
        asked(filter=json.dumps({"predicates": predicates})),
        NAMES,
        words=lambda field, value: value.upper() if field == "state" else value,
    )
    assert found.where == And((Comparison(("display_name",), "=", "x"), Membership(("state",), ("A", "B"))))


def test_what_tells_a_list_from_another():
    same = list_query(asked(namespace="a"), NAMES, scope="runs").query
    assert same == list_query(asked(namespace="a", page_token="t", page_size="3"), NAMES, scope="runs").query
    for other in ({"namespace": "b"}, {"namespace": "a", "experiment_id": "e"}):
        assert list_query(asked(**other), NAMES, scope="runs").query != same
    assert list_query(asked(namespace="a"), NAMES, scope="pipelines").query != same
