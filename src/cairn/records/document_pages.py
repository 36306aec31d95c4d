"""Lists of documents, by page; apart from `documents.py`, so that a run does not pay for filters."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cairn.domain.documents import Document
from cairn.filters.tree import Filter, Order
from cairn.records.connection import Connection
from cairn.records.documents import FIELDS, read_rows
from cairn.records.filtering import (
    Column,
    Condition,
    compile_filter,
    flag,
    label_rows,
    member,
    number,
    text,
    text_member,
    time,
)
from cairn.records.paging import paging

COLUMNS: dict[str, Column] = {
    "id": text("d.id"),
    "name": text("d.request_id"),  # what is unique by its name has it for its request
    "display_name": text("d.display_name"),
    "state": text("d.state"),
    "owner": text("d.owner"),
    "create_time": time("d.create_time"),
    "update_time": time("d.update_time"),
    "labels": label_rows("d.n", "document_labels", "document"),
}


def columns(kind: str, dialect: str) -> dict[str, Column]:
    """What a document of a kind is filtered and ordered by; for some there is more than all of them have."""
    if kind == "tensorboard":
        return {**COLUMNS, "is_default": flag("CASE d.state WHEN 'DEFAULT' THEN 1 ELSE 0 END")}
    if kind == "tensorboard.time_series":
        plugin = text(text_member("d.body", ("plugin",), dialect))
        return {**COLUMNS, "value_type": text("d.state"), "plugin_name": plugin}
    if kind == "tensorboard.experiment":
        return {**COLUMNS, "source": text(text_member("d.body", ("source",), dialect))}
    if kind != "schedule":
        return COLUMNS
    start, end, following = (member("d.body", name, "BIGINT", dialect) for name in ("start", "end", "next_run_time"))
    return {
        **COLUMNS,
        "start_time": time(f"coalesce(nullif({start}, 0), d.create_time)"),
        "end_time": time(end),
        "next_run_time": time(f"CASE d.state WHEN 'ACTIVE' THEN {following} ELSE 0 END"),
        "create_pipeline_job_request": number("1"),
        "create_notebook_execution_job_request": number("0"),
        "experiment": text(text_member("d.body", ("submission", "experiment"), dialect)),
    }


def page(
    connection: Connection,
    kind: str,
    *,
    projects: Collection[str] | None,
    location: str,
    parent: str | None,
    where: Filter | None,
    orders: Sequence[Order],
    query: str,
    token: str,
    limit: int,
) -> tuple[list[Document], str]:
    """Newest first unless `orders` says otherwise, and the token of the next page. Raises InputRefused."""
    selection = _selection(connection, kind, projects, location, parent, where)
    place = "\n".join((kind, location, str(parent), *sorted(projects or ()), query))
    pages = paging(orders, columns(kind, connection.dialect), "d.n", query=place)
    behind = pages.after(token)
    sql = (
        f"SELECT {FIELDS}, {pages.select} FROM documents d JOIN metadata_stores s ON s.n = d.store "
        f"WHERE {selection.sql} AND {behind.sql} ORDER BY {pages.order} LIMIT ?"
    )
    rows = connection.query(sql, [*selection.values, *behind.values, limit + 1])
    more = pages.token(rows[limit - 1]) if len(rows) > limit else ""
    return read_rows(connection, [row[: -pages.width] for row in rows[:limit]]), more


def count(
    connection: Connection,
    kind: str,
    *,
    projects: Collection[str] | None,
    location: str,
    parent: str | None,
    where: Filter | None,
) -> int:
    selection = _selection(connection, kind, projects, location, parent, where)
    sql = f"SELECT count(*) FROM documents d JOIN metadata_stores s ON s.n = d.store WHERE {selection.sql}"
    return int(connection.query(sql, selection.values)[0][0])


def _selection(
    connection: Connection,
    kind: str,
    projects: Collection[str] | None,
    location: str,
    parent: str | None,
    where: Filter | None,
) -> Condition:
    parts = [
        Condition("d.kind = ?", [kind]),
        compile_filter(where, columns(kind, connection.dialect), connection.dialect),
    ]
    if projects is not None:
        marks = ",".join("?" * len(projects)) or "NULL"
        parts.append(Condition(f"s.project IN ({marks})", sorted(projects)))
    if location:
        parts.append(Condition("s.location = ?", [location]))
    if parent is not None:
        parts.append(Condition("d.parent = ?", [parent]))
    return Condition(" AND ".join(part.sql for part in parts), [value for part in parts for value in part.values])
