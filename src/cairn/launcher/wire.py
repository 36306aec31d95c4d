"""Messages between the engine, the warm parents and the supervisors, over a stream socket.

A frame is two little-endian 32-bit lengths, a JSON object of the first length, and bytes of the second.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
from typing import Any, Dict, Optional, Tuple

HEADER = struct.Struct("<II")
CHUNK = 1 << 16
MAX_BODY = (1 << 32) - 1

Message = Tuple[Dict[str, Any], bytes]


def encode(head: Dict[str, Any], body: bytes = b"") -> bytes:
    """One frame. Strings may hold lone surrogates (undecodable bytes of environment variables)."""
    text = json.dumps(head, separators=(",", ":")).encode("ascii")
    return HEADER.pack(len(text), len(body)) + text + body


class Decoder:
    """Cuts a byte stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Optional[Message]:
        buffer = self._buffer
        if len(buffer) < HEADER.size:
            return None
        head_length, body_length = HEADER.unpack_from(buffer)
        start = HEADER.size + head_length
        end = start + body_length
        if len(buffer) < end:
            return None
        head = json.loads(buffer[HEADER.size : start].decode("ascii"))
        body = bytes(buffer[start:end])
        del buffer[:end]
        return head, body


class Channel:
    """A supervisor's end of its socket to the engine. `closed` is set once the engine's end is gone."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.closed = False
        self._decoder = Decoder()

    def poll(self) -> Optional[Message]:
        """The next message if one is there; never waits."""
        message = self._decoder.next()
        while message is None and not self.closed:
            try:
                data = os.read(self.fd, CHUNK)
            except BlockingIOError:
                return None
            except OSError:
                data = b""
            if not data:
                self.closed = True
                break
            self._decoder.feed(data)
            message = self._decoder.next()
        return message

    def send(self, frame: bytes) -> None:
        """Deliver a frame, waiting for room. An engine that is gone is no error: it finds `exit.json` later."""
        view = memoryview(frame)
        while view and not self.closed:
            try:
                view = view[os.write(self.fd, view) :]
            except BlockingIOError:
                select.select([], [self.fd], [])
            except OSError:
                self.closed = True


def receive_descriptor(connection: socket.socket) -> Optional[int]:
    """A descriptor that the engine passed (one byte with SCM_RIGHTS); None when the engine's end is closed."""
    size = struct.calcsize("i")
    try:
        data, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(size))
    except (ConnectionResetError, BrokenPipeError):
        return None
    if not data:
        return None
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            return int(struct.unpack("i", payload[:size])[0])
    return -1
