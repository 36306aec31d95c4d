"""Objects of a bucket that is kept in its own store: `"gs://name" = "real"` in [buckets].

The store is asked with the credentials of whoever runs the server, found as obstore finds them: the environment's
GOOGLE_SERVICE_ACCOUNT, GOOGLE_APPLICATION_CREDENTIALS, GOOGLE_BASE_URL and kin, the machine's own account. What a
client sent to us is never sent on. What obstore cannot carry is refused by its name.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cairn.artifacts import object_names, real_listing
from cairn.artifacts.object_writing import Partial
from cairn.domain.objects import COMPOSE_LIMIT, NO_CONDITIONS, Attributes, Conditions, Listing, Query, StoredObject
from cairn.errors import (
    ConfigurationError,
    InputRefused,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    StoreUnavailable,
    Unimplemented,
)

if TYPE_CHECKING:
    from types import ModuleType

    from obstore import GetOptions
    from obstore.store import ClientConfig, RetryConfig

    from cairn.artifacts.objects import LocalObjects, Source

_BLOCK = 1024 * 1024
_PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4
# With a condition, obstore sends an object in one request, out of memory.
CONDITIONED_BYTES = 256 * 1024 * 1024
_METADATA = re.compile(r"[a-z0-9_.-]{1,200}")  # it becomes a header, whose case is not kept
_NAMED = {
    "Content-Type": "content_type",
    "Content-Encoding": "content_encoding",
    "Content-Disposition": "content_disposition",
    "Content-Language": "content_language",
    "Cache-Control": "cache_control",
}


class RealOpenObject:
    """An object's bytes as of one generation. Reads that follow one another are one download."""

    def __init__(self, store: Any, info: StoredObject) -> None:
        self.info = info
        self._store = store
        self._lock = threading.Lock()
        self._coming: Iterator[bytes] | None = None
        self._at = -1  # where `_held` begins
        self._held = b""

    def read(self, start: int, count: int) -> bytes:
        """Threads: any, one at a time. `count` bytes, fewer at the end. Raises StoreUnavailable."""
        count = min(count, self.info.size - start)
        with self._lock, told():
            if count <= 0:
                return b""
            if self._coming is None or start != self._at:
                if count < _BLOCK:  # a small piece of something: not worth a download
                    return bytes(self._got((start, start + count)).bytes())
                self._coming = iter(self._got((start, self.info.size)).stream(min_chunk_size=_BLOCK))
                self._at, self._held = start, b""
            return self._next(count)

    def into(self, partial: Partial) -> None:
        """Append all of it. Raises InputRefused when it has become another meanwhile."""
        at = 0
        while at < self.info.size:
            block = self.read(at, _BLOCK)
            if not block:
                raise InputRefused("the source was changed meanwhile", remedy="try again")
            partial.write(block)
            at += len(block)

    def close(self) -> None:
        with self._lock:
            self._coming, self._at, self._held = None, -1, b""

    def _got(self, span: tuple[int, int]) -> Any:
        import obstore

        options: GetOptions = {"range": span, "version": str(self.info.generation)}
        return obstore.get(self._store, self.info.name, options=options)

    def _next(self, count: int) -> bytes:
        assert self._coming is not None
        parts, size = [self._held], len(self._held)
        while size < count and (part := next(self._coming, None)) is not None:
            parts.append(bytes(part))
            size += len(parts[-1])
        joined = b"".join(parts)
        self._held = joined[count:]
        self._at += min(count, size)
        return joined[:count]


class RealObjects:
    """One bucket. Threads: every method from any thread. The methods are those of LocalObjects, which also says what
    they mean; uploads are gathered in its work directory, so that memory is bounded whatever the network does.

    Raises Unimplemented for what the store's client cannot carry: metagenerations, changes of attributes, conditions of
    deletions; StoreUnavailable when the store does not answer.
    """

    def __init__(self, bucket: str, local: LocalObjects) -> None:
        self.bucket = bucket
        self._local = local

    @cached_property
    def store(self) -> Any:
        """Raises ConfigurationError without obstore, or when the credentials that are configured cannot be read."""
        _obstore(self.bucket)
        from obstore.exceptions import BaseError
        from obstore.store import GCSStore

        plain = os.environ.get("GOOGLE_BASE_URL", "").startswith("http://")
        # Not for a whole transfer: its pace is the client's. A store that is silent is given up.
        options: ClientConfig = {
            "allow_http": plain,
            "timeout": timedelta(days=1),
            "read_timeout": timedelta(seconds=60),
        }
        retries: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=60)}
        try:
            return GCSStore(self.bucket, client_options=options, retry_config=retries)
        except BaseError as error:
            raise ConfigurationError(f"the store's credentials cannot be used: {_first_line(error)}") from None

    def find(
        self,
        bucket: str,
        name: str,
        *,
        generation: int | None = None,
        conditions: Conditions = NO_CONDITIONS,
        summed: bool = False,  # noqa: ARG002 - the store's client does not tell checksums
    ) -> StoredObject:
        object_names.check(name)
        _check_carried(conditions)
        obstore = _obstore(bucket)
        with told(f"No such object: {bucket}/{name}"):
            options: GetOptions = {"head": True}
            if generation is not None:
                options["version"] = str(generation)
            info = _info(bucket, obstore.get(self.store, name, options=options))
        if not conditions.met(info):
            raise _unmet()
        return info

    def open(
        self,
        bucket: str,
        name: str,
        *,
        generation: int | None = None,
        conditions: Conditions = NO_CONDITIONS,
        summed: bool = False,
    ) -> RealOpenObject:
        info = self.find(bucket, name, generation=generation, conditions=conditions, summed=summed)
        return RealOpenObject(self.store, info)

    def list(self, bucket: str, query: Query) -> Listing:
        """Generations and attributes are not told in lists."""
        _obstore(bucket)
        with told(f"The specified bucket does not exist: {bucket}"):
            return real_listing.page(self.store, bucket, query)

    def begin(self, *, md5: bool = True) -> Partial:
        return self._local.begin(md5=md5)

    def expect(self, bucket: str, name: str, conditions: Conditions = NO_CONDITIONS) -> None:
        object_names.check(name)
        _obstore(bucket)
        _check_carried(conditions, writing=True)
        if conditions != NO_CONDITIONS and not conditions.met(self._before(bucket, name)):
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
        components: int = 0,  # noqa: ARG002 - what is sent is one object
    ) -> StoredObject:
        _check_carried(conditions, writing=True)
        sums = partial.summed()
        sums.check(crc32c, md5)
        if name.endswith("/"):
            raise InputRefused("the store's client makes no objects whose name ends with a slash", place=name)
        if conditions.generation is not None and partial.size > CONDITIONED_BYTES:
            raise Unimplemented(
                f"with a condition, at most {CONDITIONED_BYTES} bytes are sent to a real bucket",
                place=name,
                remedy="leave ifGenerationMatch out (google-cloud-storage: if_generation_match=None)",
            )
        obstore = _obstore(bucket)
        with told(), partial.path.open("rb") as file:
            done = obstore.put(
                self.store,
                name,
                file,
                attributes=_sent(attributes),
                mode=_mode(conditions),
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        info = self.find(bucket, name, generation=int(done["version"]) if done["version"] else None)
        return _with_sums(info, sums.crc32c, sums.md5)

    def delete(
        self, bucket: str, name: str, *, generation: int | None = None, conditions: Conditions = NO_CONDITIONS
    ) -> None:
        """With a generation, what is there is looked at first; another that comes in between is deleted instead."""
        if conditions != NO_CONDITIONS:
            raise _not_carried("conditions of a deletion", name)
        object_names.check(name)
        obstore = _obstore(bucket)
        if generation is not None:
            self.find(bucket, name, generation=generation)
        with told(f"No such object: {bucket}/{name}"):
            obstore.delete(self.store, name)

    def change(
        self,
        bucket: str,  # noqa: ARG002
        name: str,
        changed: Callable[[Attributes], Attributes],  # noqa: ARG002
        *,
        generation: int | None = None,  # noqa: ARG002
        conditions: Conditions = NO_CONDITIONS,  # noqa: ARG002
    ) -> StoredObject:
        raise _not_carried("a change of an object's attributes", name)

    def copy(
        self,
        source: Source,
        bucket: str,
        name: str,
        attributes: Attributes | None = None,
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> StoredObject:
        """Within the bucket the store does it, as long as the attributes stay and no generation is named."""
        wanted = attributes or source.info.attributes
        self.expect(bucket, name, conditions)
        stays = source.info.bucket == bucket and wanted == source.info.attributes
        if stays and conditions.generation in {None, 0} and self._is_newest(source.info):
            obstore = _obstore(bucket)
            with told(f"No such object: {bucket}/{source.info.name}"):
                obstore.copy(self.store, source.info.name, name, overwrite=conditions.generation is None)
            return self.find(bucket, name)
        with self.begin() as partial:
            source.into(partial)
            return self.put(bucket, name, partial, wanted, conditions=conditions)

    def move(
        self,
        bucket: str,
        name: str,
        to: str,
        *,
        source: Conditions = NO_CONDITIONS,
        conditions: Conditions = NO_CONDITIONS,
    ) -> StoredObject:
        """A copy, and then a deletion: not at once, as in the home."""
        if source != NO_CONDITIONS:
            raise _not_carried("conditions of a move's source", name)
        if name == to:
            raise InputRefused("a move is from one object's name to another's", place=name)
        opened = self.open(bucket, name)
        info = self.copy(opened, bucket, to, conditions=conditions)
        self.delete(bucket, name)
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
        """The bytes come here and go back."""
        if not 1 <= len(sources) <= COMPOSE_LIMIT:
            raise InputRefused(f"is of 1 to {COMPOSE_LIMIT} objects, and not of {len(sources)}", place="sourceObjects")
        self.expect(bucket, name, conditions)
        with self.begin() as partial:
            for source in sources:
                source.into(partial)
            return self.put(bucket, name, partial, attributes, conditions=conditions)

    def delete_bucket(self, bucket: str, conditions: Conditions = NO_CONDITIONS) -> None:  # noqa: ARG002
        raise _not_carried("the deletion of a bucket", bucket)

    def _before(self, bucket: str, name: str) -> StoredObject | None:
        try:
            return self.find(bucket, name)
        except NotFound:
            return None

    def _is_newest(self, info: StoredObject) -> bool:
        before = self._before(info.bucket, info.name)
        return before is not None and before.generation == info.generation


def _obstore(bucket: str) -> ModuleType:
    try:
        import obstore
    except ImportError:
        raise ConfigurationError(
            f"bucket gs://{bucket} is configured as real, and obstore is not installed",
            place="[buckets]",
            remedy="pip install 'cairnflow[stores]'",
        ) from None
    return obstore


@contextmanager
def told(missing: str = "there is nothing under this name") -> Iterator[None]:
    """The store's errors as ours."""
    from obstore import exceptions

    try:
        yield
    except (exceptions.NotFoundError, FileNotFoundError):
        raise NotFound(missing) from None
    except (exceptions.PreconditionError, exceptions.AlreadyExistsError, exceptions.NotModifiedError):
        raise _unmet() from None
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise PermissionDenied(
            f"the store refuses the server's credentials: {_first_line(error)}",
            remedy="give the server's account a role on the bucket",
        ) from None
    except exceptions.InvalidPathError as error:
        raise InputRefused(f"the store's client takes no such name: {_first_line(error)}") from None
    except exceptions.BaseError as error:
        raise StoreUnavailable(f"the store does not answer as it should: {_first_line(error)}") from None


def _info(bucket: str, got: Any) -> StoredObject:
    meta, given = got.meta, dict(got.attributes)
    moment = round(meta["last_modified"].timestamp() * 1_000_000)
    fields = {ours: given.pop(theirs) for theirs, ours in _NAMED.items() if theirs in given}
    storage_class = given.pop("Storage-Class", "STANDARD")
    attributes = Attributes(**fields, storage_class=storage_class, metadata=given)
    # A store that tells no generations still has objects that exist, which 0 would deny.
    generation = int(meta["version"] or 0) or max(1, moment)
    return StoredObject(
        bucket, meta["path"], meta["size"], generation, created=moment, updated=moment, attributes=attributes
    )


def _with_sums(info: StoredObject, crc32c: str, md5: str) -> StoredObject:
    import msgspec

    return msgspec.structs.replace(info, crc32c=crc32c, md5=md5)


def _sent(attributes: Attributes) -> dict[str, str]:
    if attributes.custom_time:
        raise _not_carried("customTime", attributes.custom_time)
    named = {theirs: value for theirs, ours in _NAMED.items() if (value := getattr(attributes, ours))}
    if attributes.storage_class not in {"", "STANDARD"}:
        named["Storage-Class"] = attributes.storage_class
    for name, value in (*attributes.metadata.items(), *named.items()):
        if not value.isascii() or not value.isprintable():
            raise InputRefused("an attribute of an object in a real bucket must be printable ASCII", place=name)
    for name in attributes.metadata:
        if not _METADATA.fullmatch(name):
            raise InputRefused(
                "a name of metadata in a real bucket must be of lower case letters, digits, '-', '_' and '.'",
                place=name,
            )
    return {**attributes.metadata, **named}


def _mode(conditions: Conditions) -> Any:
    if conditions.generation is None:
        return None
    return {"version": str(conditions.generation)} if conditions.generation else "create"


def _check_carried(conditions: Conditions, *, writing: bool = False) -> None:
    if conditions.metageneration is not None or conditions.not_metageneration is not None:
        raise _not_carried("ifMetagenerationMatch and its kin", "")
    if writing and conditions.not_generation is not None:
        raise _not_carried("ifGenerationNotMatch", "")


def _not_carried(what: str, place: str) -> Unimplemented:
    return Unimplemented(f"{what} cannot be carried to a real bucket", place=place, remedy="ask the store itself")


def _unmet() -> PreconditionFailed:
    return PreconditionFailed("At least one of the pre-conditions you specified did not hold.")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
