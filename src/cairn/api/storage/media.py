"""Downloads: whole or a range, in bounded memory, as the bytes are stored."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import TYPE_CHECKING

from cairn.api.access import Role
from cairn.api.http import Call, Reply
from cairn.api.storage.asking import bucket_for, conditions, number
from cairn.api.storage.threads import apart
from cairn.domain.objects import Conditions, StoredObject
from cairn.errors import PreconditionFailed

if TYPE_CHECKING:
    from cairn.wiring import OpenObject, RealOpenObject

_BLOCK = 1024 * 1024
_TOKEN = re.compile(r"[A-Za-z0-9_.-]{1,200}", re.ASCII)
_RANGE = re.compile(r"^bytes=(\d{0,19})-(\d{0,19})$", re.ASCII)


async def download(call: Call) -> Reply:
    opened = await apart(call, _open, call)
    info = opened.info
    headers = _headers(info)
    content_type = _header(info.attributes.content_type) or "application/octet-stream"
    asked = conditions(call)
    if not asked.met(info) or not _changed(call, info):
        opened.close()
        if not Conditions(generation=asked.generation, metageneration=asked.metageneration).met(info):
            raise PreconditionFailed("At least one of the pre-conditions you specified did not hold.")
        return Reply(304, content_type=content_type, headers=headers)
    span = _span(call, info)
    if span is None:
        opened.close()
        return Reply(416, b"", content_type, {"content-range": f"bytes */{info.size}"})
    start, end = span
    status = 200
    if (start, end) != (0, info.size) or call.headers.get("range"):
        status = 206
        headers["content-range"] = f"bytes {start}-{end - 1}/{info.size}"
    headers["content-length"] = str(end - start)
    if call.method == "HEAD" or start == end:
        opened.close()
        return Reply(200 if start == end else status, b"", content_type, headers)
    if end - start <= _BLOCK:
        return Reply(status, await apart(call, _read, opened, start, end), content_type, headers)
    return Reply(status, _stream(call, opened, start, end), content_type, headers)


def _open(call: Call) -> OpenObject | RealOpenObject:
    bucket = bucket_for(call, Role.VIEWER)
    objects = call.context.cairn.objects_of(bucket.name)
    return objects.open(bucket.name, call.variables["object"], generation=number(call, "generation"))


def _read(opened: OpenObject | RealOpenObject, start: int, end: int) -> bytes:
    content = opened.read(start, end - start)
    opened.close()
    return content


async def _stream(call: Call, opened: OpenObject | RealOpenObject, start: int, end: int) -> AsyncIterator[bytes]:
    """One block is read while the one before is sent."""
    try:
        coming = apart(call, opened.read, start, min(_BLOCK, end - start))
        while start < end:
            block = await coming
            if not block:
                raise ConnectionAbortedError("the file became shorter while it was sent")
            start += len(block)
            if start < end:
                coming = apart(call, opened.read, start, min(_BLOCK, end - start))
            yield block
    finally:
        opened.close()


def _span(call: Call, info: StoredObject) -> tuple[int, int] | None:
    """[start, end) that is asked for; None when it lies behind the end. What is no single range is all of it."""
    found = _RANGE.fullmatch(call.headers.get("range", ""))
    unchanged = call.headers.get("if-range", "").strip('"') in {"", info.etag}
    if found is None or not unchanged or found[0] == "bytes=-":
        return 0, info.size
    if not found[1]:
        count = int(found[2])
        return (max(0, info.size - count), info.size) if count and info.size else None
    start = int(found[1])
    end = min(int(found[2]) + 1, info.size) if found[2] else info.size
    return (start, end) if start < end else None


def _changed(call: Call, info: StoredObject) -> bool:
    """By the headers If-Match and If-None-Match. Raises PreconditionFailed."""
    match, none_match = call.headers.get("if-match", ""), call.headers.get("if-none-match", "")
    if match and not _names(match, info.etag):
        raise PreconditionFailed("At least one of the pre-conditions you specified did not hold.")
    return not (none_match and _names(none_match, info.etag))


def _names(header: str, etag: str) -> bool:
    return any(one.strip().removeprefix("W/").strip('"') in {etag, "*"} for one in header.split(","))


def _headers(info: StoredObject) -> dict[str, str]:
    """Also what keeps a page of somebody's out of this origin: a browser saves it, and runs nothing of it."""
    attributes = info.attributes
    headers = {
        "etag": info.etag,
        "accept-ranges": "bytes",
        "last-modified": formatdate(info.updated / 1_000_000, usegmt=True),
        "x-goog-generation": str(info.generation),
        "x-goog-metageneration": str(info.metageneration),
        "x-goog-storage-class": _header(attributes.storage_class),
        "x-goog-stored-content-encoding": _header(attributes.content_encoding) or "identity",
        "x-goog-stored-content-length": str(info.size),
        "content-disposition": _header(attributes.content_disposition) or "attachment",
        "content-security-policy": "default-src 'none'; sandbox",
        "cache-control": _header(attributes.cache_control) or "no-cache, no-transform",
    }
    sums = [f"crc32c={info.crc32c}"] if info.crc32c else []
    if info.md5 and not info.components:
        sums.append(f"md5={info.md5}")
    if sums:
        headers["x-goog-hash"] = ",".join(sums)
    for name, value in attributes.metadata.items():
        if _TOKEN.fullmatch(name) and value.isprintable():
            headers[f"x-goog-meta-{name.lower()}"] = _header(value)
    if attributes.content_encoding:
        headers["content-encoding"] = _header(attributes.content_encoding)
    if attributes.content_language:
        headers["content-language"] = _header(attributes.content_language)
    return headers


def _header(text: str) -> str:
    """UTF-8, in the Latin-1 that headers are written in."""
    return text.encode().decode("latin-1")
