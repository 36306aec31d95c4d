"""Buckets as directories: HOME/buckets/gs/BUCKET, and beside them what was said when they were made.

A bucket belongs to the project that made it, over the API or by a run whose `gs://` URIs named it. That stands in a
file of its own, not in the index: losing the index must not open it to others. A directory of which nothing is known
belongs to nobody, and only who has a role in every project sees it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cairn.artifacts import object_names
from cairn.config.home import Home
from cairn.domain.objects import NO_CONDITIONS, Bucket, Conditions
from cairn.errors import AlreadyExists, Conflict, HomeError, NotFound, PreconditionFailed, Unimplemented

WORK = ".cairn"  # below HOME/buckets; steps see the directories of the schemes only
INDEX = "index.db"
OWNERS = f"{WORK}/owners"  # SCHEME/BUCKET.json: whose it is, and what was said of it


class LocalBuckets:
    """Threads and processes: any."""

    def __init__(self, home: Home, scheme: str = "gs", elsewhere: Mapping[str, str] | None = None) -> None:
        """`elsewhere`: buckets that are kept in a real store, with the projects that they belong to: known here, and no
        directories."""
        self._elsewhere = dict(elsewhere or {})
        self.root = home.buckets / scheme
        self.work = home.buckets / WORK
        self.index = home.buckets / INDEX
        self._told = home.buckets / OWNERS / scheme

    def path(self, name: str) -> Path:
        """Its directory. Raises NotFound, Unimplemented."""
        if name in self._elsewhere:
            raise _elsewhere(name)
        path = self.root / name
        if not object_names.is_bucket(name) or path.is_symlink() or not path.is_dir():
            raise NotFound("The specified bucket does not exist.", place=name)
        return path

    def find(self, name: str) -> Bucket:
        """Raises NotFound."""
        if name in self._elsewhere:
            return Bucket(name, project=self._elsewhere[name])
        path = self.path(name)
        try:
            return msgspec.json.decode((self._told / f"{name}.json").read_bytes(), type=Bucket)
        except FileNotFoundError:
            moment = path.stat().st_ctime_ns // 1000
            return Bucket(name, created=moment, updated=moment)
        except (OSError, msgspec.MsgspecError) as error:  # closed, rather than open to every project
            raise HomeError(f"what is known of bucket {name} cannot be read: {error}", place=str(self._told)) from None

    def list(self) -> list[Bucket]:
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            names = []
        found = []
        for name in sorted({*names, *self._elsewhere}):
            try:
                found.append(self.find(name))
            except NotFound:
                continue
        return found

    def create(self, bucket: Bucket) -> Bucket:
        """Raises AlreadyExists."""
        object_names.check_new_bucket(bucket.name)
        if bucket.name in self._elsewhere:
            raise _taken()
        now = time.time_ns() // 1000
        bucket = msgspec.structs.replace(bucket, created=now, updated=now)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone():
            path = self.root / bucket.name
            if path.exists():
                raise _taken()
            self._tell(bucket)  # first whose it is: a directory without that would be nobody's
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:  # a step was quicker
                (self._told / f"{bucket.name}.json").unlink(missing_ok=True)
                raise _taken() from None
        return bucket

    def claim(self, name: str, project: str) -> None:
        """Make the bucket that a run of this project names, unless it is there already."""
        path = self.root / name
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone():
            if path.is_dir():
                return
            now = time.time_ns() // 1000
            self._tell(Bucket(name, project=project, created=now, updated=now))
            path.mkdir(mode=0o700, exist_ok=True)

    def replace(self, bucket: Bucket, conditions: Conditions = NO_CONDITIONS) -> Bucket:
        """Raises NotFound, PreconditionFailed."""
        self.path(bucket.name)
        with self._alone():
            before = self.find(bucket.name)
            _check(conditions, before)
            bucket = msgspec.structs.replace(
                bucket,
                metageneration=before.metageneration + 1,
                updated=max(time.time_ns() // 1000, before.updated + 1),
            )
            self._tell(bucket)
        return bucket

    def delete(self, name: str, conditions: Conditions = NO_CONDITIONS) -> None:
        """Raises NotFound, PreconditionFailed, Conflict while it holds something."""
        path = self.path(name)
        with self._alone():
            _check(conditions, self.find(name))
            try:
                path.rmdir()
            except OSError:
                raise Conflict("The bucket you tried to delete is not empty.", place=name) from None
            (self._told / f"{name}.json").unlink(missing_ok=True)

    def _tell(self, bucket: Bucket) -> None:
        path = self._told / f"{bucket.name}.json"
        temporary = path.with_name(f".{bucket.name}.tmp")
        temporary.write_bytes(msgspec.json.encode(bucket))
        temporary.replace(path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One change at a time, in all processes."""
        self._told.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._told / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _check(conditions: Conditions, found: Bucket) -> None:
    if not conditions.met(found):
        raise PreconditionFailed("At least one of the pre-conditions you specified did not hold.")


def _elsewhere(name: str) -> Unimplemented:
    return Unimplemented(
        "the configuration keeps this bucket in a real store: its objects are there, and its settings are the store's",
        place=name,
        remedy="ask the store itself",
    )


def _taken() -> AlreadyExists:
    return AlreadyExists(
        "Your previous request to create the named bucket succeeded and you already own it.", remedy="use it as it is"
    )
