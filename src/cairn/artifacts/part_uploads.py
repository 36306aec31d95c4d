"""Uploads in parts that come in any order and at the same time: the XML API's multipart uploads.

Below HOME/buckets/.cairn/parts: `ID.json` says what it will be, `ID.NUMBER.MD5` is a part that has come whole. They
outlive the server, and are good for a week.
"""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cairn.artifacts import object_writing
from cairn.artifacts.object_writing import Partial
from cairn.artifacts.objects import LocalObjects
from cairn.artifacts.real_objects import RealObjects
from cairn.artifacts.uploads import LIFETIME_SECONDS
from cairn.domain.objects import Attributes, Conditions, StoredObject
from cairn.errors import InputRefused, NotFound

PARTS = 10_000  # as in Cloud Storage
_ID = re.compile(r"^[0-9a-f]{40}$")


class PartUpload(msgspec.Struct, frozen=True):
    id: str
    bucket: str
    name: str
    attributes: Attributes
    conditions: Conditions


class PartUploads:
    """Threads and processes: any."""

    def __init__(self, objects: LocalObjects, objects_of: Callable[[str], LocalObjects | RealObjects]) -> None:
        self._directory = objects.buckets.work / "parts"
        self._objects_of = objects_of

    def start(self, bucket: str, name: str, attributes: Attributes, conditions: Conditions) -> PartUpload:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        object_writing.sweep(self._directory, time.time() - LIFETIME_SECONDS)
        upload = PartUpload(secrets.token_hex(20), bucket, name, attributes, conditions)
        self._told(upload.id).write_bytes(msgspec.json.encode(upload))
        return upload

    def find(self, id_: str) -> PartUpload:
        """Raises NotFound."""
        if _ID.fullmatch(id_):
            try:
                return msgspec.json.decode(self._told(id_).read_bytes(), type=PartUpload)
            except (OSError, msgspec.MsgspecError):
                pass
        raise NotFound("there is no such upload, or it was a week ago", remedy="start it again")

    @contextmanager
    def receiving(self, upload: PartUpload) -> Iterator[Partial]:
        """Where a part is gathered, until `keep`."""
        partial = Partial(self._directory / f"{upload.id}.{secrets.token_hex(8)}.coming")
        with partial:
            yield partial

    def keep(self, upload: PartUpload, number: int, partial: Partial) -> str:
        """In place of an earlier one of this number; its tag, which `finish` asks for. Raises InputRefused."""
        if not 1 <= number <= PARTS:
            raise InputRefused(f"must be 1 to {PARTS}", place="partNumber")
        tag = base64.b64decode(partial.summed().md5).hex()
        path = self._part(upload.id, number, tag)
        before = [one for one in self._directory.glob(f"{upload.id}.{number:05d}.*") if one != path]
        partial.path.rename(path)
        for one in before:
            one.unlink(missing_ok=True)
        return tag

    def finish(self, upload: PartUpload, parts: Sequence[tuple[int, str]]) -> StoredObject:
        """Make these, one after the other, the object. Raises InputRefused for one that is not there."""
        if not parts or [number for number, _ in parts] != sorted({number for number, _ in parts}):
            raise InputRefused("the parts must be listed once each, in their order")
        objects = self._objects_of(upload.bucket)
        with objects.begin(md5=False) as whole:
            for number, tag in parts:
                path = self._part(upload.id, number, tag)
                if not re.fullmatch(r"[0-9a-f]{32}", tag) or not path.exists():
                    raise InputRefused(f"part {number} has not come, or is another", place="CompleteMultipartUpload")
                with path.open("rb") as file:
                    object_writing.copy_into(whole, file.fileno(), 0, path.stat().st_size)
            found = objects.put(
                upload.bucket,
                upload.name,
                whole,
                upload.attributes,
                conditions=upload.conditions,
                components=len(parts) if len(parts) > 1 else 0,
            )
        self.cancel(upload)
        return found

    def cancel(self, upload: PartUpload) -> None:
        self._told(upload.id).unlink(missing_ok=True)
        for path in self._directory.glob(f"{upload.id}.*"):
            path.unlink(missing_ok=True)

    def _told(self, id_: str) -> Path:
        return self._directory / f"{id_}.json"

    def _part(self, id_: str, number: int, tag: str) -> Path:
        return self._directory / f"{id_}.{number:05d}.{tag}"
