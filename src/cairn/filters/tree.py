"""What a filter says, as a tree. Parsers make it (`vertex.py`, `predicates.py`), the records turn it into SQL."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">=", ":"]
Scalar: TypeAlias = str | int | float | bool


class Comparison(msgspec.Struct, frozen=True):
    r"""`field op value`. `field` is a path in snake case: ("labels", "team"), ("metadata", "lr", "number_value").

    `value` of a parsed text is the text itself, quoted or not: what it is compared with decides its type. `:` means
    "has": the key or member is there, a repeated field holds the value, a string contains it; `field:*` has the value
    "*". Where `wildcard` is true, `value` is a pattern: `*` stands for anything, `\*` and `\\` for themselves.
    """

    field: tuple[str, ...]
    operator: Operator
    value: Scalar
    wildcard: bool = False
    place: int = 0  # offset in the filter's text


class Membership(msgspec.Struct, frozen=True):
    """`in_context("…")`, and the KFP predicate IN: `field` (the function's name) is one of `values`."""

    field: tuple[str, ...]
    values: tuple[Scalar, ...]
    place: int = 0


class Not(msgspec.Struct, frozen=True):
    part: Filter


class And(msgspec.Struct, frozen=True):
    parts: tuple[Filter, ...]


class Or(msgspec.Struct, frozen=True):
    parts: tuple[Filter, ...]


Filter: TypeAlias = "Comparison | Membership | Not | And | Or"


class Order(msgspec.Struct, frozen=True):
    """One part of `order_by`."""

    field: str  # in snake case
    descending: bool = False
