"""Buckets and objects as the JSON API words them, and what it says of them in requests.

https://cloud.google.com/storage/docs/json_api/v1/objects, …/buckets
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from cairn.domain.objects import Attributes, Bucket, StoredObject
from cairn.domain.projects import project_number
from cairn.errors import InputRefused, Unimplemented

# Resource's name → ours.
_ATTRIBUTES = {
    "contentType": "content_type",
    "contentEncoding": "content_encoding",
    "contentDisposition": "content_disposition",
    "contentLanguage": "content_language",
    "cacheControl": "cache_control",
    "storageClass": "storage_class",
    "customTime": "custom_time",
}
# Asked for, these would change what happens to bytes, and nothing here does that.
_OBJECT_UNSERVED = ("temporaryHold", "eventBasedHold", "retention", "kmsKeyName", "customerEncryption", "contexts")
_BUCKET_UNSERVED: Mapping[str, Callable[[Any], bool]] = {
    "versioning": lambda value: bool(value.get("enabled")),
    "retentionPolicy": bool,
    "objectRetention": bool,
    "lifecycle": lambda value: bool(value.get("rule")),
    "defaultEventBasedHold": bool,
    "encryption": bool,
    "billing": lambda value: bool(value.get("requesterPays")),
    "logging": bool,
    "website": bool,
    "softDeletePolicy": lambda value: str(value.get("retentionDurationSeconds", "0")) != "0",
    "hierarchicalNamespace": lambda value: bool(value.get("enabled")),
    "autoclass": lambda value: bool(value.get("enabled")),
    "ipFilter": bool,
}
# What a bucket was told, and tells again; nothing here acts on it.
_BUCKET_KEPT = (
    "location",
    "locationType",
    "storageClass",
    "iamConfiguration",
    "cors",
    "rpo",
    "customPlacementConfig",
    "acl",
    "defaultObjectAcl",
)
_METADATA_BYTES = 8 * 1024  # as in Cloud Storage
_TEXT_LIMIT = 1024


def time_text(microseconds: int) -> str:
    moment = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{microseconds % 1_000_000 // 1000:03d}Z"


def object_json(info: StoredObject, base: str) -> dict[str, Any]:
    """`base`: the server's URL as the client named it."""
    path = f"/storage/v1/b/{quote(info.bucket, safe='')}/o/{quote(info.name, safe='')}"
    known = info.generation > 0
    told: dict[str, Any] = {
        "kind": "storage#object",
        "id": f"{info.bucket}/{info.name}/{info.generation}",
        "selfLink": f"{base}{path}",
        "mediaLink": f"{base}/download{path}?{f'generation={info.generation}&' if known else ''}alt=media",
        "name": info.name,
        "bucket": info.bucket,
        "size": str(info.size),
        "timeCreated": time_text(info.created),
        "updated": time_text(info.updated),
        "timeStorageClassUpdated": time_text(info.created),
    }
    if known:  # clients ask for the generation that they were told
        told["generation"], told["metageneration"] = str(info.generation), str(info.metageneration)
        told["etag"] = info.etag
    if info.crc32c:
        told["crc32c"] = info.crc32c
    if info.md5 and not info.components:
        told["md5Hash"] = info.md5
    if info.components:
        told["componentCount"] = info.components
    for name, ours in _ATTRIBUTES.items():
        if value := getattr(info.attributes, ours):
            told[name] = value
    if info.attributes.metadata:
        told["metadata"] = info.attributes.metadata
    return told


def bucket_json(bucket: Bucket, base: str, *, full: bool = False) -> dict[str, Any]:
    told: dict[str, Any] = {
        "kind": "storage#bucket",
        "id": bucket.name,
        "selfLink": f"{base}/storage/v1/b/{quote(bucket.name, safe='')}",
        "name": bucket.name,
        "projectNumber": project_number(bucket.project),
        "location": "US",
        "locationType": "region",
        "storageClass": "STANDARD",
        "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}},
        "metageneration": str(bucket.metageneration),
        "etag": bucket.etag,
        "timeCreated": time_text(bucket.created),
        "updated": time_text(bucket.updated),
        **bucket.options,
    }
    if not full:
        told.pop("acl", None)
        told.pop("defaultObjectAcl", None)
    if bucket.labels:
        told["labels"] = bucket.labels
    return told


def attributes_of(given: Mapping[str, Any], before: Attributes | None = None) -> Attributes:
    """As the client says; with `before`, a patch: what is null is taken away. Raises InputRefused, Unimplemented."""
    for name in _OBJECT_UNSERVED:
        if given.get(name):
            raise Unimplemented("is not kept by this server", place=name, remedy="leave it out")
    changes: dict[str, Any] = {}
    for name, ours in _ATTRIBUTES.items():
        if name in given:
            changes[ours] = _text(given[name], name) or ("STANDARD" if ours == "storage_class" else "")
    if "metadata" in given:
        changes["metadata"] = _merged(given["metadata"], before.metadata if before else {}, "metadata")
        size = sum(len(key.encode()) + len(value.encode()) for key, value in changes["metadata"].items())
        if size > _METADATA_BYTES:
            raise InputRefused(f"is {size} bytes, and may be {_METADATA_BYTES}", place="metadata")
    return msgspec.structs.replace(before or Attributes(), **changes)


def bucket_of(given: Mapping[str, Any], before: Bucket) -> Bucket:
    """A patch; what is null is taken away. Raises InputRefused, Unimplemented."""
    for name, asks in _BUCKET_UNSERVED.items():
        value = given.get(name)
        if value and asks(value if isinstance(value, dict) or asks is bool else {}):
            raise Unimplemented("is not honoured by this server", place=name, remedy="leave it out")
    options = dict(before.options)
    for name in _BUCKET_KEPT:
        if name in given:
            options.pop(name, None)
            if given[name] is not None:
                options[name] = given[name]
    labels = _merged(given["labels"], before.labels, "labels") if "labels" in given else before.labels
    return msgspec.structs.replace(before, labels=labels, options=options)


def _merged(given: object, before: Mapping[str, str], place: str) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InputRefused("must be an object of texts", place=place)
    merged = dict(before)
    for key, value in given.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, str):
            merged[key] = value
        else:
            raise InputRefused("must be a text", place=f"{place}.{key}")
    return merged


def _text(value: object, place: str) -> str:
    if value is None:
        return ""
    if (
        not isinstance(value, str)
        or len(value) > _TEXT_LIMIT
        or any(ord(sign) < 32 or ord(sign) == 127 for sign in value)
    ):
        raise InputRefused(f"must be a text of at most {_TEXT_LIMIT} printable characters", place=place)
    return value
