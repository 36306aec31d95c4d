"""TensorBoard's resources and points, and what their service needs of the records and of the store.

Sources: google/cloud/aiplatform/v1/tensorboard*.proto. Times are microseconds since the Unix epoch, 0 when not set.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias

import msgspec

from cairn.domain.documents import Document
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT
from cairn.filters.tree import Filter, Order
from cairn.tensorboards.events import ValueKind

DEFAULT_STATE = "DEFAULT"  # of the document of a project's default instance


class Level(StrEnum):
    """What there is, from the top; the value is the document's kind."""

    TENSORBOARD = "tensorboard"
    EXPERIMENT = "tensorboard.experiment"
    RUN = "tensorboard.run"
    SERIES = "tensorboard.time_series"

    @property
    def depth(self) -> int:
        """How many ids name one."""
        return LEVELS.index(self) + 1


LEVELS = tuple(Level)


class Entry(msgspec.Struct, frozen=True):
    """A Tensorboard, or an experiment, a run or a time series in one: `path` has the ids from the Tensorboard on."""

    level: Level
    path: tuple[str, ...]
    project: str = DEFAULT_PROJECT
    location: str = DEFAULT_LOCATION
    display_name: str = ""
    description: str = ""
    labels: dict[str, str] = {}
    owner: str = ""
    create_time: int = 0
    update_time: int = 0
    default: bool = False  # of a Tensorboard
    source: str = ""  # of an experiment: the resource that it was made for
    kind: ValueKind = ValueKind.SCALAR  # of a time series; so are the two below
    plugin: str = ""
    plugin_data: str = ""  # base64

    @property
    def id(self) -> str:
        return self.path[-1]

    @property
    def parent(self) -> str:
        return "/".join(self.path[:-1])

    @property
    def etag(self) -> str:
        return str(self.update_time)


PointValue: TypeAlias = float | bytes | tuple[str, ...]
"""A scalar, a serialised tensorflow.TensorProto, or the ids of blobs."""


class Point(msgspec.Struct, frozen=True):
    step: int
    wall_time: int
    value: PointValue


class SeriesPoints(msgspec.Struct, frozen=True):
    """Points of one series, `path` as in Entry."""

    path: tuple[str, ...]
    kind: ValueKind
    points: tuple[Point, ...] = ()


class Totals(msgspec.Struct, frozen=True):
    """Of a series; all 0 of one without points."""

    points: int = 0
    bytes: int = 0
    max_step: int = 0
    max_wall_time: int = 0
    max_blobs: int = 0


class Where(msgspec.Struct, frozen=True):
    """A project's location."""

    project: str = DEFAULT_PROJECT
    location: str = DEFAULT_LOCATION


class TensorboardRecords(Protocol):
    """Implemented by `records`. Threads: any."""

    def create_documents(self, made: Sequence[Document], *, anew: bool = False, demoting: str = "") -> list[Document]:
        """All or none, in one transaction. One that the same request has made before is given back, or with `anew`
        refused. `demoting`: a state that others of the first one's kind, project and location lose. Raises
        AlreadyExists for a taken id, InputRefused."""

    def rename_document(self, document: Document, *, etag: str = "", demoting: str = "") -> Document:
        """`replace_document`, with its request id. Raises AlreadyExists when another one has that."""

    def delete_tree(self, kinds: Sequence[str], place: Where, path: tuple[str, ...]) -> None:
        """The document at `path`, which is of the first of `kinds`, and everything below. Raises NotFound."""

    def count_below(self, kind: str, place: Where, path: tuple[str, ...]) -> int: ...

    def document(self, kind: str, id_: str, *, project: str = "", location: str = "", parent: str = "") -> Document: ...

    def page_documents(
        self,
        kind: str,
        *,
        projects: Collection[str] | None = None,
        location: str = "",
        parent: str | None = None,
        where: Filter | None = None,
        orders: Sequence[Order] = (),
        query: str = "",
        token: str = "",
        limit: int = 100,
    ) -> tuple[list[Document], str]: ...

    def write_points(self, place: Where, series: Sequence[SeriesPoints]) -> None:
        """All or none, durable when it returns; a point replaces that of the same step. Raises NotFound, and
        InputRefused for a series of another kind."""

    def points(
        self, place: Where, path: tuple[str, ...], kind: ValueKind, *, most: int = 0, where: Filter | None = None
    ) -> list[Point]:
        """By step. `most` above 0: at most so many, evenly chosen, the first and the last among them. Raises
        NotFound, InputRefused."""

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
        """A page, by step unless `orders` says otherwise, and the next one's token. Raises NotFound, InputRefused."""

    def totals(self, place: Where, paths: Sequence[tuple[str, ...]]) -> list[Totals]:
        """Of each; of none that is not there."""

    def bytes_below(self, place: Where, path: tuple[str, ...]) -> int:
        """Of all points of a Tensorboard."""


class BlobStore(Protocol):
    """Where blobs are: an object for each, in what Vertex calls the `blob_storage_path_prefix`."""

    def prefix(self, place: Where) -> str:
        """The bucket for the blobs of a project's location; made where there is none."""

    def write(self, path: str, content: bytes) -> None:
        """`path`: BUCKET/NAME."""

    def read(self, path: str) -> bytes:
        """Raises NotFound."""
