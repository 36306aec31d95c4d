"""One request to a TensorBoard on its Unix socket, and its answer as it comes.

HTTP/1.0, so that an answer ends with its connection, and nothing is left to agree upon from hop to hop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import urlencode

from cairn.api.http import Call, Reply
from cairn.errors import StoreUnavailable
from cairn.tensorboards.viewing import Viewer

PIECE = 128 * 1024
HEAD_LIMIT = 64 * 1024
ANSWER_SECONDS = 120.0  # until an answer begins
_PASSED_ON = (
    "accept",
    "accept-encoding",
    "accept-language",
    "content-type",
    "if-none-match",
    "if-modified-since",
    "range",
)
_PASSED_BACK = frozenset(
    (
        "accept-ranges",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-range",
        "content-security-policy",
        "etag",
        "expires",
        "last-modified",
        "location",
        "vary",
    )
)


async def fetch(viewer: Viewer, call: Call, path: str) -> Reply:
    """Raises StoreUnavailable when it does not answer. Credentials and cookies stay here, in both directions."""
    viewer.asking += 1
    try:
        reader, writer = await asyncio.open_unix_connection(viewer.socket, limit=HEAD_LIMIT)
        try:
            writer.write(_request(call, path))
            await writer.drain()
            async with asyncio.timeout(ANSWER_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            status, kind, headers = _head(head)
        except BaseException:
            writer.close()
            raise
    except (OSError, TimeoutError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        _leave(viewer)
        raise StoreUnavailable(f"TensorBoard does not answer: {error}") from None
    except BaseException:
        _leave(viewer)
        raise
    return Reply(status, _body(viewer, reader, writer), kind, headers)


async def _body(viewer: Viewer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
    try:
        while piece := await reader.read(PIECE):
            yield piece
    except OSError:
        return
    finally:
        writer.close()
        _leave(viewer)


def _leave(viewer: Viewer) -> None:
    viewer.asking -= 1
    viewer.used = time.monotonic()


def _request(call: Call, path: str) -> bytes:
    target = f"{path}?{urlencode(call.query)}" if call.query else path
    lines = [f"{call.method if call.method != 'HEAD' else 'GET'} {target} HTTP/1.0", "Host: localhost"]
    lines += [f"{name}: {call.headers[name]}" for name in _PASSED_ON if name in call.headers]
    if call.content:
        lines.append(f"Content-Length: {len(call.content)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + call.content


def _head(head: bytes) -> tuple[int, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    status = int(first.split(" ", 2)[1])
    kind, headers = "application/octet-stream", dict[str, str]()
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon:
            continue
        if name == "content-type":
            kind = value.strip()
        elif name in _PASSED_BACK:
            headers[name] = value.strip()
    return status, kind, headers
