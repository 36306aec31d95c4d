"""Objects over plain trees: HOME/buckets/gs/BUCKET, the bytes that steps see under /gcs/BUCKET.

The tree is the truth: what a step writes there is an object at once. What the tree cannot say stands in the index.
"""

from __future__ import annotations

import mimetypes
import os
import stat as kinds
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from cairn.artifacts import object_listing, object_names, object_writing
from cairn.artifacts.buckets import LocalBuckets
from cairn.artifacts.object_index import Change, ObjectIndex, Row
from cairn.artifacts.object_writing import EMPTY_CRC32C, EMPTY_MD5, Partial
from cairn.domain.objects import (
    COMPOSE_LIMIT,
    NO_CONDITIONS,
    Attributes,
    Conditions,
    Listing,
    Query,
    StoredObject,
)
from cairn.errors import InputRefused, NotFound, PreconditionFailed

# Of a file that a step wrote the checksum is taken when somebody asks for the object; a larger one only when its
# checksum itself is asked for.
_SUMMED_BYTES = 256 * 1024 * 1024
_SWEPT_SECONDS = 3600.0
_ATTEMPTS = 3


class OpenObject:
    """An object's bytes as of one moment: what is renamed over it meanwhile does not show. Close it."""

    def __init__(self, info: StoredObject, descriptor: int) -> None:
        self.info = info
        self.descriptor = descriptor
        self._lock = threading.Lock()  # a reader whose client is gone must not read from what is opened next

    def read(self, start: int, count: int) -> bytes:
        """Threads: any. Empty when it is closed."""
        with self._lock:
            return os.pread(self.descriptor, count, start) if self.descriptor >= 0 else b""

    def into(self, partial: Partial) -> None:
        """Append all of it. Raises InputRefused when it has become shorter."""
        object_writing.copy_into(partial, self.descriptor, 0, self.info.size)

    def close(self) -> None:
        with self._lock:
            if self.descriptor >= 0:
                os.close(self.descriptor)
                self.descriptor = -1

    def __del__(self) -> None:
        self.close()


class Source(Protocol):
    """What can be copied from: an open object of any bucket."""

    info: StoredObject

    def into(self, partial: Partial) -> None: ...


class LocalObjects:
    """Threads: every method from any thread; processes: any number on one home.

    Raises NotFound for what is not there, InputRefused for names that a tree cannot hold, PreconditionFailed.
    """

    def __init__(self, buckets: LocalBuckets, index: ObjectIndex) -> None:
        self.buckets = buckets
        self.index = index
        self._partial = buckets.work / "partial"
        self._swept = 0.0

    # --- reading -----------------------------------------------------------------------------------------------------

    def find(
        self,
        bucket: str,
        name: str,
        *,
        generation: int | None = None,
        conditions: Conditions = NO_CONDITIONS,
        summed: bool = False,
    ) -> StoredObject:
        """`summed`: with crc32c, whatever its size."""
        opened = self.open(bucket, name, generation=generation, conditions=conditions, summed=summed)
        opened.close()
        return opened.info

    def open(
        self,
        bucket: str,
        name: str,
        *,
        generation: int | None = None,
        conditions: Conditions = NO_CONDITIONS,
        summed: bool = False,
    ) -> OpenObject:
        path = object_names.path_of(self.buckets.path(bucket), name)
        row = self.index.row(bucket, name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            raise _missing(bucket, name) from None
        try:
            seen = os.fstat(descriptor)
            info = self._seen(bucket, name, path, seen, row)
            if info is None or (generation is not None and generation != info.generation):
                raise _missing(bucket, name)
            if not conditions.met(info):
                raise _unmet()
            if not info.crc32c and (summed or info.size <= _SUMMED_BYTES):
                info = self._sum(info, descriptor, seen)
        except BaseException:
            os.close(descriptor)
            raise
        return OpenObject(info, descriptor)

    def list(self, bucket: str, query: Query) -> Listing:
        """In the order of the names' UTF-8. Checksums are those that are known."""
        root = self.buckets.path(bucket)
        names, prefixes, after = object_listing.page(str(root), query, self.index.markers(bucket, query.prefix))
        rows = self.index.rows(bucket, names)
        found = []
        for name in names:
            path = f"{root}/{name.removesuffix('/')}"
            try:
                info = self._seen(bucket, name, path, os.stat(path), rows.get(name))
            except OSError:
                continue
            if info is not None:
                found.append(info)
        return Listing(tuple(found), tuple(prefixes), after)

    # --- writing -----------------------------------------------------------------------------------------------------

    def begin(self, *, md5: bool = True) -> Partial:
        """Where an object's bytes are gathered; leave it by `put`, or by its `discard`."""
        now = time.monotonic()
        if now - self._swept > _SWEPT_SECONDS:
            self._swept = now
            object_writing.sweep(self._partial, time.time())
        return Partial.anew(self._partial, md5=md5)

    def expect(self, bucket: str, name: str, conditions: Conditions = NO_CONDITIONS) -> None:
        """What `put` would refuse whatever is sent; to be asked before it is."""
        path = object_names.path_of(self.buckets.path(bucket), name)
        if conditions != NO_CONDITIONS:
            try:
                before = self._seen(bucket, name, path, os.stat(path), self.index.row(bucket, name))
            except OSError:
                before = None
            if not conditions.met(before):
                raise _unmet()

    def put(
        self,
        bucket: str,
        name: str,
        partial: Partial,
        attributes: Attributes,
        *,
        conditions: Conditions = NO_CONDITIONS,
        crc32c: str = "",
        md5: str = "",
        components: int = 0,
    ) -> StoredObject:
        """Make it the object, at once and whole. `crc32c`, `md5`: what the client says it has sent.

        What was there is replaced, not written into: a step that has it open goes on reading what it has opened.
        """
        root = self.buckets.path(bucket)
        path = object_names.path_of(root, name)
        sums = partial.summed()
        sums.check(crc32c, md5)
        if name.endswith("/") and partial.size:
            raise InputRefused("an object whose name ends with a slash is a directory, and holds no bytes", place=name)
        with self.index.changing() as change:
            before = self._look(change, bucket, name, path)
            if not conditions.met(before):
                raise _unmet()
            now = time.time_ns() // 1000
            row = Row(
                name,
                partial.size,
                mtime=0,
                inode=0,
                generation=max(now, before.generation + 1 if before else 1),
                metageneration=1,
                created=now,
                updated=now,
                crc32c=sums.crc32c,
                md5=sums.md5,
                components=components,
                attributes=attributes,
            )
            seen = _place(partial.path, path, str(root), directory=name.endswith("/"))
            row = msgspec.structs.replace(row, mtime=seen.st_mtime_ns, inode=seen.st_ino)
            change.put(bucket, row)
        return _from_row(bucket, row)

    def delete(
        self, bucket: str, name: str, *, generation: int | None = None, conditions: Conditions = NO_CONDITIONS
    ) -> None:
        """Directories that are empty then go with it, unless they were made as markers."""
        root = self.buckets.path(bucket)
        path = object_names.path_of(root, name)
        with self.index.changing() as change:
            before = self._look(change, bucket, name, path)
            if before is None or (generation is not None and generation != before.generation):
                raise _missing(bucket, name)
            if not conditions.met(before):
                raise _unmet()
            change.remove(bucket, name)
            _remove(path, directory=name.endswith("/"))
            self._prune(change, bucket, root, name.removesuffix("/"))

    def change(
        self,
        bucket: str,
        name: str,
        changed: Callable[[Attributes], Attributes],
        *,
        generation: int | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> StoredObject:
        """New attributes for the same bytes."""
        path = object_names.path_of(self.buckets.path(bucket), name)
        with self.index.changing() as change:
            before = self._look(change, bucket, name, path)
            if before is None or (generation is not None and generation != before.generation):
                raise _missing(bucket, name)
            if not conditions.met(before):
                raise _unmet()
            info = msgspec.structs.replace(
                before,
                attributes=changed(before.attributes),
                metageneration=before.metageneration + 1,
                updated=max(time.time_ns() // 1000, before.updated + 1),
            )
            change.put(bucket, _row(info, os.stat(path)))
        return info

    def copy(
        self,
        source: Source,
        bucket: str,
        name: str,
        attributes: Attributes | None = None,
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> StoredObject:
        object_names.path_of(self.buckets.path(bucket), name)
        with self.begin(md5=bool(source.info.md5)) as partial:
            source.into(partial)
            return self.put(
                bucket,
                name,
                partial,
                attributes or source.info.attributes,
                conditions=conditions,
                components=source.info.components,
            )

    def move(
        self,
        bucket: str,
        name: str,
        to: str,
        *,
        source: Conditions = NO_CONDITIONS,
        conditions: Conditions = NO_CONDITIONS,
    ) -> StoredObject:
        """Within a bucket, at once; `source` are the conditions on what is moved, `conditions` on what is replaced."""
        root = self.buckets.path(bucket)
        path, target = object_names.path_of(root, name), object_names.path_of(root, to)
        if name.endswith("/") or to.endswith("/") or path == target:
            raise InputRefused("a move is from one object's name to another's", place=name)
        with self.index.changing() as change:
            before = self._look(change, bucket, name, path)
            if before is None:
                raise _missing(bucket, name)
            replaced = self._look(change, bucket, to, target)
            if not source.met(before) or not conditions.met(replaced):
                raise _unmet()
            now = time.time_ns() // 1000
            generation = max(now, replaced.generation + 1 if replaced else 1)
            info = msgspec.structs.replace(
                before, name=to, generation=generation, metageneration=1, created=now, updated=now
            )
            seen = _place(Path(path), target, str(root), directory=False)
            change.remove(bucket, name)
            change.put(bucket, _row(info, seen))
            self._prune(change, bucket, root, name)
        return info

    def compose(
        self,
        bucket: str,
        name: str,
        sources: Sequence[Source],
        attributes: Attributes,
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> StoredObject:
        """Their bytes one after the other; as in Cloud Storage, without an md5."""
        if not 1 <= len(sources) <= COMPOSE_LIMIT:
            raise InputRefused(f"is of 1 to {COMPOSE_LIMIT} objects, and not of {len(sources)}", place="sourceObjects")
        object_names.path_of(self.buckets.path(bucket), name)
        with self.begin(md5=False) as partial:
            for source in sources:
                source.into(partial)
            components = sum(source.info.components or 1 for source in sources)
            return self.put(bucket, name, partial, attributes, conditions=conditions, components=components)

    # --- buckets -----------------------------------------------------------------------------------------------------

    def delete_bucket(self, bucket: str, conditions: Conditions = NO_CONDITIONS) -> None:
        """Raises Conflict while it holds something."""
        self.buckets.delete(bucket, conditions)
        with self.index.changing() as change:
            change.remove_all(bucket)

    # --- parts -------------------------------------------------------------------------------------------------------

    def _look(self, change: Change, bucket: str, name: str, path: str) -> StoredObject | None:
        try:
            seen = os.stat(path)
        except OSError:
            return None
        return self._seen(bucket, name, path, seen, change.row(bucket, name))

    def _seen(self, bucket: str, name: str, path: str, seen: os.stat_result, row: Row | None) -> StoredObject | None:
        """None: what lies there is not this object."""
        if kinds.S_ISDIR(seen.st_mode) != name.endswith("/"):
            return None
        if kinds.S_ISDIR(seen.st_mode):
            if row is None and os.listdir(path):
                return None
            return _from_row(bucket, row) if row else _unindexed(bucket, name, seen, None)
        if not kinds.S_ISREG(seen.st_mode):
            return None
        return _from_row(bucket, row) if row and row.fits(seen) else _unindexed(bucket, name, seen, row)

    def _sum(self, info: StoredObject, descriptor: int, seen: os.stat_result) -> StoredObject:
        """With its checksum, which is kept, unless the file was changed while it was read."""
        sums = object_writing.sums_of(descriptor)
        now = os.fstat(descriptor)
        if (now.st_size, now.st_mtime_ns) != (seen.st_size, seen.st_mtime_ns) or sums.size != seen.st_size:
            return info
        info = msgspec.structs.replace(info, crc32c=sums.crc32c)
        with self.index.changing() as change:
            row = change.row(info.bucket, info.name)
            if row is None or not row.fits(seen) or not row.crc32c:
                change.put(info.bucket, _row(info, seen))
        return info

    def _prune(self, change: Change, bucket: str, root: Path, name: str) -> None:
        while name := name.rpartition("/")[0]:
            if change.row(bucket, f"{name}/") is not None:
                return
            try:
                os.rmdir(f"{root}/{name}")
            except OSError:
                return


def _place(source: Path, path: str, root: str, *, directory: bool) -> os.stat_result:
    """Rename into place; what is known of the new file. Raises InputRefused where the tree does not allow it."""
    for attempt in range(_ATTEMPTS):
        try:
            os.makedirs(path if directory else os.path.dirname(path), mode=0o755, exist_ok=True)
            if not directory:
                os.rename(source, path)
            return os.stat(path)
        except (FileExistsError, NotADirectoryError):
            raise InputRefused(
                "an object whose name is the beginning of this one is a file, and buckets are directory trees here",
                place=path.removeprefix(f"{root}/"),
            ) from None
        except IsADirectoryError:
            raise InputRefused(
                "there are objects below this name: it is a directory, as buckets are directory trees here",
                place=path.removeprefix(f"{root}/"),
            ) from None
        except PermissionError as error:
            if attempt or not _unseal(path, root):
                raise object_writing.refused(error, path.removeprefix(f"{root}/")) from None
        except OSError as error:  # a directory was removed by a step between the two
            if attempt == _ATTEMPTS - 1 or not isinstance(error, FileNotFoundError):
                raise object_writing.refused(error, path.removeprefix(f"{root}/")) from None
    raise InputRefused("the directory is being removed", place=path.removeprefix(f"{root}/"), remedy="try again")


def _remove(path: str, *, directory: bool) -> None:
    for attempt in range(2):
        try:
            if directory:
                if not os.listdir(path):
                    os.rmdir(path)
            else:
                os.unlink(path)
            return
        except FileNotFoundError:
            return
        except PermissionError as error:
            if attempt or not _unseal(path, ""):
                raise object_writing.refused(error, os.path.basename(path)) from None


def _unseal(path: str, root: str) -> bool:
    """Published trees are read-only for steps; the API's clients may replace what is in them."""
    while (path := os.path.dirname(path)) not in {root, "/", ""}:
        if os.path.isdir(path):
            mode = os.stat(path).st_mode
            if mode & 0o200:
                return False
            try:
                os.chmod(path, mode | 0o700)
            except OSError:
                return False
            return True
    return False


def _row(info: StoredObject, seen: os.stat_result) -> Row:
    return Row(
        info.name,
        info.size,
        seen.st_mtime_ns,
        seen.st_ino,
        info.generation,
        info.metageneration,
        info.created,
        info.updated,
        info.crc32c,
        info.md5,
        info.components,
        info.attributes,
    )


def _from_row(bucket: str, row: Row) -> StoredObject:
    return StoredObject(
        bucket,
        row.name,
        row.size,
        row.generation,
        row.metageneration,
        row.created,
        row.updated,
        row.crc32c,
        row.md5,
        row.components,
        row.attributes,
    )


def _unindexed(bucket: str, name: str, seen: os.stat_result, before: Row | None) -> StoredObject:
    """What a step wrote. Its generation is its time, and later than that of what it replaced."""
    moment = seen.st_mtime_ns // 1000
    kind = mimetypes.guess_type(name, strict=False)[0] or "application/octet-stream"
    generation = max(moment, before.generation + 1 if before else 1)
    attributes = Attributes(content_type=kind)
    if name.endswith("/"):
        return StoredObject(
            bucket, name, 0, generation, 1, moment, moment, EMPTY_CRC32C, EMPTY_MD5, 0, Attributes("text/plain")
        )
    return StoredObject(bucket, name, seen.st_size, generation, 1, moment, moment, attributes=attributes)


def _missing(bucket: str, name: str) -> NotFound:
    return NotFound(f"No such object: {bucket}/{name}")


def _unmet() -> PreconditionFailed:
    return PreconditionFailed("At least one of the pre-conditions you specified did not hold.")
