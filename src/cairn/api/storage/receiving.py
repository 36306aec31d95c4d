"""Bytes from the network into a partial object, with bounded memory: one block is written while the next one comes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from cairn.api.http import read_json
from cairn.errors import InputRefused, TooLarge

if TYPE_CHECKING:
    from cairn.wiring import Partial

_BLOCK = 1024 * 1024
METADATA_BYTES = 1024 * 1024
_BOUNDARY = re.compile(r'boundary="?([^";,]{1,200})"?')


async def whole(stream: AsyncIterator[bytes], limit: int = METADATA_BYTES) -> bytes:
    """Raises TooLarge."""
    parts, size = [], 0
    async for chunk in stream:
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"the metadata is larger than {limit} bytes")
        parts.append(chunk)
    return b"".join(parts)


async def into(partial: Partial, stream: AsyncIterator[bytes], *, skip: int = 0) -> None:
    """Append the stream, but for its first `skip` bytes. What came before an error stays written."""
    writing: asyncio.Future[None] | None = None
    parts: list[bytes] = []
    size = 0
    try:
        async for chunk in stream:
            if skip:
                chunk, skip = chunk[skip:], max(0, skip - len(chunk))
            parts.append(chunk)
            size += len(chunk)
            if size >= _BLOCK:
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(_taken(partial, parts))
                parts, size = [], 0
    finally:
        if writing is not None:
            await writing
        if size:
            await _taken(partial, parts)


async def _taken(partial: Partial, parts: list[bytes]) -> None:
    """Written and summed at the same time: each takes about as long as the bytes take to come."""
    summing = asyncio.ensure_future(asyncio.to_thread(partial.sum, parts))
    try:
        await asyncio.to_thread(partial.keep, parts)
    finally:
        await summing


def boundary_of(headers: Mapping[str, str]) -> bytes:
    """Raises InputRefused."""
    found = _BOUNDARY.search(headers.get("content-type", ""))
    if found is None:
        raise InputRefused("a multipart body needs its boundary", place="content-type")
    return found[1].encode("latin-1")


class Related:
    """multipart/related of two parts: the resource as JSON, and the bytes. Lines end with CRLF or, from gcsfs, LF."""

    def __init__(self, stream: AsyncIterator[bytes], boundary: bytes) -> None:
        self._stream = stream
        self._boundary = b"--" + boundary
        self._rest = b""
        self._end = b""
        self.content_type = ""

    async def resource(self) -> dict[str, Any]:
        """The first part. Raises InputRefused, TooLarge."""
        seen = bytearray()
        async for chunk in self._stream:
            seen += chunk
            found = self._begin(bytes(seen))
            if found is not None:
                return found
            if len(seen) > METADATA_BYTES:
                raise TooLarge(f"the metadata is larger than {METADATA_BYTES} bytes")
        raise InputRefused("the multipart body is not complete")

    async def media(self) -> AsyncIterator[bytes]:
        """The second part. Raises InputRefused when the body ends before it does."""
        held = self._rest
        keep = len(self._end) - 1
        ended = False
        at = held.find(self._end)
        if at >= 0:
            yield held[:at]
            ended = True
        async for chunk in self._stream:
            if ended:
                continue
            held += chunk
            at = held.find(self._end)
            if at >= 0:
                yield held[:at]
                ended = True
            elif len(held) > keep:
                yield held[:-keep]
                held = held[-keep:]
        if not ended:
            raise InputRefused("the multipart body is not complete")

    def _begin(self, seen: bytes) -> dict[str, Any] | None:
        """None: more is needed. From the first line's end on it is known how lines end."""
        opening = re.compile(re.escape(self._boundary) + rb"[ \t]*(\r?\n)").search(seen)
        if opening is None:
            return None
        line = opening[1]
        head = seen.find(line * 2, opening.end() - len(line))
        end = seen.find(line + self._boundary + line, head + len(line)) if head >= 0 else -1
        if end < 0:
            return None
        second = end + 2 * len(line) + len(self._boundary)
        media = seen.find(line * 2, second - len(line))
        if media < 0:
            return None
        self._rest = seen[media + 2 * len(line) :]
        self._end = line + self._boundary + b"--"
        for header in seen[second:media].split(line):
            name, _, value = header.partition(b":")
            if name.strip().lower() == b"content-type":
                self.content_type = value.strip().decode("latin-1")
        given = read_json(seen[head + 2 * len(line) : end])
        if not isinstance(given, dict):
            raise InputRefused("the resource must be a JSON object")
        return given
