"""TensorBoard's points, and its documents where several are written at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cairn.domain.documents import Document
from cairn.errors import AlreadyExists, InputRefused, NotFound
from cairn.records import documents, runs
from cairn.records.connection import Connection, chunks

if TYPE_CHECKING:
    from collections.abc import Callable

    from cairn.filters.tree import Filter, Order
    from cairn.records.transaction import Writing
    from cairn.tensorboards.events import ValueKind
    from cairn.tensorboards.types import Point, PointValue, SeriesPoints, Totals, Where

_SERIES = "tensorboard.time_series"
_FIND = (
    "SELECT d.n, d.state FROM documents d JOIN metadata_stores s ON s.n = d.store "
    f"WHERE d.kind = '{_SERIES}' AND d.id = ? AND d.parent = ? AND s.project = ? AND s.location = ?"
)
_WRITE = (
    "INSERT INTO time_series_points (series, step, wall_time, value) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (series, step) DO UPDATE SET wall_time = excluded.wall_time, value = excluded.value"
)


class TimeSeriesRecords:
    """Implements `tensorboards.types.TensorboardRecords` but for what all documents have."""

    def _writing(self) -> Writing:
        raise NotImplementedError

    if TYPE_CHECKING:
        _read: Callable[..., Any]

    def create_documents(self, made: Sequence[Document], *, anew: bool = False, demoting: str = "") -> list[Document]:
        with self._writing() as writing:
            connection = writing.connection
            found = [documents.create(connection, one) for one in made]
            for one, given in zip(found, made, strict=True):
                if anew and one is not given:
                    where = f" in {one.parent!r}" if one.parent else ""
                    raise InputRefused(f"{one.display_name!r} already exists{where}", remedy="choose another name")
            if demoting and made:
                _demote(connection, made[0], demoting)
        return found

    def rename_document(self, document: Document, *, etag: str = "", demoting: str = "") -> Document:
        with self._writing() as writing:
            connection = writing.connection
            written = documents.replace(connection, document, etag)
            _rename(connection, document)
            if demoting:
                _demote(connection, document, demoting)
        return written

    def delete_tree(self, kinds: Sequence[str], place: Where, path: tuple[str, ...]) -> None:
        with self._writing() as writing:
            connection = writing.connection
            documents.delete(connection, kinds[0], path[-1], place.project, place.location, "/".join(path[:-1]))
            condition, values = _below(place, path)
            for kind in kinds[1:]:
                connection.run(f"DELETE FROM documents WHERE kind = ? AND {condition}", [kind, *values])

    def count_below(self, kind: str, place: Where, path: tuple[str, ...]) -> int:
        return int(self._read(_count_below, kind, place, path))

    def write_points(self, place: Where, series: Sequence[SeriesPoints]) -> None:
        with self._writing() as writing:
            for one in series:
                _write(writing.connection, place, one)

    def points(
        self, place: Where, path: tuple[str, ...], kind: ValueKind, *, most: int = 0, where: Filter | None = None
    ) -> list[Point]:
        found: list[Point] = self._read(_points, place, path, kind, most, where)
        return found

    def page_points(
        self,
        place: Where,
        path: tuple[str, ...],
        kind: ValueKind,
        *,
        where: Filter | None,
        orders: Sequence[Order],
        query: str,
        token: str,
        limit: int,
    ) -> tuple[list[Point], str]:
        found: tuple[list[Point], str] = self._read(_page, place, path, kind, where, orders, query, token, limit)
        return found

    def totals(self, place: Where, paths: Sequence[tuple[str, ...]]) -> list[Totals]:
        found: list[Totals] = self._read(_totals, place, paths)
        return found

    def bytes_below(self, place: Where, path: tuple[str, ...]) -> int:
        return int(self._read(_bytes_below, place, path))


def _rename(connection: Connection, document: Document) -> None:
    store = runs.store(connection, document.project, document.location)
    itself = (document.kind, store, document.id, document.parent)
    taken = connection.one(
        "SELECT 1 FROM documents WHERE kind = ? AND store = ? AND request_id = ? AND NOT (id = ? AND parent = ?)",
        (document.kind, store, document.request_id, document.id, document.parent),
    )
    if taken and document.request_id:
        raise AlreadyExists(f"{document.display_name!r} is taken", remedy="choose another name")
    connection.run(
        "UPDATE documents SET request_id = ? WHERE kind = ? AND store = ? AND id = ? AND parent = ?",
        (document.request_id, *itself),
    )


def _demote(connection: Connection, document: Document, state: str) -> None:
    store = runs.store(connection, document.project, document.location)
    connection.run(
        "UPDATE documents SET state = '' WHERE kind = ? AND store = ? AND state = ? AND NOT (id = ? AND parent = ?)",
        (document.kind, store, state, document.id, document.parent),
    )


def _below(place: Where, path: tuple[str, ...]) -> tuple[str, list[Any]]:
    """The documents below one: their parent is its path, or begins with that and a slash ('0' comes after '/')."""
    root = "/".join(path)
    store = "store = (SELECT n FROM metadata_stores WHERE project = ? AND location = ?)"
    return f"{store} AND (parent = ? OR (parent > ? AND parent < ?))", [
        place.project,
        place.location,
        root,
        f"{root}/",
        f"{root}0",
    ]


def _count_below(connection: Connection, kind: str, place: Where, path: tuple[str, ...]) -> int:
    condition, values = _below(place, path)
    [(count,)] = connection.query(f"SELECT count(*) FROM documents WHERE kind = ? AND {condition}", [kind, *values])
    return int(count)


def _bytes_below(connection: Connection, place: Where, path: tuple[str, ...]) -> int:
    condition, values = _below(place, path)
    sql = (
        "SELECT coalesce(sum(bytes), 0) FROM time_series WHERE document IN "
        f"(SELECT n FROM documents WHERE kind = ? AND {condition})"
    )
    [(size,)] = connection.query(sql, [_SERIES, *values])
    return int(size)


def _number(connection: Connection, place: Where, path: tuple[str, ...], kind: str) -> int:
    row = connection.one(_FIND, (path[-1], "/".join(path[:-1]), place.project, place.location))
    if row is None:
        raise NotFound(f"there is no time series {'/'.join(path)!r}")
    if row[1] != kind:
        raise InputRefused(f"the time series holds {row[1]} values, not {kind}", place="/".join(path))
    return int(row[0])


def _write(connection: Connection, place: Where, series: SeriesPoints) -> None:
    number = _number(connection, place, series.path, series.kind)
    points = {one.step: one for one in series.points}  # the last one of a step
    if not points:
        return
    row = connection.one(
        "SELECT points, bytes, max_step, max_wall_time, max_blobs FROM time_series WHERE document = ?", (number,)
    )
    count, size, step, wall_time, blobs = row or (0, 0, 0, 0, 0)
    replaced, freed = _replaced(connection, number, list(points)) if row else (0, 0)
    rows = [(number, one.step, one.wall_time, _text(one.value)) for one in points.values()]
    connection.many(_WRITE, rows)
    widest = max((len(one.value) for one in points.values() if isinstance(one.value, tuple)), default=0)
    totals = (
        count + len(rows) - replaced,
        size + sum(len(one[3]) for one in rows) - freed,
        max(*points, step) if row else max(points),
        max(wall_time, *(one.wall_time for one in points.values())),
        max(blobs, widest),
    )
    connection.run(
        "INSERT INTO time_series (document, points, bytes, max_step, max_wall_time, max_blobs) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (document) DO UPDATE SET points = excluded.points, "
        "bytes = excluded.bytes, max_step = excluded.max_step, max_wall_time = excluded.max_wall_time, "
        "max_blobs = excluded.max_blobs",
        (number, *totals),
    )


def _replaced(connection: Connection, number: int, steps: list[int]) -> tuple[int, int]:
    """How many of these steps have a point, and how long those are."""
    count = size = 0
    for part in chunks(steps, 500):
        marks = ",".join("?" * len(part))
        sql = f"SELECT count(*), coalesce(sum(length(value)), 0) FROM time_series_points WHERE series = ? AND step IN ({marks})"  # noqa: E501
        [(found, length)] = connection.query(sql, [number, *part])
        count, size = count + int(found), size + int(length)
    return count, size


def _condition(where: Filter | None, dialect: str) -> tuple[str, list[Any]]:
    from cairn.records.filtering import compile_filter  # filters, which no run needs

    found = compile_filter(where, _columns(), dialect)
    return found.sql, found.values


def _columns() -> dict[str, Any]:
    from cairn.records.filtering import number, time

    return {"step": number("p.step"), "wall_time": time("p.wall_time")}


def _points(
    connection: Connection, place: Where, path: tuple[str, ...], kind: ValueKind, most: int, where: Filter | None
) -> list[Point]:
    number = _number(connection, place, path, kind)
    condition, values = _condition(where, connection.dialect)
    inner = f"FROM time_series_points p WHERE p.series = ? AND {condition}"
    if most > 0:
        [(count,)] = connection.query(f"SELECT count(*) {inner}", [number, *values])
        if count > most:
            return _sampled(connection, inner, [number, *values], int(count), most, kind)
    rows = connection.query(f"SELECT p.step, p.wall_time, p.value {inner} ORDER BY p.step", [number, *values])
    return [_point(row, kind) for row in rows]


def _sampled(
    connection: Connection, inner: str, values: list[Any], count: int, most: int, kind: ValueKind
) -> list[Point]:
    """Row k of 0 … n-1 is taken where k·(m-1) passes another multiple of n-1: m rows, the first and the last too."""
    gaps, last = most - 1, count - 1
    picked = f"k * {gaps} - (k * {gaps}) / {last} * {last} < {gaps}" if most > 1 else f"k = {last}"
    sql = (
        "SELECT step, wall_time, value FROM (SELECT p.step, p.wall_time, p.value, "
        f"row_number() OVER (ORDER BY p.step) - 1 AS k {inner}) AS numbered WHERE {picked} ORDER BY step"
    )
    return [_point(row, kind) for row in connection.query(sql, values)]


def _page(
    connection: Connection,
    place: Where,
    path: tuple[str, ...],
    kind: ValueKind,
    where: Filter | None,
    orders: Sequence[Order],
    query: str,
    token: str,
    limit: int,
) -> tuple[list[Point], str]:
    from cairn.records.paging import paging

    number = _number(connection, place, path, kind)
    condition, values = _condition(where, connection.dialect)
    from cairn.filters.tree import Order as Ordering

    pages = paging(orders or (Ordering("step"),), _columns(), "p.step", query="\n".join(("points", *path, query)))
    behind = pages.after(token)
    sql = (
        f"SELECT p.step, p.wall_time, p.value, {pages.select} FROM time_series_points p "
        f"WHERE p.series = ? AND {condition} AND {behind.sql} ORDER BY {pages.order} LIMIT ?"
    )
    rows = connection.query(sql, [number, *values, *behind.values, limit + 1])
    more = pages.token(rows[limit - 1]) if len(rows) > limit else ""
    return [_point(row, kind) for row in rows[:limit]], more


def _totals(connection: Connection, place: Where, paths: Sequence[tuple[str, ...]]) -> list[Totals]:
    from cairn.tensorboards.types import Totals

    found = []
    for path in paths:
        row = connection.one(
            "SELECT t.points, t.bytes, t.max_step, t.max_wall_time, t.max_blobs FROM time_series t "
            f"WHERE t.document = (SELECT n FROM ({_FIND}) AS found)",
            (path[-1], "/".join(path[:-1]), place.project, place.location),
        )
        found.append(Totals(*row) if row else Totals())
    return found


def _text(value: PointValue) -> str:
    if isinstance(value, bytes):
        from base64 import b64encode  # every run imports this module, and none needs that

        return b64encode(value).decode()
    return ",".join(value) if isinstance(value, tuple) else repr(float(value))


def _point(row: Sequence[Any], kind: ValueKind) -> Point:
    from cairn.tensorboards.types import Point

    text = str(row[2])
    value: PointValue
    if kind == "SCALAR":
        value = float(text)
    elif kind == "TENSOR":
        from base64 import b64decode

        value = b64decode(text)
    else:
        value = tuple(text.split(",")) if text else ()
    return Point(int(row[0]), int(row[1]), value)
