"""What is asked of a list of the API's things, by every service that has one."""

from __future__ import annotations

import msgspec

from cairn.filters.tree import Filter, Order


class Listing(msgspec.Struct, frozen=True):
    """Which ones, in what order, and which page of them. `projects` None: of all."""

    projects: frozenset[str] | None = None
    where: Filter | None = None
    orders: tuple[Order, ...] = ()
    query: str = ""  # what tells this list from another: page tokens of that one are refused
    token: str = ""
    limit: int = 20
