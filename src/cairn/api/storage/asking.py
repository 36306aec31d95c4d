"""What every request to this front may carry: whose the bucket is, generations, conditions, parts of the answer."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from cairn.api.access import EVERY_PROJECT, Role
from cairn.api.http import Call, Reply, json_reply
from cairn.api.storage import fields
from cairn.domain.objects import Bucket, Conditions
from cairn.errors import InputRefused, NotFound, PermissionDenied

_NOT_FOUND = "The specified bucket does not exist."


def bucket_for(call: Call, role: Role, name: str = "") -> Bucket:
    """The bucket that the path names, if who asks may do this there: one of another project is not there.

    Raises NotFound, PermissionDenied.
    """
    name = name or call.variables["bucket"]
    bucket = call.context.cairn.objects.buckets.find(name)
    held = call.identity.role_in(bucket.project or EVERY_PROJECT)
    if held is Role.NONE:
        raise NotFound(_NOT_FOUND, place=name)
    if held < role:
        raise PermissionDenied(f"needs the role {role.name.lower()}", place=name)
    return bucket


def number(call: Call, name: str) -> int | None:
    """An int64 in the query. Raises InputRefused."""
    text = call.first(name)
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise InputRefused("must be a number", place=name)
    return int(text)


def conditions(call: Call, prefix: str = "if") -> Conditions:
    """`prefix` "ifSource" for those of a copy's source."""
    return Conditions(
        number(call, f"{prefix}GenerationMatch"),
        number(call, f"{prefix}GenerationNotMatch"),
        number(call, f"{prefix}MetagenerationMatch"),
        number(call, f"{prefix}MetagenerationNotMatch"),
    )


def body(call: Call) -> dict[str, Any]:
    """The JSON object of the body. Raises InputRefused."""
    given = call.json()
    if not isinstance(given, dict):
        raise InputRefused("the body must be a JSON object")
    return given


def answer(call: Call, told: Mapping[str, Any], status: int = 200) -> Reply:
    """With the parts that `fields` asks for."""
    asked = call.first("fields")
    etag = str(told.get("etag", ""))
    value = fields.select(told, fields.parse(asked)) if asked else told
    return json_reply(value, status, **({"etag": etag} if etag else {}))


def encode_token(after: str) -> str:
    return base64.urlsafe_b64encode(after.encode()).decode().rstrip("=")


def decode_token(token: str) -> str:
    """Raises InputRefused."""
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise InputRefused("is none of ours", place="pageToken") from None


def page_size(call: Call) -> int:
    given = number(call, "maxResults")
    return min(given, 1000) if given else 1000
