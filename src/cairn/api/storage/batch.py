"""Many requests in one: multipart/mixed of application/http, for metadata only.

https://cloud.google.com/storage/docs/batch
"""

from __future__ import annotations

import asyncio
import inspect
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from cairn.api.http import Call, Reply
from cairn.api.routing import Router
from cairn.api.status import Code, Status, status_of
from cairn.api.storage.receiving import boundary_of
from cairn.api.storage.wording import worded
from cairn.errors import InputRefused, NotFound, Unimplemented

LIMIT = 1000
_REASONS: Mapping[int, str] = {status.value: status.phrase for status in HTTPStatus}

Dispatch: TypeAlias = "Callable[[Call], Awaitable[Reply]]"


@dataclass(frozen=True, slots=True)
class _Part:
    content_id: str
    method: str
    target: str
    headers: Mapping[str, str]
    content: bytes


def over(router: Router) -> Dispatch:
    """The handler of batches of these routes. Each asks for its own bucket, so each is let in by itself."""

    async def batch(call: Call) -> Reply:
        parts = _parts(call.content, boundary_of(call.headers))
        boundary = f"batch_{secrets.token_hex(16)}"
        told = []
        for part in parts:
            reply = await _answered(router, call, part)
            told.append(_worded(boundary, part, reply))
        content = b"".join(told) + f"--{boundary}--\r\n".encode()
        return Reply(200, content, f"multipart/mixed; boundary={boundary}")

    return batch


async def _answered(router: Router, call: Call, part: _Part) -> Reply:
    try:
        url = urlsplit(part.target)
        match = router.find(part.method, url.path)
        if match is None:
            raise NotFound(f"there is nothing at {url.path}")
        query = parse_qsl(url.query, keep_blank_values=True)
        if match.route.streams or ("alt", "media") in query:
            raise Unimplemented("uploads and downloads have no place in a batch")
        inner = Call(
            call.context,
            part.method,
            unquote(url.path),
            query,
            part.headers,
            match.variables,
            call.identity,
            content=part.content,
            base_url=call.base_url,
        )
        if inspect.iscoroutinefunction(match.route.handler):
            return await match.route.handler(inner)  # type: ignore[no-any-return]
        reply = await asyncio.to_thread(match.route.handler, inner)
        return await reply if inspect.isawaitable(reply) else reply
    except ValueError as error:
        return _refused(Status(Code.INVALID_ARGUMENT, f"cannot be read: {error}", 400))
    except Exception as error:  # noqa: BLE001 - one request's error is its own answer
        return _refused(status_of(error))


def _refused(status: Status) -> Reply:
    return Reply(status.http, msgspec.json.encode(worded(status)))


def _worded(boundary: str, part: _Part, reply: Reply) -> bytes:
    content = reply.body if isinstance(reply.body, bytes) else b""
    reason = _REASONS.get(reply.status, "")
    lines = [
        f"--{boundary}",
        "Content-Type: application/http",
        f"Content-ID: <response-{part.content_id.strip('<>')}>",
        "",
        f"HTTP/1.1 {reply.status} {reason}",
        f"Content-Type: {reply.content_type}; charset=UTF-8",
        f"Content-Length: {len(content)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1", "replace") + content + b"\r\n"


def _parts(content: bytes, boundary: bytes) -> list[_Part]:
    """Raises InputRefused."""
    pieces = re.split(rb"(?:^|\r?\n)--" + re.escape(boundary) + rb"(?:--)?[ \t]*(?:\r?\n|$)", content)[1:]
    parts = [_part(piece) for piece in pieces if piece.strip()]
    if not 1 <= len(parts) <= LIMIT:
        raise InputRefused(f"a batch holds 1 to {LIMIT} requests, and not {len(parts)}")
    return parts


def _part(piece: bytes) -> _Part:
    outer, _, request = _split(piece)
    content_id = _headers(outer).get("content-id", "")
    head, _, content = _split(request.lstrip(b"\r\n"))
    line, _, headers = head.replace(b"\r\n", b"\n").partition(b"\n")
    words = line.decode("latin-1").split()
    if len(words) != 3:
        raise InputRefused("a part of the batch is no request", place=repr(line[:80]))
    if not re.fullmatch(r"[\x21-\x7e]{0,200}", content_id):
        raise InputRefused("is not printable", place="content-id")
    return _Part(content_id, words[0].upper(), words[1], _headers(headers), content)


def _split(piece: bytes) -> tuple[bytes, bytes, bytes]:
    """At the first empty line."""
    found = re.search(rb"\r?\n\r?\n", piece)
    return (piece[: found.start()], found[0], piece[found.end() :]) if found else (piece, b"", b"")


def _headers(lines: bytes) -> dict[str, str]:
    found = {}
    for line in lines.replace(b"\r\n", b"\n").split(b"\n"):
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            found[name.strip().lower()] = value.strip()
    return found
