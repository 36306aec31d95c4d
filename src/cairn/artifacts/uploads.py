"""Resumable uploads: a session is two files below HOME/buckets/.cairn/uploads, so it outlives the server.

What has arrived is what the part's file holds, also after kill -9 in the middle of a chunk. A finished session is kept
for a week, so that a client whose answer was lost is told of the object.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cairn.artifacts import object_writing
from cairn.artifacts.object_writing import Partial, Sums
from cairn.artifacts.objects import LocalObjects
from cairn.artifacts.real_objects import RealObjects
from cairn.domain.objects import Attributes, Conditions, StoredObject
from cairn.errors import NotFound, RecordsBusy

LIFETIME_SECONDS = 7 * 86400.0
_ID = re.compile(r"^[0-9a-f]{40}$")
_REMEMBERED = 256  # sessions whose checksums go on from chunk to chunk; others are read again at the end


class Session(msgspec.Struct, frozen=True):
    """`total`: bytes that the client announced; -1: not said. `finished`: the object it has become."""

    id: str
    bucket: str
    name: str
    attributes: Attributes
    conditions: Conditions
    total: int = -1
    crc32c: str = ""
    md5: str = ""
    created: float = 0.0
    finished: StoredObject | None = None


class UploadSessions:
    """Threads and processes: any; one at a time on a session (RecordsBusy)."""

    def __init__(
        self, objects: LocalObjects, objects_of: Callable[[str], LocalObjects | RealObjects] | None = None
    ) -> None:
        """`objects_of`: those of a bucket, by its name; None: all are these."""
        self._objects_of = objects_of or (lambda _: objects)
        self._directory = objects.buckets.work / "uploads"
        self._sums: OrderedDict[str, Sums] = OrderedDict()
        self._lock = threading.Lock()

    def start(
        self,
        bucket: str,
        name: str,
        attributes: Attributes,
        conditions: Conditions,
        *,
        total: int = -1,
        crc32c: str = "",
        md5: str = "",
    ) -> Session:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        object_writing.sweep(self._directory, time.time() - LIFETIME_SECONDS)
        id_ = secrets.token_hex(20)
        session = Session(id_, bucket, name, attributes, conditions, total, crc32c, md5, time.time())
        Partial(self._part(session.id)).close()
        self._write(session)
        return session

    def find(self, id_: str) -> Session:
        """Raises NotFound."""
        if _ID.fullmatch(id_):
            try:
                return msgspec.json.decode(self._told(id_).read_bytes(), type=Session)
            except (OSError, msgspec.MsgspecError):
                pass
        raise NotFound("there is no such upload, or it was a week ago", remedy="start it again")

    def arrived(self, session: Session) -> int:
        """Bytes."""
        if session.finished is not None:
            return session.finished.size
        try:
            return self._part(session.id).stat().st_size
        except FileNotFoundError:
            raise NotFound("the upload was cancelled", remedy="start it again") from None

    @contextmanager
    def appending(self, session: Session) -> Iterator[Partial]:
        """Its part, positioned behind what has arrived. Raises RecordsBusy while another request appends."""
        try:
            partial = Partial(self._part(session.id), resumed=True)
        except BlockingIOError:
            raise RecordsBusy("another request is sending to this upload", remedy="ask for its status") from None
        except FileNotFoundError:
            raise NotFound("the upload was cancelled or finished", remedy="ask for its status") from None
        try:
            with self._lock:
                sums = self._sums.pop(session.id, None)
            if sums is not None:
                partial.go_on(sums)
            yield partial
            with self._lock:
                self._sums[session.id] = partial.sums
                if len(self._sums) > _REMEMBERED:
                    self._sums.popitem(last=False)
        finally:
            partial.close()

    def finish(self, session: Session, partial: Partial, *, crc32c: str = "", md5: str = "") -> StoredObject:
        """Make it the object. A checksum that does not agree ends the upload."""
        found = self._objects_of(session.bucket).put(
            session.bucket,
            session.name,
            partial,
            session.attributes,
            conditions=session.conditions,
            crc32c=crc32c or session.crc32c,
            md5=md5 or session.md5,
        )
        self._write(msgspec.structs.replace(session, finished=found))
        return found

    def cancel(self, session: Session) -> None:
        with self._lock:
            self._sums.pop(session.id, None)
        self._part(session.id).unlink(missing_ok=True)
        self._told(session.id).unlink(missing_ok=True)

    def _part(self, id_: str) -> Path:
        return self._directory / f"{id_}.part"

    def _told(self, id_: str) -> Path:
        return self._directory / f"{id_}.json"

    def _write(self, session: Session) -> None:
        path = self._told(session.id)
        temporary = path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(session))
        temporary.replace(path)
