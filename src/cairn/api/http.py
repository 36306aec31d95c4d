"""A request and its answer, as handlers see them; `application.py` is between them and ASGI."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from cairn.api.access import Access, Identity
from cairn.errors import InputRefused

if TYPE_CHECKING:
    from cairn.api.context import Context

_KIB = 1024
JSON_LIMIT = 32 * _KIB * _KIB  # bytes of a JSON body, unless a route says otherwise
JSON_DEPTH = 200


@dataclass(slots=True)
class Call:
    """One request after the gate let it in. A gRPC call looks the same, with `content` empty."""

    context: Context
    method: str
    path: str  # as it came, percent-encoding undone once
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]  # names in lower case
    variables: Mapping[str, str]  # what the route's template matched, percent-encoding undone
    identity: Identity
    project: str = ""  # of a route with scope PROJECT
    content: bytes = b""  # the whole body, unless the route streams
    stream: AsyncIterator[bytes] | None = None  # the body of a route that streams; counted against its limit
    base_url: str = ""  # as the client named the server: http://localhost:8080
    notes: dict[str, str] = field(default_factory=dict)  # response headers to add

    def first(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.query if key == name]

    def json(self) -> Any:
        """The body as JSON, {} when it is empty. Raises InputRefused naming the offset."""
        return read_json(self.content)


@dataclass(slots=True)
class Reply:
    """An answer. `body` is bytes, or chunks as they come (a stream ends when the client goes away: `aclose`)."""

    status: int = 200
    body: bytes | AsyncIterator[bytes] = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


Handler: TypeAlias = "Callable[[Call], Reply | Awaitable[Reply]]"


@dataclass(frozen=True, slots=True)
class Route:
    """`template` is in the syntax of google.api.http: `/v1/{name=projects/*/locations/*}/jobs:cancel`, `{id}`,
    `{path=**}`.

    A plain function is called in a worker thread with the body read; a coroutine function on the event loop.
    `name` is unique: it stands in metrics and logs, and the test that walks every route goes by it.
    """

    method: str
    template: str
    handler: Handler
    access: Access
    name: str
    limit: int = JSON_LIMIT  # bytes of body; more is refused before it is read
    streams: bool = False  # the handler reads `call.stream` itself
    project: Callable[[Mapping[str, str]], str] | None = None  # from `variables`; None: found as projects/PROJECT there


def read_json(content: bytes) -> Any:
    """Raises InputRefused for what is not JSON, or nested deeper than 200."""
    if not content.strip():
        return {}
    check_depth(content)
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:  # protobuf's JSON knows NaN and infinities, and names the place of what is wrong
        value = json.loads(content)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise InputRefused(f"the body is not JSON: {error}") from None
    return value


def check_depth(content: bytes, limit: int = JSON_DEPTH) -> None:
    if content.count(b"[") + content.count(b"{") <= limit:
        return
    depth, quoted, escaped = 0, False, False
    for byte in content:
        if quoted:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                quoted = False
        elif byte == 0x22:
            quoted = True
        elif byte in b"[{":
            depth += 1
            if depth > limit:
                raise InputRefused(f"the body is nested deeper than {limit}")
        elif byte in b"]}":
            depth -= 1


def json_reply(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, msgspec.json.encode(value), headers=headers)
