"""Lists of runs, by page, filtered and ordered; apart from `runs.py`, so that a run does not pay for filters."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cairn.domain.runs import Run, RunKind
from cairn.domain.states import RunState
from cairn.filters.tree import And, Comparison, Filter, Membership, Order
from cairn.records.connection import Connection, Row
from cairn.records.filtering import Column, Condition, compile_filter, custom, flag, label_rows, text, time, words
from cairn.records.paging import paging
from cairn.records.runs import READ_FIELDS, READ_FROM, read_row


def _sparse(sql: str) -> Column:
    """A text that most runs lack: said so that the index over those that have it is taken."""

    def condition(part: Comparison | Membership, dialect: str) -> Condition:
        inner = compile_filter(part, {part.field[0]: text(sql)}, dialect)
        if isinstance(part, Comparison) and part.operator == "=" and part.value not in ("", "*") and not part.wildcard:
            return Condition(f"({sql} <> '' AND {inner.sql})", inner.values)
        return inner

    return custom(condition)


COLUMNS: dict[str, Column] = {
    "uid": text("r.uid"),
    "job_id": text("r.job_id"),
    "display_name": text("r.display_name"),
    "pipeline_name": text("r.pipeline_name"),
    "state": words("r.state", {str(state): (str(state),) for state in RunState}),
    "create_time": time("r.create_time"),
    "start_time": time("r.start_time"),
    "end_time": time("r.end_time"),
    "update_time": time("r.update_time"),
    "schedule": _sparse("r.schedule"),
    "parent": _sparse("r.parent"),
    "experiment": _sparse("r.experiment"),
    "archived": flag("r.archived"),
    "labels": label_rows("r.n", "run_labels", "run"),
}


_FEW = frozenset({"display_name", "schedule", "parent", "experiment"})  # fields that few runs have the same of
_OPEN = frozenset(str(state) for state in RunState if not state.terminal)


def page(
    connection: Connection,
    *,
    projects: Collection[str] | None,
    location: str,
    where: Filter | None,
    orders: Sequence[Order],
    query: str,
    token: str,
    limit: int,
    kinds: Collection[RunKind],
) -> tuple[list[Run], str]:
    """Newest first unless `orders` says otherwise, and the token of the next page. Raises InputRefused."""
    newest_first = True
    if len(orders) == 1 and orders[0].field == "create_time" and not _bounds_creation(where):
        # Runs are recorded as they are created: their narrow key is the same order without an index of its own.
        newest_first, orders = orders[0].descending, ()
    elif not orders and _bounds_creation(where):
        orders = (Order("create_time", descending=True),)  # whose index gives both
    pages = paging(
        orders,
        COLUMNS,
        "r.n",
        newest_first=newest_first,
        query="\n".join((location, *sorted(projects or ("*",)), *sorted(kinds), query)),
    )
    behind = pages.after(token)
    rows: list[Row] = []
    # Each kind has an index that gives the order: of several, the first ones of each are merged.
    for each in [[kind] for kind in kinds] if len(kinds) > 1 and not orders and _narrows(kinds, where) else [kinds]:
        selection = _selection(connection, projects, location, where, each)
        sql = (
            f"SELECT {READ_FIELDS}, {pages.select} FROM {READ_FROM} "
            f"WHERE {selection.sql} AND {behind.sql} ORDER BY {pages.order} LIMIT ?"
        )
        rows += connection.query(sql, [*selection.values, *behind.values, limit + 1])
    if not orders:
        rows.sort(key=lambda row: row[-1], reverse=newest_first)
    more = pages.token(rows[limit - 1]) if len(rows) > limit else ""
    return [read_row(row) for row in rows[:limit]], more


def _bounds_creation(where: Filter | None) -> bool:
    parts = where.parts if isinstance(where, And) else (where,)
    return any(isinstance(part, Comparison) and part.field == ("create_time",) for part in parts)


def count(
    connection: Connection,
    *,
    projects: Collection[str] | None,
    location: str,
    where: Filter | None,
    kinds: Collection[RunKind],
) -> int:
    selection = _selection(connection, projects, location, where, kinds)
    return int(connection.query(f"SELECT count(*) FROM runs r WHERE {selection.sql}", selection.values)[0][0])


def _narrows(kinds: Collection[RunKind], where: Filter | None) -> bool:
    """Whether the kind is what to go by. Where it is not, a concatenation keeps the database from its index: that of
    one kind goes through all of that kind, which are most runs, or a thousand trials of which ten are wanted."""
    if where is None:
        return True
    parts = where.parts if isinstance(where, And) else (where,)
    return RunKind.PIPELINE not in kinds and not any(map(_is_of_few, parts))


def _is_of_few(part: Filter) -> bool:
    if not isinstance(part, Comparison) or part.operator != "=" or part.wildcard:
        return False
    return part.field[0] in _FEW or (part.field == ("state",) and part.value in _OPEN)


def _selection(
    connection: Connection,
    projects: Collection[str] | None,
    location: str,
    where: Filter | None,
    kinds: Collection[RunKind],
) -> Condition:
    parts = [compile_filter(where, COLUMNS, connection.dialect)]
    if kinds:
        column = "r.kind" if _narrows(kinds, where) else "r.kind || ''"
        parts.append(Condition(f"{column} IN ({','.join('?' * len(kinds))})", sorted(kinds)))
    stores, values = ["1 = 1"], list[object]()
    if projects is not None:
        stores.append(f"project IN ({','.join('?' * len(projects)) or 'NULL'})")
        values += sorted(projects)
    if location:
        stores.append("location = ?")
        values.append(location)
    numbers = [
        row[0] for row in connection.query(f"SELECT n FROM metadata_stores WHERE {' AND '.join(stores)}", values)
    ]
    # As numbers, so that one store's index gives the order as well.
    if len(numbers) == 1:
        parts.append(Condition("r.store = ?", numbers))
    elif values:
        parts.append(Condition(f"r.store IN ({','.join('?' * len(numbers)) or 'NULL'})", numbers))
    return Condition(" AND ".join(part.sql for part in parts), [value for part in parts for value in part.values])
