"""Uploads: media, multipart, and resumable with its sessions.

https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from cairn.api.access import Role
from cairn.api.http import Call, Reply, read_json
from cairn.api.storage import receiving, resources
from cairn.api.storage.asking import answer, bucket_for, conditions
from cairn.api.storage.threads import apart
from cairn.domain.objects import Attributes, StoredObject
from cairn.errors import InputRefused, PreconditionFailed

if TYPE_CHECKING:
    from cairn.wiring import Partial, Session

_CONTENT_RANGE = re.compile(r"^bytes (?:(\d{1,19})-(\d{1,19})|\*)/(\d{1,19}|\*)$", re.ASCII)
_HASH = re.compile(r"(crc32c|md5)=([A-Za-z0-9+/=]+)")


async def insert(call: Call) -> Reply:
    """POST of a new object, of a new session, or (gcsfs) of a chunk to a session."""
    if call.first("upload_id"):
        return await append(call)
    how = call.first("uploadType")
    if how == "multipart":
        return await _multipart(call)
    if how == "resumable":
        return await _start(call)
    if how == "media":
        return await _media(call)
    raise InputRefused("must be media, multipart or resumable", place="uploadType")


async def _media(call: Call) -> Reply:
    assert call.stream is not None
    kind = call.headers.get("content-type", "")
    attributes = Attributes(content_type=kind, content_encoding=call.first("contentEncoding"))
    place = await apart(call, _expected, call, call.first("name"))
    with await apart(call, call.context.cairn.objects.begin) as partial:
        await receiving.into(partial, call.stream)
        return await apart(call, _stored, call, place, partial, attributes, _sums(call, {}))


async def _multipart(call: Call) -> Reply:
    assert call.stream is not None
    related = receiving.Related(call.stream, receiving.boundary_of(call.headers))
    given = await related.resource()
    attributes = _attributes(given, related.content_type)
    place = await apart(call, _expected, call, call.first("name") or given.get("name"))
    with await apart(call, call.context.cairn.objects.begin) as partial:
        await receiving.into(partial, related.media())
        return await apart(call, _stored, call, place, partial, attributes, _sums(call, given))


def _stored(
    call: Call, place: tuple[str, str], partial: Partial, attributes: Attributes, sums: dict[str, str]
) -> Reply:
    crc32c, md5 = sums.get("crc32c", ""), sums.get("md5", "")
    objects = call.context.cairn.objects_of(place[0])
    info = objects.put(*place, partial, attributes, conditions=conditions(call), crc32c=crc32c, md5=md5)
    return answer(call, resources.object_json(info, call.base_url))


async def _start(call: Call) -> Reply:
    assert call.stream is not None
    given = read_json(await receiving.whole(call.stream))
    if not isinstance(given, dict):
        raise InputRefused("the resource must be a JSON object")
    session = await apart(call, _started, call, given)
    path = f"/upload/storage/v1/b/{quote(session.bucket, safe='')}/o"
    query = f"uploadType=resumable&name={quote(session.name, safe='')}&upload_id={session.id}"
    headers = {"location": f"{call.base_url}{path}?{query}", "x-guploader-uploadid": session.id}
    return Reply(200, b"", headers=headers)


def _started(call: Call, given: dict[str, Any]) -> Session:
    bucket, name = _expected(call, call.first("name") or given.get("name"))
    total = call.headers.get("x-upload-content-length", "")
    attributes = _attributes(given, call.headers.get("x-upload-content-type", ""))
    sums = _sums(call, given)
    return call.context.cairn.uploads.start(
        bucket,
        name,
        attributes,
        conditions(call),
        total=int(total) if total.isascii() and total.isdigit() and len(total) < 19 else -1,
        crc32c=sums.get("crc32c", ""),
        md5=sums.get("md5", ""),
    )


async def append(call: Call) -> Reply:
    """A chunk (`bytes 0-99/*`, `bytes 0-99/100`), the whole (no Content-Range), or the question how far it is
    (`bytes */*`, `bytes */100`)."""
    assert call.stream is not None
    session = await apart(call, _session, call)
    start, total = _content_range(call, session)
    if session.finished is not None:
        return _finished(call, session.finished)
    uploads = call.context.cairn.uploads
    appending = uploads.appending(session)
    partial = await apart(call, appending.__enter__)
    try:
        if start is not None:
            if start > partial.size:
                raise InputRefused(
                    f"{partial.size} bytes have arrived, and this begins behind them", place="content-range"
                )
            await receiving.into(partial, call.stream, skip=partial.size - start)
        return await apart(call, _advanced, call, session, partial, total)
    finally:
        await apart(call, appending.__exit__, None, None, None)


def _advanced(call: Call, session: Session, partial: Partial, total: int | None) -> Reply:
    """`total`: None when it is not known yet, -1 for "what has arrived is all"."""
    if total is None or partial.size < total:
        return _incomplete(partial.size)
    uploads = call.context.cairn.uploads
    if 0 <= total < partial.size:
        uploads.cancel(session)
        raise InputRefused(f"{total} bytes were announced, and {partial.size} have come", place="content-range")
    try:
        return _finished(call, uploads.finish(session, partial, **_sums(call, {})))
    except (InputRefused, PreconditionFailed):
        uploads.cancel(session)
        raise


async def cancel(call: Call) -> Reply:
    """As Cloud Storage: 499."""
    session = await apart(call, _session, call)
    await apart(call, call.context.cairn.uploads.cancel, session)
    return Reply(499)


def _session(call: Call) -> Session:
    bucket = bucket_for(call, Role.EDITOR)
    session = call.context.cairn.uploads.find(call.first("upload_id"))
    if session.bucket != bucket.name:
        raise InputRefused("is of another bucket", place="upload_id")
    return session


def _content_range(call: Call, session: Session) -> tuple[int | None, int | None]:
    """(where the body begins, None when there is none; the total as in `_advanced`). Raises InputRefused."""
    header = call.headers.get("content-range", "")
    if not header:
        return 0, session.total if session.total >= 0 else -1
    found = _CONTENT_RANGE.fullmatch(header)
    if found is None:
        raise InputRefused("is none of `bytes FIRST-LAST/TOTAL`, `bytes */TOTAL`", place="content-range")
    total = None if found[3] == "*" else int(found[3])
    return (None if found[1] is None else int(found[1])), total


def _finished(call: Call, info: StoredObject) -> Reply:
    return answer(call, resources.object_json(info, call.base_url))


def _incomplete(size: int) -> Reply:
    return Reply(308, b"", headers={"range": f"bytes=0-{size - 1}"} if size else {})


def _expected(call: Call, name: object) -> tuple[str, str]:
    """(bucket, name), checked before anything of the bytes is read."""
    bucket = bucket_for(call, Role.EDITOR)
    if not isinstance(name, str):
        raise InputRefused("Required", place="name")
    call.context.cairn.objects_of(bucket.name).expect(bucket.name, name, conditions(call))
    return bucket.name, name


def _attributes(given: dict[str, Any], content_type: str) -> Attributes:
    attributes = resources.attributes_of(given)
    if attributes.content_type:
        return attributes
    return msgspec.structs.replace(attributes, content_type=content_type or "application/octet-stream")


def _sums(call: Call, given: dict[str, Any]) -> dict[str, str]:
    """What the client says of the bytes: in the resource, or in the header x-goog-hash."""
    told = {"crc32c": given.get("crc32c"), "md5": given.get("md5Hash")}
    told.update(_HASH.findall(call.headers.get("x-goog-hash", "")))
    return {name: value for name, value in told.items() if isinstance(value, str) and value}
