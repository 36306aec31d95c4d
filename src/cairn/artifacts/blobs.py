"""TensorBoard's blobs as objects: a bucket for each project, a folder for each location."""

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
        bucket = f"cairn-tensorboard-{xxhash.xxh3_64_hexdigest(place.project.encode())}"
        if bucket not in self._claimed:
            buckets = self._objects.buckets
            buckets.claim(bucket, place.project)
            if buckets.find(bucket).project != place.project:
                raise Conflict(f"bucket {bucket} is not of project {place.project}", remedy="give it another name")
            self._claimed.add(bucket)
        return f"{bucket}/{place.location}"

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
