"""Messages of a gRPC stream: one byte for compressed or not, four for the length, then the message."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from cairn.errors import InputRefused, TooLarge

_HEAD = struct.Struct(">BL")
CHUNK_SECONDS = 30.0  # for the next part of a message that has begun


class Gone(ConnectionError):
    """The client has cancelled the call, or is not there any more."""


class Messages:
    """What the client sends, message by message; nothing beyond `limit` bytes is held."""

    def __init__(
        self,
        receive: Callable[[], Awaitable[Mapping[str, Any]]],
        encoding: str,
        limit: int,
        held: Callable[[int], None],
    ) -> None:
        """`held` is told of the bytes that are buffered, and may refuse them."""
        self._receive = receive
        self._encoding = encoding
        self._limit = limit
        self._told = held
        self._buffer = bytearray()
        self._ended = False

    async def next(self) -> bytes | None:
        """None at the end. Raises Gone, TooLarge before the message is read, InputRefused for what is no message."""
        while len(self._buffer) < _HEAD.size:
            if self._ended:
                if self._buffer:
                    raise InputRefused("the stream ends inside a message")
                return None
            await self._more()
        compressed, length = _HEAD.unpack_from(self._buffer)
        if length > self._limit:
            raise TooLarge(f"the message is larger than {self._limit} bytes")
        behind = _HEAD.size + length
        while len(self._buffer) < behind:
            if self._ended:
                raise InputRefused("the stream ends inside a message")
            await self._more()
        message = bytes(memoryview(self._buffer)[_HEAD.size : behind])
        del self._buffer[:behind]
        return self._decompressed(message) if compressed else message

    async def only(self) -> bytes:
        """The one message of a call that takes one."""
        message = await self.next()
        if message is None:
            raise InputRefused("the call has no message")
        if not self._ended and not self._buffer:
            await self._more()
        if self._buffer:
            raise InputRefused("the call has more than one message")
        return message

    async def _more(self) -> None:
        try:
            async with asyncio.timeout(CHUNK_SECONDS if self._buffer else None):
                event = await self._receive()
        except TimeoutError:
            raise Gone("the message did not come") from None
        if event["type"] == "http.disconnect":
            raise Gone("the call was cancelled")
        chunk = event.get("body", b"")
        if chunk:
            self._told(len(chunk))
            self._buffer += chunk
        self._ended = not event.get("more_body")

    def _decompressed(self, message: bytes) -> bytes:
        if self._encoding != "gzip":
            raise InputRefused("a compressed message, without its encoding being named")
        decoder = zlib.decompressobj(31)
        try:
            plain = decoder.decompress(message, self._limit + 1)
        except zlib.error as error:
            raise InputRefused(f"the message is not gzip: {error}") from None
        if len(plain) > self._limit:
            raise TooLarge(f"the message is larger than {self._limit} bytes")
        if not decoder.eof:
            raise InputRefused("the compressed message is cut short")
        return plain


def framed(message: bytes) -> bytes:
    return _HEAD.pack(0, len(message)) + message
