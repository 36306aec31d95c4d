"""Objects: metadata, list, delete, copy, rewrite, compose."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import msgspec

from cairn.api.access import Role
from cairn.api.http import Call, Reply
from cairn.api.storage import fields, media, resources
from cairn.api.storage.asking import (
    answer,
    body,
    bucket_for,
    conditions,
    decode_token,
    encode_token,
    number,
    page_size,
)
from cairn.api.storage.threads import apart
from cairn.domain.objects import COMPOSE_LIMIT, Attributes, Conditions, Query, StoredObject
from cairn.errors import InputRefused, PreconditionFailed, Unimplemented

_SUMS = ("crc32c", "md5Hash")


async def get(call: Call) -> Reply:
    """Metadata, or with alt=media the bytes."""
    if call.first("alt") == "media":
        return await media.download(call)
    return await apart(call, _get, call)


def _get(call: Call) -> Reply:
    bucket = bucket_for(call, Role.VIEWER)
    asked = call.first("fields")
    mask = fields.parse(asked) if asked else {}
    info = call.context.cairn.objects_of(bucket.name).find(
        bucket.name,
        call.variables["object"],
        generation=number(call, "generation"),
        summed=any(fields.names(mask, name) for name in _SUMS),
    )
    unmet = unmet_reply(conditions(call), info)
    return unmet or answer(call, resources.object_json(info, call.base_url))


def unmet_reply(asked: Conditions, info: StoredObject) -> Reply | None:
    """304 when the object is the one that the client has. Raises PreconditionFailed."""
    if not Conditions(generation=asked.generation, metageneration=asked.metageneration).met(info):
        raise PreconditionFailed("At least one of the pre-conditions you specified did not hold.")
    return None if asked.met(info) else Reply(304, headers={"etag": info.etag})


def list_all(call: Call) -> Reply:
    bucket = bucket_for(call, Role.VIEWER)
    if call.first("softDeleted").lower() == "true":
        raise Unimplemented("what is deleted is gone", place="softDeleted")
    # `versions` makes no difference: as in a bucket without versioning, there is but the live one.
    query = Query(
        prefix=call.first("prefix"),
        delimiter=call.first("delimiter"),
        start=call.first("startOffset"),
        end=call.first("endOffset"),
        after=decode_token(call.first("pageToken")),
        glob=call.first("matchGlob"),
        trailing_delimiter=call.first("includeTrailingDelimiter").lower() == "true",
        limit=page_size(call),
    )
    found = call.context.cairn.objects_of(bucket.name).list(bucket.name, query)
    told: dict[str, Any] = {"kind": "storage#objects"}
    if found.objects:
        told["items"] = [resources.object_json(info, call.base_url) for info in found.objects]
    if found.prefixes:
        told["prefixes"] = list(found.prefixes)
    if found.after:
        told["nextPageToken"] = encode_token(found.after)
    return answer(call, told)


def patch(call: Call) -> Reply:
    return _change(call, merge=True)


def update(call: Call) -> Reply:
    return _change(call, merge=False)


def _change(call: Call, *, merge: bool) -> Reply:
    bucket = bucket_for(call, Role.EDITOR)
    given = body(call)
    info = call.context.cairn.objects_of(bucket.name).change(
        bucket.name,
        call.variables["object"],
        lambda before: resources.attributes_of(given, before if merge else None),
        generation=number(call, "generation"),
        conditions=conditions(call),
    )
    return answer(call, resources.object_json(info, call.base_url))


def delete(call: Call) -> Reply:
    bucket = bucket_for(call, Role.EDITOR)
    call.context.cairn.objects_of(bucket.name).delete(
        bucket.name, call.variables["object"], generation=number(call, "generation"), conditions=conditions(call)
    )
    return Reply(204)


async def copy(call: Call) -> Reply:
    info = await apart(call, _copied, call)
    return answer(call, resources.object_json(info, call.base_url))


async def rewrite(call: Call) -> Reply:
    """Always done at once, so a token is never given, and one that comes is none of ours."""
    if call.first("rewriteToken"):
        raise InputRefused("is none of ours: a rewrite is done in one request", place="rewriteToken")
    info = await apart(call, _copied, call)
    told = {
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": str(info.size),
        "objectSize": str(info.size),
        "done": True,
        "resource": resources.object_json(info, call.base_url),
    }
    return answer(call, told)


def _copied(call: Call) -> StoredObject:
    source = bucket_for(call, Role.VIEWER)
    target = bucket_for(call, Role.EDITOR, call.variables["to_bucket"])
    given = body(call)
    opened = call.context.cairn.objects_of(source.name).open(
        source.name,
        call.variables["object"],
        generation=number(call, "sourceGeneration"),
        conditions=conditions(call, "ifSource"),
    )
    try:
        attributes = opened.info.attributes
        if any(name in given for name in ("contentType", "metadata", "contentEncoding", "cacheControl")):
            attributes = resources.attributes_of(given, Attributes(content_type=attributes.content_type))
        elif given.get("storageClass"):
            attributes = resources.attributes_of(given, attributes)
        name = call.variables["to_object"]
        objects = call.context.cairn.objects_of(target.name)
        return objects.copy(opened, target.name, name, attributes, conditions=conditions(call))
    finally:
        opened.close()


def move(call: Call) -> Reply:
    bucket = bucket_for(call, Role.EDITOR)
    info = call.context.cairn.objects_of(bucket.name).move(
        bucket.name,
        call.variables["object"],
        call.variables["to_object"],
        source=conditions(call, "ifSource"),
        conditions=conditions(call),
    )
    return answer(call, resources.object_json(info, call.base_url))


async def compose(call: Call) -> Reply:
    info = await apart(call, _composed, call)
    return answer(call, resources.object_json(info, call.base_url))


def _composed(call: Call) -> StoredObject:
    bucket = bucket_for(call, Role.EDITOR)
    given = body(call)
    sources = given.get("sourceObjects")
    if not isinstance(sources, list) or not 1 <= len(sources) <= COMPOSE_LIMIT:
        raise InputRefused(f"must be 1 to {COMPOSE_LIMIT} objects", place="sourceObjects")
    objects = call.context.cairn.objects_of(bucket.name)
    with ExitStack() as stack:
        opened = []
        for source in sources:
            if not isinstance(source, dict) or not isinstance(source.get("name"), str):
                raise InputRefused("must be {name}", place="sourceObjects")
            one = objects.open(bucket.name, source["name"], **_source_terms(source))
            stack.callback(one.close)
            opened.append(one)
        destination = given.get("destination")
        attributes = resources.attributes_of(destination if isinstance(destination, dict) else {})
        if not attributes.content_type:
            attributes = msgspec.structs.replace(attributes, content_type=opened[0].info.attributes.content_type)
        name = call.variables["object"]
        info = objects.compose(bucket.name, name, opened, attributes, conditions=conditions(call))
    if given.get("deleteSourceObjects"):
        for one in opened:
            if one.info.name != name:
                objects.delete(bucket.name, one.info.name, generation=one.info.generation)
    return info


def _source_terms(source: dict[str, Any]) -> dict[str, Any]:
    asked = source.get("objectPreconditions")
    match = asked.get("ifGenerationMatch") if isinstance(asked, dict) else None
    try:
        return {
            "generation": int(source["generation"]) if source.get("generation") is not None else None,
            "conditions": Conditions(generation=int(match) if match is not None else None),
        }
    except (TypeError, ValueError):
        raise InputRefused("must be a number", place="sourceObjects.generation") from None


def unserved(call: Call) -> Reply:
    """Notifications, HMAC keys, folders, managed folders, anywhere caches."""
    if "bucket" in call.variables:
        bucket_for(call, Role.VIEWER)
    raise Unimplemented("is a part of the storage API that this server does not have", place=call.path)
