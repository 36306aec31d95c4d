"""A real bucket's names, page by page, out of obstore's lists, which know prefixes of whole segments only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cairn.artifacts.object_globs import Glob
from cairn.artifacts.object_listing import LAST, rolled
from cairn.domain.objects import Listing, Query, StoredObject

_CHUNK = 1000


def page(store: Any, bucket: str, query: Query) -> Listing:
    """In the order of the names' UTF-8."""
    glob = Glob(query.glob) if query.glob else None
    objects: list[StoredObject] = []
    prefixes: list[str] = []
    last = ""
    for name, info in _found(store, bucket, query):
        if info is not None and glob is not None and not glob.matches(name):
            continue
        if len(objects) + len(prefixes) >= query.limit:
            return Listing(tuple(objects), tuple(prefixes), last)
        if info is None:
            prefixes.append(name)
        else:
            objects.append(info)
        last = name + LAST if info is None else name
    return Listing(tuple(objects), tuple(prefixes))


def _found(store: Any, bucket: str, query: Query) -> Iterator[tuple[str, StoredObject | None]]:
    """(object's name, what it is) or (prefix, None), each prefix once."""
    told = ""
    for name, info in _levelled(store, bucket, query) if query.delimiter == "/" else _all(store, bucket, query):
        if not name.startswith(query.prefix) or name < query.start or name <= query.after:
            continue
        if query.end and name >= query.end:
            return
        prefix = rolled(name, query)
        if not prefix:
            yield name, info
        elif prefix != told:
            told = prefix
            yield prefix, None


def _all(store: Any, bucket: str, query: Query) -> Iterator[tuple[str, StoredObject | None]]:
    import obstore

    floor = max(query.after, query.start[:-1] if query.start else "")
    # The floor is a segment's text to the client, too: one that it cannot take costs a longer way.
    offset = floor if floor and not floor.endswith("/") and LAST not in floor else None
    for chunk in obstore.list(store, _above(query), offset=offset, chunk_size=_CHUNK):
        for meta in chunk:
            yield meta["path"], _info(bucket, meta)


def _levelled(store: Any, bucket: str, query: Query) -> Iterator[tuple[str, StoredObject | None]]:
    """Of one directory: the store does not tell what is below the others."""
    import obstore

    found = obstore.list_with_delimiter(store, _above(query))
    level: dict[str, StoredObject | None] = {f"{prefix}/": None for prefix in found["common_prefixes"]}
    level.update({meta["path"]: _info(bucket, meta) for meta in found["objects"]})
    yield from sorted(level.items(), key=lambda one: one[0])


def _above(query: Query) -> str | None:
    return query.prefix.rpartition("/")[0] or None


def _info(bucket: str, meta: Any) -> StoredObject:
    moment = round(meta["last_modified"].timestamp() * 1_000_000)
    generation = int(meta["version"] or 0)
    return StoredObject(bucket, meta["path"], meta["size"], generation, created=moment, updated=moment)
