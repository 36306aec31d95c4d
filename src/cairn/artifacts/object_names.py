"""Which names a tree can hold, and where in it an object lies.

A name is a relative path of UTF-8. `dir/` is the directory itself: the marker that gcsfs, TensorFlow and the console
make. What a tree cannot hold is refused: `a//b`, `/a`, `.`, `..`, NUL, line ends, backslashes, segments above 255
bytes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from cairn.artifacts import locations
from cairn.errors import InputRefused

NAME_BYTES = 1024  # as in Cloud Storage
_SEGMENT_BYTES = 255
# Cloud Storage's own rule for new buckets: https://cloud.google.com/storage/docs/buckets#naming
_NEW_BUCKET = re.compile(r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$")
_BUCKET = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,221}$")


def check_new_bucket(name: str) -> None:
    """Raises InputRefused."""
    if not _NEW_BUCKET.fullmatch(name) or ".." in name:
        raise InputRefused(
            f"{name!r} is no bucket name", remedy="3 to 222 lower case letters, digits, dashes, underscores and dots"
        )


def is_bucket(name: str) -> bool:
    return bool(_BUCKET.fullmatch(name)) and ".." not in name


def check(name: str) -> None:
    """Raises InputRefused for a name that a tree cannot hold, with the reason."""
    reason = _unfit(name)
    if reason:
        raise InputRefused(f"an object's name {reason}", place=repr(name[:80]))


def is_fit(name: str) -> bool:
    return not _unfit(name)


def _unfit(name: str) -> str:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return "must be UTF-8"
    if not name:
        return "must not be empty"
    if length > NAME_BYTES:
        return f"must not be longer than {NAME_BYTES} bytes"
    if "\ufffd" in name:  # what percent-decoding leaves of bytes that are not UTF-8
        return "must be UTF-8"
    if any(sign in name for sign in "\0\r\n\\"):
        return "must not hold NUL, line ends or backslashes: buckets are directory trees here"
    segments = name.removesuffix("/").split("/")
    if any(segment in {"", ".", ".."} for segment in segments):
        return "must not have segments that are empty, '.' or '..': buckets are directory trees here"
    if any(len(segment.encode()) > _SEGMENT_BYTES for segment in segments):
        return f"must not have a segment above {_SEGMENT_BYTES} bytes: buckets are directory trees here"
    try:
        locations.check_key(name, name)
    except InputRefused as error:
        return error.message
    return ""


def path_of(root: Path, name: str) -> str:
    """Where the object lies in its bucket's tree. Raises InputRefused when links lead out of the bucket."""
    check(name)
    path = f"{root}/{name.removesuffix('/')}"
    if not leads_inside(path, str(root)):
        raise InputRefused("leads out of its bucket through a link", place=repr(name[:80]))
    return path


def leads_inside(path: str, root: str) -> bool:
    """Whether `path`, all links resolved, lies in `root`. `root` itself is ours, and links above it are the owner's."""
    anchor = os.path.realpath(root)
    real = os.path.realpath(path)
    return real == anchor or real.startswith(f"{anchor}/")
