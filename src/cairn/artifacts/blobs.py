"""TensorBoard's blobs as objects: a bucket for each project's location. (No folder in it: the client's uploader would
put two slashes behind that.)"""

from __future__ import annotations

import xxhash

from cairn.artifacts.objects import LocalObjects
from cairn.domain.objects import Attributes
from cairn.errors import Conflict
from cairn.tensorboards.types import Where

_CONTENT = Attributes(content_type="application/octet-stream")


class ObjectBlobs:
    """Implements `tensorboards.types.BlobStore`. Threads: any."""

    def __init__(self, objects: LocalObjects) -> None:
        self._objects = objects
        self._claimed: set[str] = set()

    def prefix(self, place: Where) -> str:
        digest = xxhash.xxh3_64_hexdigest(f"{place.project}/{place.location}".encode())
        bucket = f"cairn-tensorboard-{digest}"
        if bucket not in self._claimed:
            buckets = self._objects.buckets
            buckets.claim(bucket, place.project)
            if buckets.find(bucket).project != place.project:
                raise Conflict(f"bucket {bucket} is not of project {place.project}", remedy="give it another name")
            self._claimed.add(bucket)
        return bucket

    def write(self, path: str, content: bytes) -> None:
        bucket, _, name = path.partition("/")
        with self._objects.begin() as partial:
            partial.write(content)
            self._objects.put(bucket, name, partial, _CONTENT)

    def read(self, path: str) -> bytes:
        bucket, _, name = path.partition("/")
        opened = self._objects.open(bucket, name)
        try:
            return opened.read(0, opened.info.size)
        finally:
            opened.close()
