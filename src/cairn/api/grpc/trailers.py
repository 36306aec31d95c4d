"""How a gRPC call ends: its status in trailers, and the time it was given in headers."""

from __future__ import annotations

import base64
import math
from urllib.parse import quote

from cairn.api.status import Code, Status, status_of
from cairn.errors import InputRefused, TooLarge

# Clients refuse trailers of more than 8 KiB, at random up to 16, and the message stands in them twice.
MESSAGE_BYTES = 2000
QUOTED_BYTES = 4500
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_UNRESERVED = "".join(chr(byte) for byte in range(0x20, 0x7F) if byte != 0x25)
OK = [(b"grpc-status", b"0")]


def trailers_of(status: Status) -> list[tuple[bytes, bytes]]:
    """`grpc-status-details-bin` is a google.rpc.Status, with a RetryInfo where it is worth asking again."""
    if status.code is Code.OK:
        return OK
    message, quoted = _cut(status.message)
    details = base64.b64encode(_rpc_status(status.code, message, status.retry_after)).rstrip(b"=")
    return [
        (b"grpc-status", str(int(status.code)).encode()),
        (b"grpc-message", quoted.encode()),
        (b"grpc-status-details-bin", details),
    ]


def _cut(message: str) -> tuple[str, str]:
    """As much of it as fits, plain and percent-encoded."""
    kept = message
    while True:
        quoted = quote(kept, safe=_UNRESERVED)
        over = max(len(quoted) / QUOTED_BYTES, len(kept.encode()) / MESSAGE_BYTES)
        if over <= 1:
            return kept, quoted
        kept = kept[: int(len(kept) / over) - 2] + "…"


def grpc_status_of(error: Exception) -> Status:
    """As REST has it, but for what gRPC has its own word for."""
    status = status_of(error)
    if isinstance(error, TooLarge):
        return Status(Code.RESOURCE_EXHAUSTED, status.message, 429)
    return status


def timeout_of(text: str) -> float | None:
    """Seconds of a `grpc-timeout`; None without one. Raises InputRefused."""
    if not text:
        return None
    digits, unit = text[:-1], text[-1]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 8 and unit in _UNITS):
        raise InputRefused(f"{text!r} is no grpc-timeout")
    return int(digits) * _UNITS[unit]


def _rpc_status(code: Code, message: str, retry_after: float) -> bytes:
    """google.rpc.Status on the wire: code = 1, message = 2, details = 3 (google.protobuf.Any)."""
    parts = b"\x08" + _varint(int(code)) + _bytes(2, message.encode())
    if retry_after:
        delay = b"\x08" + _varint(math.ceil(retry_after))  # google.protobuf.Duration: seconds = 1
        info = _bytes(1, delay)  # google.rpc.RetryInfo: retry_delay = 1
        parts += _bytes(3, _bytes(1, b"type.googleapis.com/google.rpc.RetryInfo") + _bytes(2, info))
    return parts


def _bytes(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
