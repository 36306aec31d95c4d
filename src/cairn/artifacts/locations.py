"""From a URI to a path and back, never out of a root.

| URI | path | what a step is told |
|---|---|---|
| `/any/absolute/path`, `file:///…` | itself | itself |
| `gs://B/x` | HOME/buckets/gs/B/x | /gcs/B/x |
| `s3://B/x` | HOME/buckets/s3/B/x | /s3/B/x |
| `minio://B/x` | HOME/buckets/minio/B/x | /minio/B/x |
| `https://…`, `oci://…` | none | the URI |

The step's paths are those of KFP's launcher (`/gcs`, `/minio`, `/s3`; kfp.dsl `artifact_types.py`).
"""

from __future__ import annotations

import re
from pathlib import Path

from cairn.errors import InputRefused

MOUNTS = {"gs": "/gcs", "s3": "/s3", "minio": "/minio"}
REMOTE = frozenset({"http", "https", "oci"})

_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*)://")
# S3 and GCS agree on lower case, digits, dashes and dots; GCS adds underscores, old S3 buckets have capitals.
_BUCKET = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,221}$")
_ENCODED = re.compile(r"%(?:25)*(?:2e|2f|5c|00)", re.IGNORECASE)


def scheme_of(uri: str) -> str:
    """`gs` for `gs://…`, `file` for `file://…`, "" for a path."""
    found = _SCHEME.match(uri)
    return found[1].lower() if found else ""


def split_bucket(uri: str) -> tuple[str, str, str]:
    """(scheme, bucket, key) of a bucket's URI. Raises InputRefused for a name that would leave the bucket."""
    scheme = scheme_of(uri)
    bucket, _, key = uri[len(scheme) + 3 :].partition("/")
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise InputRefused(f"{bucket!r} is no bucket name", place=uri)
    check_key(key, uri)
    return scheme, bucket, key


def check_key(key: str, place: str) -> None:
    """Refuse what a path could climb out by: `..`, NUL, backslashes, also in their percent-encoded forms."""
    if "\0" in key or "\\" in key or any(part == ".." for part in key.split("/")):
        raise InputRefused("leaves its root", place=place, remedy="write the name without '..', NUL or backslash")
    if _ENCODED.search(key):
        raise InputRefused("holds an encoded separator or dot", place=place, remedy="write the name as it is")


def file_path(uri: str) -> str:
    """The path of a `file://` URI or of a plain absolute path, without `.` and `..`. Raises InputRefused."""
    path = uri[len("file://") :] if scheme_of(uri) == "file" else uri
    if not path.startswith("/"):
        raise InputRefused("is neither an absolute path nor a URI", place=uri, remedy="write an absolute path")
    if "\0" in path:
        raise InputRefused("holds a NUL character", place=uri)
    if any(part == ".." for part in path.split("/")):
        raise InputRefused("holds '..'", place=uri, remedy="write the path without '..'")
    return path


def within(path: str | Path, root: Path) -> bool:
    """Whether `path`, all links resolved, is `root` or lies under it."""
    real = Path(path).resolve()
    anchor = root.resolve()
    return real == anchor or anchor in real.parents
