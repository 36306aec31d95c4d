"""The XML API, as far as clients need it: object_store (obstore, polars, delta-rs) through its base URL, which is
`/storage/xml`, and google-cloud-storage's `upload_chunks_concurrently`, which asks at the root and is told apart by its
query.

https://cloud.google.com/storage/docs/xml-api/reference-methods, https://cloud.google.com/storage/docs/multipart-uploads
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from cairn.api.access import READ_ANY, WRITE_ANY, Role
from cairn.api.http import Call, Reply, Route
from cairn.api.status import status_of
from cairn.api.storage import media, receiving, resources
from cairn.api.storage.asking import bucket_for, decode_token, encode_token
from cairn.api.storage.threads import apart
from cairn.domain.objects import OBJECT_LIMIT, Attributes, Conditions, Query, StoredObject
from cairn.errors import CairnError, InputRefused, Unimplemented

PREFIX = "/storage/xml"
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"  # what clients look for
_COMPLETION_BYTES = 4 * 1024 * 1024
_PART = re.compile(r"<Part>(.*?)</Part>", re.DOTALL)
_NUMBER = re.compile(r"<PartNumber>\s*(\d{1,5})\s*</PartNumber>")
_TAG = re.compile(r"<ETag>\s*(?:&quot;|&#34;|\")?([0-9a-f]{32})(?:&quot;|&#34;|\")?\s*</ETag>")
_CODES = {
    400: "InvalidArgument",
    403: "AccessDenied",
    404: "NoSuchKey",
    409: "Conflict",
    412: "PreconditionFailed",
    413: "EntityTooLarge",
    501: "NotImplemented",
    503: "ServiceUnavailable",
}


def routes() -> list[Route]:
    bucket, one = f"{PREFIX}/{{bucket}}", f"{PREFIX}/{{bucket}}/{{object=**}}"
    return [
        Route("GET", bucket, _worded(_list), READ_ANY, "storage.xml.list", limit=1024),
        Route("GET", one, _worded(media.download), READ_ANY, "storage.xml.get", limit=1024),
        Route("PUT", one, _worded(_put), WRITE_ANY, "storage.xml.put", limit=OBJECT_LIMIT, streams=True),
        Route("POST", one, _worded(_post), WRITE_ANY, "storage.xml.post", limit=_COMPLETION_BYTES, streams=True),
        Route("DELETE", one, _worded(_delete), WRITE_ANY, "storage.xml.delete", limit=1024),
    ]


def meant(path: str, query: str) -> str:
    """The path of ours that a request at the root means; "" when it is none of the XML API's multipart uploads."""
    asked = dict(parse_qsl(query, keep_blank_values=True))
    return f"{PREFIX}{path}" if {"uploads", "uploadId"} & asked.keys() and path.count("/") > 1 else ""


def _worded(handler: Callable[[Call], Awaitable[Reply]]) -> Callable[[Call], Awaitable[Reply]]:
    """Errors in XML."""

    async def answered(call: Call) -> Reply:
        try:
            return await handler(call)
        except CairnError as error:
            status = status_of(error)
            code = _CODES.get(status.http, "InternalError" if status.http >= 500 else "InvalidRequest")
            return _xml("Error", f"<Code>{code}</Code><Message>{escape(status.message)}</Message>", status.http)

    return answered


async def _list(call: Call) -> Reply:
    return await apart(call, _listed, call)


def _listed(call: Call) -> Reply:
    bucket = bucket_for(call, Role.VIEWER)
    limit = call.first("max-keys", "1000")
    token = call.first("continuation-token")
    query = Query(
        prefix=call.first("prefix"),
        delimiter=call.first("delimiter"),
        after=max(decode_token(token), call.first("start-after")),
        limit=min(int(limit), 1000) if limit.isascii() and limit.isdigit() and 0 < len(limit) < 9 else 1000,
    )
    found = call.context.cairn.objects_of(bucket.name).list(bucket.name, query)
    parts = [f"<Name>{bucket.name}</Name><Prefix>{escape(query.prefix)}</Prefix>"]
    parts.append(f"<KeyCount>{len(found.objects) + len(found.prefixes)}</KeyCount>")
    parts.append(f"<IsTruncated>{'true' if found.after else 'false'}</IsTruncated>")
    if found.after:
        parts.append(f"<NextContinuationToken>{encode_token(found.after)}</NextContinuationToken>")
    parts += [_entry(info) for info in found.objects]
    parts += [f"<CommonPrefixes><Prefix>{escape(prefix)}</Prefix></CommonPrefixes>" for prefix in found.prefixes]
    return _xml("ListBucketResult", "".join(parts))


def _entry(info: StoredObject) -> str:
    known = f"<Generation>{info.generation}</Generation><ETag>&quot;{info.etag}&quot;</ETag>" if info.generation else ""
    return (
        f"<Contents><Key>{escape(info.name)}</Key>{known}"
        f"<LastModified>{resources.time_text(info.updated)}</LastModified><Size>{info.size}</Size></Contents>"
    )


async def _put(call: Call) -> Reply:
    assert call.stream is not None
    if call.first("uploadId"):
        return await _part(call)
    if call.headers.get("x-goog-copy-source"):
        return await apart(call, _copied, call)
    objects = call.context.cairn.objects_of(call.variables["bucket"])
    bucket, name = await apart(call, _expected, call)
    with await apart(call, objects.begin) as partial:
        await receiving.into(partial, call.stream)
        partial.summed().check(*_told_sums(call))
        stored = partial, _attributes(call)
        info = await apart(call, objects.put, bucket, name, *stored, conditions=_conditions(call))
    return _stored(info)


def _copied(call: Call) -> Reply:
    source, _, name = unquote(call.headers["x-goog-copy-source"]).lstrip("/").partition("/")
    bucket_for(call, Role.VIEWER, source)
    target = bucket_for(call, Role.EDITOR)
    cairn = call.context.cairn
    opened = cairn.objects_of(source).open(source, name)
    try:
        info = cairn.objects_of(target.name).copy(
            opened, target.name, call.variables["object"], conditions=_conditions(call)
        )
    finally:
        opened.close()
    told = f"<ETag>&quot;{info.etag}&quot;</ETag><LastModified>{resources.time_text(info.updated)}</LastModified>"
    reply = _xml("CopyObjectResult", told)
    reply.headers.update(_stored(info).headers)
    return reply


async def _part(call: Call) -> Reply:
    assert call.stream is not None
    number = call.first("partNumber")
    if not number.isascii() or not number.isdigit() or len(number) > 5:
        raise InputRefused("must be a number", place="partNumber")
    uploads = call.context.cairn.part_uploads
    upload = await apart(call, _upload, call)
    with uploads.receiving(upload) as partial:
        await receiving.into(partial, call.stream)
        partial.summed().check(*_told_sums(call))
        tag = await apart(call, uploads.keep, upload, int(number), partial)
        sums = partial.summed()
    return Reply(200, b"", headers={"etag": f'"{tag}"', "x-goog-hash": f"crc32c={sums.crc32c},md5={sums.md5}"})


async def _post(call: Call) -> Reply:
    """The begin of an upload in parts (`?uploads`), or its end (`?uploadId=`)."""
    assert call.stream is not None
    content = await receiving.whole(call.stream, _COMPLETION_BYTES)
    if call.first("uploadId"):
        return await apart(call, _finished, call, content.decode("utf-8", "replace"))
    if "uploads" not in dict(call.query):
        raise Unimplemented("is not one of the XML API's requests that this server has", place=call.method)
    return await apart(call, _started, call)


def _started(call: Call) -> Reply:
    bucket, name = _expected(call)
    upload = call.context.cairn.part_uploads.start(bucket, name, _attributes(call), _conditions(call))
    told = f"<Bucket>{bucket}</Bucket><Key>{escape(name)}</Key><UploadId>{upload.id}</UploadId>"
    return _xml("InitiateMultipartUploadResult", told)


def _finished(call: Call, content: str) -> Reply:
    parts = []
    for part in _PART.findall(content):
        number, tag = _NUMBER.search(part), _TAG.search(part)
        if number is None or tag is None:
            raise InputRefused("a part needs its PartNumber and ETag", place="CompleteMultipartUpload")
        parts.append((int(number[1]), tag[1]))
    info = call.context.cairn.part_uploads.finish(_upload(call), parts)
    told = f"<Bucket>{info.bucket}</Bucket><Key>{escape(info.name)}</Key><ETag>&quot;{info.etag}&quot;</ETag>"
    reply = _xml("CompleteMultipartUploadResult", told)
    reply.headers.update(_stored(info).headers)
    return reply


async def _delete(call: Call) -> Reply:
    return await apart(call, _deleted, call)


def _deleted(call: Call) -> Reply:
    if call.first("uploadId"):
        call.context.cairn.part_uploads.cancel(_upload(call))
        return Reply(204)
    bucket = bucket_for(call, Role.EDITOR)
    objects = call.context.cairn.objects_of(bucket.name)
    objects.delete(bucket.name, call.variables["object"], conditions=_conditions(call))
    return Reply(204)


def _upload(call: Call) -> Any:
    bucket = bucket_for(call, Role.EDITOR)
    upload = call.context.cairn.part_uploads.find(call.first("uploadId"))
    if (upload.bucket, upload.name) != (bucket.name, call.variables["object"]):
        raise InputRefused("is of another object", place="uploadId")
    return upload


def _expected(call: Call) -> tuple[str, str]:
    """(bucket, name), checked before anything of the bytes is read."""
    bucket, name = bucket_for(call, Role.EDITOR), call.variables["object"]
    call.context.cairn.objects_of(bucket.name).expect(bucket.name, name, _conditions(call))
    return bucket.name, name


def _attributes(call: Call) -> Attributes:
    """Out of the headers."""
    given: dict[str, Any] = {
        "contentType": call.headers.get("content-type") or "application/octet-stream",
        "contentEncoding": call.headers.get("content-encoding", ""),
        "contentDisposition": call.headers.get("content-disposition", ""),
        "contentLanguage": call.headers.get("content-language", ""),
        "cacheControl": call.headers.get("cache-control", ""),
        "storageClass": call.headers.get("x-goog-storage-class", ""),
    }
    mark = "x-goog-meta-"
    named = {name[len(mark) :]: _text(value) for name, value in call.headers.items() if name.startswith(mark)}
    return resources.attributes_of({**given, "metadata": named})


def _text(header: str) -> str:
    """UTF-8, in the Latin-1 that headers are read as."""
    return header.encode("latin-1", "replace").decode("utf-8", "replace")


def _conditions(call: Call) -> Conditions:
    def number(name: str) -> int | None:
        text = call.headers.get(f"x-goog-if-{name}", "")
        if not text:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > 19:
            raise InputRefused("must be a number", place=f"x-goog-if-{name}")
        return int(text)

    return Conditions(generation=number("generation-match"), metageneration=number("metageneration-match"))


def _told_sums(call: Call) -> tuple[str, str]:
    """(crc32c, md5) that the client says."""
    told = dict(re.findall(r"(crc32c|md5)=([A-Za-z0-9+/=]+)", call.headers.get("x-goog-hash", "")))
    return told.get("crc32c", ""), told.get("md5", "") or call.headers.get("content-md5", "")


def _stored(info: StoredObject) -> Reply:
    headers = {
        "etag": f'"{info.etag}"',
        "x-goog-generation": str(info.generation),
        "x-goog-metageneration": str(info.metageneration),
    }
    return Reply(200, b"", "application/xml", headers)


def _xml(root: str, inside: str, status: int = 200) -> Reply:
    space = "" if root == "Error" else f' xmlns="{_NAMESPACE}"'
    text = f'<?xml version="1.0" encoding="UTF-8"?><{root}{space}>{inside}</{root}>'
    return Reply(status, text.encode(), "application/xml")
