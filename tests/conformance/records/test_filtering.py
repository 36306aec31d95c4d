"""A filter's SQL finds what a plain reading of the filter finds, in both databases."""

from __future__ import annotations

import os
import re
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn.errors import InputRefused
from cairn.filters.tree import And, Comparison, Filter, Membership, Not, Or, Order
from cairn.filters.vertex import parse_filter
from cairn.records import filtering
from cairn.records.connection import Connection
from cairn.records.encoding import encode_mapping
from cairn.records.paging import paging

COLUMNS = {
    "name": filtering.text("t.name"),
    "size": filtering.number("t.size"),
    "create_time": filtering.time("t.time"),
    "archived": filtering.flag("t.archived"),
    "state": filtering.words("t.state", {"DONE": ("good", "cached"), "BAD": ("bad",), "NEVER": ()}),
    "labels": filtering.labels("t.labels"),
    "tags": filtering.label_rows("t.n", "filtered_tags", "thing"),
    "metadata": filtering.metadata("t.metadata"),
}
TABLES = (
    """CREATE TEMPORARY TABLE filtered (n BIGINT PRIMARY KEY, name TEXT{}, size BIGINT, time BIGINT,
        archived BIGINT, state TEXT{}, labels TEXT{}, metadata TEXT{})""",
    "CREATE TEMPORARY TABLE filtered_tags (thing BIGINT, name TEXT{}, value TEXT{})",
)
INSTANTS = {
    "2026-01-01T00:00:00Z": 1767225600000000,
    "2026-01-01T02:00:00.000001+02:00": 1767225600000001,
    "1969-12-31": -86400000000,
}
WORDS = {"DONE": ("good", "cached"), "BAD": ("bad",), "NEVER": ()}

letters = st.text("aAb*?[_%\\'\"ü~", max_size=3)
small_maps = st.dictionaries(st.sampled_from(["k", 'q"u', "a.b", "ü"]), letters, max_size=2)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([1.5, 0.1, float("nan"), 10**30]),
    letters,
    st.just(["a"]),
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "name": letters,
            "size": st.integers(-2, 2),
            "create_time": st.sampled_from(list(INSTANTS.values())),
            "archived": st.booleans(),
            "state": st.sampled_from(["good", "cached", "bad", "other"]),
            "labels": small_maps,
            "tags": small_maps,
            "metadata": st.dictionaries(st.sampled_from(["k", 'q"u', "a.b"]), scalars, max_size=2),
        }
    ),
    max_size=6,
)
ORDERED = ["=", "!=", "<", "<=", ">", ">="]
keys = st.sampled_from([("k",), ('q"u',), ("a", "b"), ("ü",), ("none",)])


def compare(field: Any, operators: list[str], values: Any, wildcard: Any = None) -> Any:
    return st.builds(
        Comparison, field, st.sampled_from(operators), values, st.just(False) if wildcard is None else wildcard
    )


patterns = st.lists(st.sampled_from(["*", "\\*", "\\\\", "a", "b", "?", "[", "_", "%", "ü"]), max_size=4).map("".join)
leaves = st.one_of(
    compare(st.just(("name",)), [*ORDERED, ":"], letters),
    compare(st.just(("name",)), ["=", "!=", ":"], patterns, st.just(True)),
    compare(st.just(("size",)), ORDERED, st.one_of(st.integers(-2, 2), st.sampled_from(["1", "1.5", "-1e0", 10**25]))),
    compare(st.just(("create_time",)), ORDERED, st.sampled_from(list(INSTANTS))),
    compare(st.just(("archived",)), ["=", "!="], st.sampled_from(["true", "false", True])),
    compare(st.just(("state",)), ["=", "!="], st.sampled_from(list(WORDS))),
    st.builds(Membership, st.just(("state",)), st.lists(st.sampled_from(list(WORDS))).map(tuple)),
    st.builds(Membership, st.just(("name",)), st.lists(letters).map(tuple)),
    compare(st.sampled_from([("labels",), ("tags",)]), [":"], st.sampled_from(["k", 'q"u', "a.b", "*"])),
    compare(st.builds(lambda a, b: (a, *b), st.sampled_from(["labels", "tags"]), keys), [*ORDERED, ":"], letters),
    compare(st.builds(lambda b: ("labels", *b), keys), ["=", "!="], patterns, st.just(True)),
    compare(st.just(("metadata",)), [":"], st.sampled_from(["k", 'q"u', "a.b"])),
    compare(
        st.builds(lambda b: ("metadata", *b, "number_value"), keys),
        ORDERED,
        st.sampled_from([0, 1, "0.1", 1.5, "1e29", -1]),
    ),
    compare(st.builds(lambda b: ("metadata", *b, "string_value"), keys), [*ORDERED, ":"], letters),
    compare(st.builds(lambda b: ("metadata", *b, "bool_value"), keys), ["=", "!="], st.sampled_from(["true", "false"])),
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: Or(tuple(parts))),
    ),
    max_leaves=6,
)


def holds(filter_: Filter, row: dict[str, Any]) -> bool:
    """The plain reading."""
    if isinstance(filter_, Not):
        return not holds(filter_.part, row)
    if isinstance(filter_, And):
        return all(holds(part, row) for part in filter_.parts)
    if isinstance(filter_, Or):
        return any(holds(part, row) for part in filter_.parts)
    first, value = filter_.field[0], row[filter_.field[0]]
    if isinstance(filter_, Membership):
        if first == "state":
            return any(value in WORDS[str(one)] for one in filter_.values)
        return value in filter_.values
    operator, asked, key = filter_.operator, str(filter_.value), ".".join(filter_.field[1:])
    if first == "name":
        return compared(value, operator, asked, filter_.wildcard)
    if first == "size":
        return compared(value, operator, float(asked))
    if first == "create_time":
        return compared(value, operator, INSTANTS[asked])
    if first == "archived":
        return compared(value, operator, asked.lower() == "true")
    if first == "state":
        return (value in WORDS[asked]) is (operator == "=")
    if not key:
        return asked in value or (asked == "*" and first != "metadata" and bool(value))
    if first in ("labels", "tags"):
        if operator == ":":
            return key in value and (asked == "*" or value[key] == asked)
        return key in value and compared(value[key], operator, asked, filter_.wildcard)
    key, _, kind = key.rpartition(".")
    types = {"number_value": (int, float), "string_value": (str,), "bool_value": (bool,)}[kind]
    found = value.get(key)
    if key not in value or not isinstance(found, types) or (isinstance(found, bool) and kind != "bool_value"):
        return False
    if kind == "number_value":
        return found == found and compared(found, operator, float(asked))
    return compared(found, operator, asked if kind == "string_value" else asked == "true")


def compared(found: Any, operator: str, asked: Any, wildcard: bool = False) -> bool:
    if wildcard:
        parts = re.findall(r"\\.|[^\\]", asked)
        matches = re.fullmatch("".join(".*" if one == "*" else re.escape(one[-1]) for one in parts), found, re.DOTALL)
        return (matches is not None) is (operator != "!=")
    if operator == ":":
        return found != "" if asked == "*" else asked in found
    if isinstance(found, str):
        found, asked = found.encode(), asked.encode()
    return bool(
        {
            "=": found == asked,
            "!=": found != asked,
            "<": found < asked,
            "<=": found <= asked,
            ">": found > asked,
            ">=": found >= asked,
        }[operator]
    )


def _sortable(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def filled(connection: Connection, things: list[dict[str, Any]]) -> None:
    connection.run("DELETE FROM filtered")
    connection.run("DELETE FROM filtered_tags")
    for n, row in enumerate(things):
        values = [n, row["name"], row["size"], row["create_time"], int(row["archived"]), row["state"]]
        values += [encode_mapping(row["labels"]), encode_mapping(row["metadata"])]
        connection.run("INSERT INTO filtered VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        connection.many("INSERT INTO filtered_tags VALUES (?, ?, ?)", [(n, *pair) for pair in row["tags"].items()])


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def connection(request, tmp_path):
    if request.param == "sqlite":
        from cairn.records.sqlite import SqliteConnection

        found: Any = SqliteConnection(os.fspath(tmp_path / "filtered.db"))
    else:
        from cairn.records.postgres import PostgresConnection

        found = PostgresConnection(request.getfixturevalue("postgres_url"))
    with closing(found):
        for table in TABLES:
            found.run(table.replace("{}", ' COLLATE "C"' if request.param == "postgres" else ""))
        yield found


shared = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@shared
@given(rows, filters)
def test_the_database_finds_what_the_filter_says(connection, things, filter_):
    filled(connection, things)
    condition = filtering.compile_filter(filter_, COLUMNS, connection.dialect)
    sql = f"SELECT t.n FROM filtered t WHERE {condition.sql} ORDER BY t.n"
    found = [n for (n,) in connection.query(sql, condition.values)]
    assert found == [n for n, row in enumerate(things) if holds(filter_, row)]


@shared
@given(
    rows,
    st.lists(
        st.builds(Order, st.sampled_from(["name", "size", "create_time", "archived", "state"]), st.booleans()),
        max_size=3,
        unique_by=lambda order: order.field,
    ),
    st.integers(1, 3),
)
def test_pages_hold_every_row_once_and_in_order(connection, things, orders, size):
    filled(connection, things)
    pages = paging(orders, COLUMNS, "t.n")
    found: list[int] = []
    token = ""
    while True:
        after = pages.after(token)
        sql = f"SELECT t.n, {pages.select} FROM filtered t WHERE {after.sql} ORDER BY {pages.order} LIMIT ?"
        page = connection.query(sql, [*after.values, size])
        found += [row[0] for row in page]
        if len(page) < size:
            break
        token = pages.token(page[-1])
    descending = orders[-1].descending if orders else True
    wanted = sorted(range(len(things)), reverse=descending)
    for order in reversed(orders):
        wanted.sort(key=lambda n: _sortable(things[n][order.field]), reverse=order.descending)
    assert found == wanted


def test_a_token_of_another_list_is_refused(connection):
    token = paging([], COLUMNS, "t.n", query="one").token([3])
    for other in (paging([], COLUMNS, "t.n", query="two"), paging([Order("name")], COLUMNS, "t.n", query="one")):
        with pytest.raises(InputRefused):
            other.after(token)
    for damaged in ("x", "AAAA", "W10", token[:-3], "é"):
        with pytest.raises(InputRefused):
            paging([], COLUMNS, "t.n", query="one").after(damaged)


@pytest.mark.parametrize("value", [10**30, -(1 << 63), 1e300, 1.5, 3, "x", "", "a\x00b"])
@pytest.mark.parametrize("order", ["name", "size", "state"])
def test_a_token_with_another_value_is_refused_or_asked_for(connection, order, value):
    pages = paging([Order(order)], COLUMNS, "t.n")
    try:
        after = pages.after(pages.token([value, 3]))
    except InputRefused:
        return
    assert connection.query(f"SELECT t.n FROM filtered t WHERE {after.sql}", after.values) == []


def test_a_nul_in_one_thing_does_not_keep_the_others_from_being_found(connection):
    odd = {"a\x00": "\x00\x00", "b": "\\", "c": "\\u0000", "d": '\\"\x00"\\', "lr": 1.0, "e": "\x01"}
    plain = {"name": "", "size": 0, "create_time": 0, "archived": False, "state": "good", "tags": {}}
    filled(connection, [{**plain, "labels": {"x": "\x00"}, "metadata": odd}, {**plain, "labels": {}, "metadata": odd}])
    wanted = (
        Comparison(("metadata", "b", "string_value"), "=", "\\"),
        Comparison(("metadata", "c", "string_value"), "=", "\\u0000"),
        Comparison(("metadata", "lr", "number_value"), "=", 1),
        Comparison(("labels", "x"), ":", "*"),
    )
    for part in wanted:
        condition = filtering.compile_filter(part, COLUMNS, connection.dialect)
        found = connection.query(f"SELECT t.n FROM filtered t WHERE {condition.sql}", condition.values)
        assert (0,) in found, part


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing = 1", "no field 'nothing'"),
        ("name.x = 1", "no field 'name.x'"),
        ("a=1 OR size = big", "no field 'a'"),
        ("size = big", "not a number"),
        ("size = nan", "finite"),
        ("size = inf", "finite"),
        ('size = "1*"', "wildcard"),
        ("create_time > yesterday", "not a time"),
        ("archived > true", "only = and !="),
        ("archived = maybe", "neither true nor false"),
        ("state = GONE", "no value"),
        ("labels = x", "by key"),
        ("metadata.k > 1", "which type"),
        ("metadata = 1", "which type"),
        ("metadata.k.bool_value > true", "only = and !="),
        ("in_context(x)", "no field 'in_context'"),
        ("labels(x)", "several values"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_its_place(text, message):
    with pytest.raises(InputRefused, match=message) as refused:
        filtering.compile_filter(parse_filter(text), COLUMNS, "sqlite")
    assert refused.value.place.startswith("filter, offset ")


def test_an_ordering_by_what_has_no_order_is_refused():
    for field in ("labels", "metadata", "nothing"):
        with pytest.raises(InputRefused, match="order by"):
            paging([Order(field)], COLUMNS, "t.n")


NAMES = ["", "a", "A", "aa", "ab", "a?b", "a*b", "a[b]", "axb", "a_b", "a%b", "a\\b", "a'b", 'a"b', "äb", "b"]
PATTERNS = [
    "*",
    "a*",
    "*b",
    "a*b",
    "a?*",
    "a[b]*",
    "a_*",
    "a%*",
    "*a\\*b",
    "a\\\\*",
    "*\\**",
    "A*",
    "*'*",
    "ä*",
    "**b*",
]


def test_wildcards_stand_for_anything_and_all_else_for_itself(connection):
    row = {"size": 0, "create_time": 0, "archived": False, "state": "", "labels": {}, "tags": {}, "metadata": {}}
    things = [{**row, "name": name} for name in NAMES]
    filled(connection, things)
    for pattern in PATTERNS:
        for operator in ("=", "!=", ":"):
            filter_ = Comparison(("name",), operator, pattern, wildcard=True)
            condition = filtering.compile_filter(filter_, COLUMNS, connection.dialect)
            rows = connection.query(
                f"SELECT t.name FROM filtered t WHERE {condition.sql} ORDER BY t.n", condition.values
            )
            assert [name for (name,) in rows] == [one["name"] for one in things if holds(filter_, one)], filter_
