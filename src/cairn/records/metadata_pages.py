"""Lists of artifacts, executions and contexts, filtered, ordered and by page; apart from `metadata.py`, so that a run
does not pay for filters."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from cairn.domain.lineage import ExecutionState
from cairn.filters.tree import And, Comparison, Filter, Membership, Or, Scalar
from cairn.metadata.types import Noun, Search, StoreName
from cairn.records.connection import Connection, Row, chunks, padded
from cairn.records.filtering import (
    Column,
    Condition,
    Dialect,
    as_text,
    compile_filter,
    custom,
    labels,
    metadata,
    refused,
    text,
    text_condition,
    time,
    words,
)
from cairn.records.lineage import BY_URI
from cairn.records.paging import paging

_MAX_ARMS = 8
_TABLES: dict[Noun, str] = {"artifact": "artifacts a", "execution": "executions e", "context": "contexts c"}
_STATES: dict[Noun, dict[str, tuple[str, ...]]] = {
    "artifact": {"LIVE": ("LIVE",), "PENDING": ("PENDING",), "STATE_UNSPECIFIED": ("",)},
    "execution": {one or "STATE_UNSPECIFIED": (one,) for one in ExecutionState},
}


def columns(noun: Noun, store: StoreName) -> dict[str, Column]:
    """What aiplatform.v1 `ListArtifactsRequest.filter` names, and what else a thing of this kind has."""
    t = noun[0]
    found = {
        "name": custom(partial(_name, store, noun)),
        "display_name": text(f"{t}.display_name"),
        "description": text(f"{t}.description"),
        "schema_title": text(f"{t}.schema_title"),
        "create_time": time(f"{t}.create_time"),
        "update_time": time(f"{t}.update_time"),
        "labels": labels(f"{t}.labels"),
        "metadata": metadata(f"{t}.metadata"),
    }
    if noun == "context":
        found["parent_contexts"] = custom(partial(_related, store, "c.n", "context_parents", "child", "parent"))
        found["child_contexts"] = custom(partial(_related, store, "c.n", "context_parents", "parent", "child"))
        return found
    joined = "attributions" if noun == "artifact" else "associations"
    found["in_context"] = custom(partial(_related, store, f"{t}.n", joined, noun, "context"))
    found["state"] = words(f"{t}.state", _STATES[noun])
    if noun == "artifact":
        found["uri"] = custom(_uri)
    else:
        found["schema_version"] = text("e.schema_version")
    return found


def page(connection: Connection, noun: Noun, select: str, store: StoreName, search: Search) -> tuple[list[Row], str]:
    """Rows of `select`, and the next page's token. Raises InputRefused."""
    known = columns(noun, store)
    pages = paging(search.orders, known, f"{noun[0]}.n", query=f"{noun}\n{store}\n{search.text}")
    number = connection.one("SELECT n FROM metadata_stores WHERE project = ? AND location = ?", _place(store))
    arms = [compile_filter(arm, known, connection.dialect) for arm in _arms(search.where)]
    after = pages.after(search.token)
    if number is None:
        return [], ""
    first = select.count(",") + 2  # the place of the first column by which rows are ordered
    order = ", ".join(f"{first + at} {'DESC' if down else 'ASC'}" for at, (_, down) in enumerate(pages.parts))
    sql = " UNION ALL ".join(
        f"SELECT {select}, {pages.select} FROM {_TABLES[noun]} WHERE {noun[0]}.store = ? AND {arm.sql} AND {after.sql}"
        for arm in arms
    )
    values = [value for arm in arms for value in (*number, *arm.values, *after.values)]
    rows = connection.query(f"{sql} ORDER BY {order} LIMIT ?", [*values, search.limit + 1])
    token = pages.token(rows[search.limit - 1]) if len(rows) > search.limit else ""
    return [row[: -pages.width] for row in rows[: search.limit]], token


def _arms(where: Filter | None) -> list[Filter | None]:
    """A filter as one or several that exclude one another. Clients ask for one of several schemas; then the rows of
    each are read in their order by an index and merged, where one filter would read and sort, or look through, all."""
    parts = where.parts if isinstance(where, And) else (where,)
    for at, part in enumerate(parts):
        if isinstance(part, Or) and len(part.parts) <= _MAX_ARMS and all(map(_is_schema, part.parts)):
            rest = [one for other, one in enumerate(parts) if other != at and one is not None]
            found = {one.value: one for one in part.parts if isinstance(one, Comparison)}
            return [And((one, *rest)) for one in found.values()]
    return [where]


def _is_schema(part: Filter) -> bool:
    fits = isinstance(part, Comparison) and part.field == ("schema_title",) and part.operator == "="
    return fits and not (isinstance(part, Comparison) and part.wildcard)


def matching(connection: Connection, store: StoreName, ids: Collection[str], where: Filter) -> set[str]:
    condition = compile_filter(where, columns("artifact", store), connection.dialect)
    found: set[str] = set()
    for part in chunks(sorted(ids)):
        marks, values = padded(part)
        sql = (
            "SELECT a.id FROM artifacts a WHERE a.store = (SELECT n FROM metadata_stores WHERE project = ? "
            f"AND location = ?) AND a.id IN ({marks}) AND {condition.sql}"
        )
        found.update(id_ for (id_,) in connection.query(sql, [*_place(store), *values, *condition.values]))
    return found


def _place(store: StoreName) -> tuple[str, str]:
    return (store.project, store.location)


def _named(store: StoreName, noun: str, value: Scalar) -> str | None:
    """The id in a resource name of this store, or an id as it is; None for a name of somewhere else."""
    name = as_text(value)
    place, slash, id_ = name.rpartition("/")
    prefix = f"projects/{store.project}/locations/{store.location}/metadataStores/default/{noun}s"
    return id_ if not slash or place == prefix else None


def _name(store: StoreName, noun: Noun, part: Comparison | Membership, dialect: Dialect) -> Condition:
    if isinstance(part, Membership) or (part.operator not in ("=", "!=") and not part.wildcard):
        raise refused(part, "a name takes only = and !=")
    id_ = _named(store, noun, part.value)
    if id_ is None:
        return Condition("1 = 1" if part.operator == "!=" else "1 = 0", [])
    same = Comparison(part.field, part.operator, id_, part.wildcard, part.place)
    return text_condition(f"{noun[0]}.id", same, dialect)


def _related(
    store: StoreName,
    number: str,
    table: str,
    member: str,
    owner: str,
    part: Comparison | Membership,
    dialect: Dialect,  # noqa: ARG001
) -> Condition:
    """`in_context("…")`, `parent_contexts:"…"`: directly, not through others."""
    function = part.field == ("in_context",)
    fits = isinstance(part, Membership) if function else isinstance(part, Comparison) and part.operator in (":", "=")
    if not fits or len(part.field) > 1 or (isinstance(part, Comparison) and part.wildcard):
        form = 'in_context("NAME")' if function else f'{part.field[0]}:"NAME"'
        raise refused(part, f"this is not how {part.field[0]!r} is asked for", f"write {form}")
    values = part.values if isinstance(part, Membership) else (part.value,)
    ids = [id_ for id_ in (_named(store, "context", value) for value in values) if id_ is not None]
    if not ids:
        return Condition("1 = 0", [])
    # Nothing in it depends on the row outside: PostgreSQL would ask anew for each.
    inner = (
        f"SELECT j.{member} FROM {table} j JOIN contexts o ON o.n = j.{owner} "
        "JOIN metadata_stores s ON s.n = o.store "
        f"WHERE o.id IN ({','.join('?' * len(ids))}) AND s.project = ? AND s.location = ?"
    )
    return Condition(f"{number} IN ({inner})", [*ids, *_place(store)])


def _uri(part: Comparison | Membership, dialect: Dialect) -> Condition:
    if isinstance(part, Membership):
        raise refused(part, "'uri' cannot be one of several values")
    if part.operator == "=" and not part.wildcard:
        value = as_text(part.value)
        return Condition(f"a.n IN ({BY_URI})", [value, value])
    return text_condition("a.uri", part, dialect)
