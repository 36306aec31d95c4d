"""TensorBoard's resources and points: made, looked up, written, read, deleted. The API and the watcher come here."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable, Iterator, Sequence

import msgspec
import xxhash

from cairn.domain.clock import Clock
from cairn.domain.documents import Document
from cairn.errors import AlreadyExists, InputRefused, NotFound, TooLarge
from cairn.filters.tree import Comparison, Filter, Order
from cairn.tensorboards.events import ValueKind
from cairn.tensorboards.types import (
    DEFAULT_STATE,
    LEVELS,
    BlobStore,
    Entry,
    Level,
    Point,
    SeriesPoints,
    TensorboardRecords,
    Totals,
    Where,
)

MAX_BATCH = 1000  # resources in one request, as the API says
MAX_POINTS = 100_000  # in one request
MAX_TENSOR = 1 << 20  # bytes of one point
MAX_BLOBS = 1000  # in one point
MAX_PLUGIN_DATA = 65 * 1024  # bytes, as the API says
MAX_NAME = 512  # characters; a tag is a name
MAX_DESCRIPTION = 65_536
MAX_LABELS = 64
SAMPLED = {ValueKind.SCALAR: 1000, ValueKind.TENSOR: 100, ValueKind.BLOB_SEQUENCE: 100}  # as BatchRead documents
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_BLOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NOUNS = {
    Level.TENSORBOARD: "Tensorboard",
    Level.EXPERIMENT: "Tensorboard experiment",
    Level.RUN: "Tensorboard run",
    Level.SERIES: "time series",
}


class TensorboardService:
    """Threads: any. Everything raises NotFound for what is not there, and InputRefused for what does not fit."""

    def __init__(self, records: TensorboardRecords, clock: Clock, blobs: Callable[[], BlobStore]) -> None:
        self._records = records
        self._clock = clock
        self._blobs = blobs

    # --- resources ---------------------------------------------------------------------------------------------------

    def create(self, entry: Entry) -> Entry:
        """An id that is "" is made up. Raises AlreadyExists for a taken id, InputRefused for a run's or a series'
        taken name: the client's uploader goes by that."""
        return self.create_all([entry])[0]

    def create_all(self, entries: Sequence[Entry]) -> list[Entry]:
        """All or none."""
        return self._written(entries, anew=True)

    def ensure(self, entries: Sequence[Entry]) -> list[Entry]:
        """As `create_all`, but what there is by a run's or a series' name, or by its id, is given back."""
        try:
            return self._written(entries)
        except AlreadyExists:
            return [self._made_or_found(entry) for entry in entries]

    def get(self, level: Level, path: tuple[str, ...], where: Where) -> Entry:
        parent = "/".join(path[:-1])
        try:
            place = {"project": where.project, "location": where.location}
            return _entry(self._records.document(level, path[-1], parent=parent, **place))
        except NotFound:
            raise NotFound(f"there is no {_NOUNS[level]} {'/'.join(path)!r}") from None

    def page(
        self,
        level: Level,
        parent: tuple[str, ...],
        where: Where,
        *,
        wanted: Filter | None = None,
        orders: Sequence[Order] = (),
        query: str = "",
        token: str = "",
        limit: int = 100,
    ) -> tuple[list[Entry], str]:
        """Those of one parent, newest first unless `orders` says otherwise, and the next page's token."""
        if parent:
            self.get(LEVELS[len(parent) - 1], parent, where)
        documents, following = self._records.page_documents(
            level,
            projects=[where.project],
            location=where.location,
            parent="/".join(parent),
            where=wanted,
            orders=orders,
            query=query,
            token=token,
            limit=limit,
        )
        return [_entry(one) for one in documents], following

    def everywhere(self, level: Level, projects: Sequence[str] | None, *, limit: int = 100) -> list[Entry]:
        """The newest of these projects (None: of all), whatever their parents."""
        found, _ = self._records.page_documents(level, projects=projects, limit=limit)
        return [_entry(one) for one in found]

    def update(self, entry: Entry, *, etag: str = "") -> Entry:
        """Write it over what is recorded. Raises Conflict where `etag` is given and not the recorded one."""
        _check(entry)
        changed = msgspec.structs.replace(entry, update_time=self._clock.now())
        demoting = DEFAULT_STATE if entry.default else ""
        try:
            return _entry(self._records.rename_document(_document(changed), etag=etag, demoting=demoting))
        except AlreadyExists as error:
            raise InputRefused(f"{entry.display_name!r} already exists in {entry.parent!r}") from error

    def delete(self, level: Level, path: tuple[str, ...], where: Where) -> None:
        """With everything below."""
        self._records.delete_tree(LEVELS[LEVELS.index(level) :], where, path)

    def default(self, where: Where, owner: str = "") -> Entry:
        """The default Tensorboard of a project's location, made if there is none."""
        is_default = Comparison(("is_default",), "=", "true")
        found, _ = self.page(Level.TENSORBOARD, (), where, wanted=is_default, limit=1)
        if found:
            return found[0]
        # Its id is the same for whoever makes it: of two that do so at once one finds the other's.
        digest = xxhash.xxh3_64_intdigest(f"{where.project}/{where.location}".encode()) % (9 * 10**18)
        name = "Default Tensorboard"
        entry = Entry(
            Level.TENSORBOARD, (str(10**18 + digest % 10**18),), where.project, where.location, name, default=True
        )
        return self.ensure([msgspec.structs.replace(entry, owner=owner)])[0]

    def run_count(self, path: tuple[str, ...], where: Where) -> int:
        return self._records.count_below(Level.RUN, where, path)

    def size(self, path: tuple[str, ...], where: Where) -> int:
        """Bytes of what its points hold; blobs are objects of a bucket, and count there."""
        self.get(Level.TENSORBOARD, path, where)
        return self._records.bytes_below(where, path)

    # --- points ------------------------------------------------------------------------------------------------------

    def write(self, where: Where, series: Sequence[SeriesPoints]) -> None:
        """All or none; durable when it returns. A point replaces that of the same step of its series."""
        if sum(len(one.points) for one in series) > MAX_POINTS:
            raise TooLarge(f"{MAX_POINTS} points are the most of one request")
        for one in series:
            for point in one.points:
                _check_value(one, point)
        self._records.write_points(where, series)

    def read(
        self, path: tuple[str, ...], where: Where, *, most: int = 0, wanted: Filter | None = None
    ) -> tuple[Entry, list[Point]]:
        """The series, and its points by step. `most`: evenly chosen ones; 0: as many as BatchRead gives; below 0: all
        of them."""
        entry = self.get(Level.SERIES, path, where)
        limit = 0 if most < 0 else most or SAMPLED[entry.kind]
        return entry, self._records.points(where, path, entry.kind, most=limit, where=wanted)

    def page_points(
        self,
        path: tuple[str, ...],
        where: Where,
        *,
        wanted: Filter | None,
        orders: Sequence[Order],
        query: str,
        token: str,
        limit: int,
    ) -> tuple[list[Point], str]:
        entry = self.get(Level.SERIES, path, where)
        return self._records.page_points(
            where, path, entry.kind, where=wanted, orders=orders, query=query, token=token, limit=limit
        )

    def totals(self, paths: Sequence[tuple[str, ...]], where: Where) -> list[Totals]:
        return self._records.totals(where, paths)

    # --- blobs -------------------------------------------------------------------------------------------------------

    def blob_prefix(self, where: Where) -> str:
        """The bucket that the client's uploader puts its blobs into."""
        return self._blobs().prefix(where)

    def keep_blobs(self, path: tuple[str, ...], where: Where, blobs: Sequence[bytes]) -> tuple[str, ...]:
        """Their ids: equal ones are kept once."""
        ids = []
        for content in blobs:
            id_ = xxhash.xxh3_128_hexdigest(content)
            self._blobs().write(self._blob_path(path, where, id_), content)
            ids.append(id_)
        return tuple(ids)

    def blobs(self, path: tuple[str, ...], where: Where, ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Each with its content; without `ids`, those of every point of the series. Raises NotFound at the first that
        is not there."""
        entry, points = self.read(path, where, most=-1)
        if entry.kind is not ValueKind.BLOB_SEQUENCE:
            raise InputRefused(f"the time series holds {entry.kind} values, no blobs", place="/".join(path))
        held = dict.fromkeys(id_ for point in points if isinstance(point.value, tuple) for id_ in point.value)
        for id_ in ids or held:
            if id_ not in held:
                raise NotFound(f"the time series {'/'.join(path)!r} has no blob {id_[:130]!r}")
            yield id_, self._blobs().read(self._blob_path(path, where, id_))

    def _blob_path(self, path: tuple[str, ...], where: Where, id_: str) -> str:
        return "/".join((self.blob_prefix(where), f"tensorboard-{path[0]}", *path[1:], id_))

    # --- parts -------------------------------------------------------------------------------------------------------

    def _written(self, entries: Sequence[Entry], *, anew: bool = False) -> list[Entry]:
        if len(entries) > MAX_BATCH:
            raise InputRefused(f"{len(entries)} are asked for; {MAX_BATCH} are the most", place="requests")
        now = self._clock.now()
        documents = []
        for entry in entries:
            made = msgspec.structs.replace(entry, path=_named(entry.path), create_time=now, update_time=now)
            _check(made)
            documents.append(_document(made))
        for level, parent, where in {(e.level, e.path[:-1], Where(e.project, e.location)) for e in entries}:
            if parent:
                self.get(LEVELS[LEVELS.index(level) - 1], parent, where)
        default = any(entry.default for entry in entries)
        demoting = DEFAULT_STATE if default else ""
        return [_entry(one) for one in self._records.create_documents(documents, anew=anew, demoting=demoting)]

    def _made_or_found(self, entry: Entry) -> Entry:
        try:
            return self._written([entry])[0]
        except AlreadyExists:
            return self.get(entry.level, entry.path, Where(entry.project, entry.location))


def _named(path: tuple[str, ...]) -> tuple[str, ...]:
    return path if path[-1] else (*path[:-1], str(secrets.randbelow(9 * 10**18) + 10**18))


def _check(entry: Entry) -> None:
    if not _ID.fullmatch(entry.id):
        raise InputRefused(
            f"{entry.id[:130]!r} is no id", place=entry.level, remedy="up to 128 of letters, digits, -, _ and ."
        )
    if len(entry.display_name) > MAX_NAME or "\x00" in entry.display_name:
        raise InputRefused(f"is longer than {MAX_NAME} characters, or holds NUL", place="display_name")
    if len(entry.description) > MAX_DESCRIPTION:
        raise InputRefused(f"is longer than {MAX_DESCRIPTION} characters", place="description")
    if len(entry.labels) > MAX_LABELS:
        raise InputRefused(f"{MAX_LABELS} are the most", place="labels")
    if len(entry.plugin_data) > MAX_PLUGIN_DATA * 4 // 3 + 4:
        raise InputRefused(f"is larger than {MAX_PLUGIN_DATA} bytes", place="plugin_data")


def _check_value(series: SeriesPoints, point: Point) -> None:
    value = point.value
    fits = {ValueKind.SCALAR: float | int, ValueKind.TENSOR: bytes, ValueKind.BLOB_SEQUENCE: tuple}[series.kind]
    place = f"{'/'.join(series.path)}, step {point.step}"
    if not isinstance(value, fits):
        raise InputRefused(f"this is no value of a series of {series.kind}", place=place)
    if isinstance(value, bytes) and len(value) > MAX_TENSOR:
        raise TooLarge(f"a tensor of {len(value)} bytes: {MAX_TENSOR} are the most", place=place)
    if isinstance(value, tuple) and (len(value) > MAX_BLOBS or not all(map(_BLOB_ID.fullmatch, value))):
        raise InputRefused(f"at most {MAX_BLOBS} ids of blobs, of letters, digits, -, _ and .", place=place)


class _Body(msgspec.Struct, omit_defaults=True):
    description: str = ""
    source: str = ""
    plugin: str = ""
    plugin_data: str = ""


def _document(entry: Entry) -> Document:
    """The request id keeps names of runs and series unique below their parent."""
    named = entry.level in (Level.RUN, Level.SERIES) and entry.display_name
    state = str(entry.kind) if entry.level is Level.SERIES else DEFAULT_STATE if entry.default else ""
    return Document(
        entry.level,
        entry.id,
        entry.project,
        entry.location,
        entry.parent,
        entry.display_name,
        state,
        entry.labels,
        entry.owner,
        request_id=xxhash.xxh3_128_hexdigest(f"{entry.parent}\n{entry.display_name}".encode()) if named else "",
        create_time=entry.create_time,
        update_time=entry.update_time,
        body=msgspec.to_builtins(_Body(entry.description, entry.source, entry.plugin, entry.plugin_data)),
    )


def _entry(document: Document) -> Entry:
    level = Level(document.kind)
    body = msgspec.convert(document.body, _Body)
    return Entry(
        level,
        (*(document.parent.split("/") if document.parent else ()), document.id),
        document.project,
        document.location,
        document.display_name,
        body.description,
        document.labels,
        document.owner,
        document.create_time,
        document.update_time,
        default=document.state == DEFAULT_STATE,
        source=body.source,
        kind=ValueKind(document.state) if level is Level.SERIES else ValueKind.SCALAR,
        plugin=body.plugin,
        plugin_data=body.plugin_data,
    )


def encoded(content: bytes) -> str:
    """Bytes as documents and JSON have them."""
    return base64.b64encode(content).decode()
