"""Recorded times (microseconds since the epoch) as google.protobuf.Timestamp in JSON, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(microseconds: int) -> str:
    """RFC 3339 in UTC with as many digits as protobuf writes: none, three or six."""
    seconds, rest = divmod(microseconds, 1_000_000)
    moment = _EPOCH + timedelta(seconds=seconds)
    fraction = f".{rest:06}" if rest % 1000 else f".{rest // 1000:03}" if rest else ""
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}{fraction}Z"


def microseconds(text: str) -> int:
    """Of what `codec` lets through; digits beyond microseconds are dropped."""
    moment = datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def put(target: dict[str, object], **times: int) -> None:
    """Add those that are known."""
    for name, value in times.items():
        if value:
            target[name] = timestamp(value)
