"""Objects in buckets, as the storage API speaks of them."""

from __future__ import annotations

from typing import Any

import msgspec

OBJECT_LIMIT = 5 * 1024**4  # bytes, as in Cloud Storage
COMPOSE_LIMIT = 32  # sources of one compose


class Attributes(msgspec.Struct, frozen=True):
    """What a client may say of an object. Names as in the JSON API's `objects` resource."""

    content_type: str = ""
    content_encoding: str = ""
    content_disposition: str = ""
    content_language: str = ""
    cache_control: str = ""
    storage_class: str = "STANDARD"
    custom_time: str = ""
    metadata: dict[str, str] = {}


class StoredObject(msgspec.Struct, frozen=True):
    """`generation` grows with every change of the bytes, `metageneration` with every change of the attributes.

    Times in microseconds since the Unix epoch; hashes as base64, "" where they are not known. Generation 0: not known,
    as in lists of buckets that are kept elsewhere.
    """

    bucket: str
    name: str
    size: int
    generation: int
    metageneration: int = 1
    created: int = 0
    updated: int = 0
    crc32c: str = ""
    md5: str = ""
    components: int = 0  # of a composed object: how many uploads it is made of
    attributes: Attributes = Attributes()

    @property
    def etag(self) -> str:
        return f"{self.generation}.{self.metageneration}"


class Bucket(msgspec.Struct, frozen=True):
    """`project` is "" where it is not known whose it is: only who has a role in every project sees it."""

    name: str
    project: str = ""
    created: int = 0
    updated: int = 0
    metageneration: int = 1
    labels: dict[str, str] = {}
    options: dict[str, Any] = {}  # location, storageClass, …: kept and given back

    @property
    def etag(self) -> str:
        return str(self.metageneration)


class Conditions(msgspec.Struct, frozen=True):
    """ifGenerationMatch and its kin; None: not asked. Generation 0 stands for "there is none"."""

    generation: int | None = None
    not_generation: int | None = None
    metageneration: int | None = None
    not_metageneration: int | None = None

    def met(self, found: StoredObject | Bucket | None) -> bool:
        generation = found.generation if isinstance(found, StoredObject) else 0
        metageneration = found.metageneration if found is not None else 0
        return (
            (self.generation is None or self.generation == generation)
            and (self.not_generation is None or self.not_generation != generation)
            and (self.metageneration is None or self.metageneration == metageneration)
            and (self.not_metageneration is None or self.not_metageneration != metageneration)
        )


NO_CONDITIONS = Conditions()


class Query(msgspec.Struct, frozen=True):
    """What of a bucket is listed. `start` is included, `end` is not; `after` is where the page before has ended."""

    prefix: str = ""
    delimiter: str = ""
    start: str = ""
    end: str = ""
    after: str = ""
    glob: str = ""
    trailing_delimiter: bool = False  # a name that ends with the delimiter is an object too, not only a prefix
    limit: int = 1000


class Listing(msgspec.Struct, frozen=True):
    objects: tuple[StoredObject, ...]
    prefixes: tuple[str, ...]
    after: str = ""  # for the next page; "" at the end
