"""Pages of a list in any order: a token says where the page before ended, so that a later page costs what the first
one did, and rows that come or go meanwhile move nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import xxhash

from cairn.errors import InputRefused
from cairn.filters.tree import Order
from cairn.records.filtering import Column, Condition


@dataclass(frozen=True, slots=True)
class Paging:
    """`select` goes last into SELECT, `order` behind ORDER BY; `token` is made of the last row's selected values."""

    parts: tuple[tuple[str, bool], ...]  # SQL, whether it descends; the last one is unique
    query: str  # what tells this list from another: a token of that one is refused
    textual: tuple[bool, ...]  # of each part, whether its values are texts; else they are numbers

    @property
    def select(self) -> str:
        return ", ".join(sql for sql, _ in self.parts)

    @property
    def order(self) -> str:
        return ", ".join(f"{sql} DESC" if descends else sql for sql, descends in self.parts)

    @property
    def width(self) -> int:
        """How many values `select` adds to a row."""
        return len(self.parts)

    def token(self, row: Sequence[Any]) -> str:
        """The page token that continues behind a row of this query."""
        content = msgspec.json.encode([self._digest(), *row[-self.width :]])
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    def after(self, token: str) -> Condition:
        """What lies behind a token; everything for "". Raises InputRefused."""
        if not token:
            return Condition("1 = 1", [])
        last = self._read(token)
        sql, values = "", list[Any]()
        for (column, descends), value in reversed(list(zip(self.parts, last, strict=True))):
            sign = "<" if descends else ">"
            if not sql:
                sql, values = f"{column} {sign} ?", [value]
            else:
                sql = f"({column} {sign}= ? AND ({column} {sign} ? OR {sql}))"
                values = [value, value, *values]
        return Condition(sql, values)

    def _read(self, token: str) -> list[Any]:
        try:
            found = msgspec.json.decode(
                base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), type=list[str | int | float]
            )
        except (binascii.Error, msgspec.MsgspecError, ValueError):
            found = []
        fits = len(found) == self.width + 1 and found[0] == self._digest() and isinstance(found[-1], int)
        if not fits or not all(map(_usable, found[1:], self.textual)):
            raise InputRefused("it belongs to another list", place="page_token", remedy="begin with the first page")
        return found[1:]

    def _digest(self) -> str:
        return xxhash.xxh3_64_hexdigest(f"{self.query}\n{self.order}".encode())


def _usable(value: str | int | float, textual: bool) -> bool:
    """Whether a database takes a token's value for what its column holds."""
    if isinstance(value, str):
        return textual and "\x00" not in value
    return not textual and abs(value) < 1 << 63


def paging(
    orders: Sequence[Order], columns: Mapping[str, Column], unique: str, *, query: str = "", newest_first: bool = True
) -> Paging:
    """`unique`: SQL of the row's narrow key, by which equal rows are told apart and which orders a list that asks for
    no order. Raises InputRefused."""
    parts: list[tuple[str, bool]] = []
    textual = []
    for order in orders:
        column = columns.get(order.field)
        if column is None or not column.sortable:
            known = ", ".join(sorted(name for name, one in columns.items() if one.sortable))
            raise InputRefused(
                f"{order.field[:80]!r} is not a field to order by", place="order_by", remedy=f"fields: {known}"
            )
        parts.append((column.sql, order.descending))
        textual.append(column.textual)
    last = parts[-1][1] if parts else newest_first
    return Paging((*parts, (unique, last)), query, (*textual, False))
