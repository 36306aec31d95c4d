"""What every list takes: page_size, page_token, sort_by, filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from cairn.api.http import Call
from cairn.errors import InputRefused
from cairn.filters.predicates import parse_predicates
from cairn.filters.tree import And, Comparison, Filter, Membership, Not, Or, Order, Scalar

DEFAULT_PAGE = 20
MAX_PAGE = 200

Words = Callable[[str, Scalar], Scalar]


class ListQuery(msgspec.Struct, frozen=True):
    where: Filter | None
    orders: tuple[Order, ...]
    query: str  # what tells this list from another
    token: str
    limit: int


def list_query(call: Call, names: Mapping[str, str], *, words: Words | None = None, scope: str = "") -> ListQuery:
    """`names`: what the API calls a field → what the records call it. `words`: (field of the records, value) → what the
    records have for the value. Raises InputRefused."""
    where = parse_predicates(call.first("filter"))
    namespace, experiment = call.first("namespace"), call.first("experiment_id")
    return ListQuery(
        _renamed(where, names, words or (lambda _field, value: value)) if where is not None else None,
        orders_of(call.first("sort_by"), names),
        "\n".join((scope, namespace, experiment, call.first("filter"))),
        call.first("page_token"),
        _page_size(call.first("page_size")),
    )


def orders_of(text: str, names: Mapping[str, str]) -> tuple[Order, ...]:
    """`created_at desc`; ascending where nothing is said. None: newest first."""
    orders = []
    for part in filter(None, (one.split() for one in text.split(","))):
        if len(part) > 2 or part[-1].lower() not in ("asc", "desc", part[0].lower()):
            raise InputRefused(f"{text[:80]!r} is no order", place="sort_by", remedy='write "created_at desc"')
        orders.append(Order(_known(part[0], names, "sort_by"), len(part) == 2 and part[1].lower() == "desc"))
    return tuple(orders)


def _page_size(text: str) -> int:
    if not text or text == "0":
        return DEFAULT_PAGE
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputRefused(f"{text[:40]!r} is no number of entries", place="page_size")
    return min(int(text), MAX_PAGE)


def _known(name: str, names: Mapping[str, str], place: str) -> str:
    found = names.get(name)
    if found is None:
        raise InputRefused(
            f"there is no field {name[:80]!r}", place=place, remedy=f"fields: {', '.join(sorted(names))}"
        )
    return found


def _renamed(part: Filter, names: Mapping[str, str], words: Words) -> Filter:
    if isinstance(part, Not):
        return Not(_renamed(part.part, names, words))
    if isinstance(part, And):
        return And(tuple(_renamed(one, names, words) for one in part.parts))
    if isinstance(part, Or):
        return Or(tuple(_renamed(one, names, words) for one in part.parts))
    field = _known(part.field[0], names, "filter")
    if isinstance(part, Membership):
        return Membership((field, *part.field[1:]), tuple(words(field, one) for one in part.values), part.place)
    return Comparison((field, *part.field[1:]), part.operator, words(field, part.value), part.wildcard, part.place)
