"""gRPC on the port of the HTTP APIs: the same handlers, the same gate, the same words for what goes wrong."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from cairn.api.access import READ_ANY, Identity, Scope
from cairn.api.accounts.gate import Arrival, Gate
from cairn.api.grpc.framing import Gone, Messages, framed
from cairn.api.grpc.trailers import grpc_status_of, timeout_of, trailers_of
from cairn.api.http import Call
from cairn.api.pressure import Load, Pressure
from cairn.api.status import HTTP_STATUS, Code, Status
from cairn.errors import InputRefused, Unimplemented

if TYPE_CHECKING:
    from cairn.api.context import Context
    from cairn.api.grpc.methods import Conversation, VertexCall

AsgiScope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]

ENCODINGS = ("identity", "gzip")
_HEADERS = [(b"content-type", b"application/grpc"), (b"grpc-accept-encoding", ",".join(ENCODINGS).encode())]
_CONTENT_TYPES = ("application/grpc", "application/grpc+proto")
_START = {"type": "http.response.start", "status": 200, "headers": _HEADERS, "trailers": True}
_CANCELLED = Status(Code.CANCELLED, "the call was cancelled", 499)
_TOO_LATE = Status(Code.DEADLINE_EXCEEDED, "the call's time is over", 504)
_log = logging.getLogger("cairn.api")
_access = logging.getLogger("cairn.access")


@dataclass(slots=True)
class _Exchange:
    """One call while it is answered."""

    path: str
    headers: dict[str, str]
    peer: str
    secure: bool
    receive: Receive
    send: Send
    name: str = "grpc.none"
    asker: str = "-"
    started: bool = False

    async def answer(self, message: bytes) -> None:
        await self.start()
        await self.send({"type": "http.response.body", "body": framed(message), "more_body": True})

    async def start(self) -> None:
        if not self.started:
            self.started = True
            await self.send(_START)

    async def end(self, status: Status) -> None:
        await self.start()
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})
        await self.send({"type": "http.response.trailers", "headers": trailers_of(status), "more_trailers": False})


class GrpcFront:
    """Answers what comes as application/grpc. Handlers run in `workers`, as those of REST do."""

    def __init__(self, context: Context, gate: Gate, workers: ThreadPoolExecutor, pressure: Pressure) -> None:
        self.context = context
        self.gate = gate
        self._workers = workers
        self._pressure = pressure
        self._conversations: Mapping[str, Conversation] | None = None

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if await _is_none(scope, headers, send):
            return
        peer = (scope.get("client") or ("", 0))[0] or ""
        secure = scope.get("scheme") == "https"
        exchange = _Exchange(scope["path"], headers, peer, secure, receive, send)
        status = _OK
        try:
            status = await self._answered(exchange)
            await exchange.end(status)
        except Gone:
            status = _CANCELLED
        finally:
            self._told(exchange.name, exchange.asker, status, time.monotonic() - began)

    def _told(self, name: str, asker: str, status: Status, seconds: float) -> None:
        code = HTTP_STATUS[status.code]
        for observe in self.context.observers:
            observe(name, "GRPC", code, seconds)
        _access.info("%s GRPC %s %.1f ms %s", name, status.code.name, seconds * 1000, asker)

    async def _answered(self, exchange: _Exchange) -> Status:
        """How the call ended; its messages are sent."""
        try:
            async with asyncio.timeout(timeout_of(exchange.headers.get("grpc-timeout", ""))):
                await self._called(exchange)
        except TimeoutError:
            return _TOO_LATE
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001 - the one place where a call's error ends
            return _refusal(exchange.path, error)
        return _OK

    async def _called(self, exchange: _Exchange) -> None:
        identity = self.gate.admit(Arrival(exchange.headers, exchange.peer, exchange.secure))
        exchange.asker = identity.name
        conversation = self._conversation(exchange.path)
        if conversation is not None:
            exchange.name = conversation.name
            self.gate.authorise(identity, conversation.access)
            await self._converse(exchange, conversation)
            return
        call = _callables().get(exchange.path)
        if call is None:
            self.gate.authorise(identity, READ_ANY)  # what is there is not told to nobody
            raise Unimplemented(f"there is no method {exchange.path}")
        exchange.name = f"vertex.{call.method.name}"
        with self._pressure.one_more() as load:
            await self._one_request(exchange, call, identity, load)

    async def _one_request(self, exchange: _Exchange, asked: VertexCall, identity: Identity, load: Load) -> None:
        self.gate.authorise(identity, READ_ANY)  # before anything is read
        if "request" in asked.method.streams or not asked.bindings:
            raise Unimplemented(f"{asked.method.name} is not in this version of Cairn")
        message = await _messages(exchange, load, self.gate.policy.body_limit).only()
        work = asyncio.get_running_loop().run_in_executor(
            self._workers, self._handled, exchange, asked, identity, message
        )
        for answer in await _unless_gone(work, exchange.receive):
            await exchange.answer(answer)

    def _handled(self, exchange: _Exchange, asked: VertexCall, identity: Identity, message: bytes) -> list[bytes]:
        """In a worker's thread; one message, or those of a response that streams."""
        from cairn.api.application import named_project
        from cairn.api.grpc.encoding import encoded
        from cairn.api.vertex.codec import from_message
        from cairn.api.vertex.handlers import dispatch

        method = asked.method
        request = from_message(method.request, message)
        access, variables = asked.bound(request)
        project = named_project(variables, exchange.path) if access.scope is Scope.PROJECT else ""
        self.gate.authorise(identity, access, project)
        scheme = "https" if exchange.secure else "http"
        call = Call(
            self.context,
            "POST",
            exchange.path,
            (),
            exchange.headers,
            variables,
            identity,
            project,
            base_url=f"{scheme}://{exchange.headers.get('host', '')}",
        )
        answer = dispatch(method, request, call)
        return [encoded(method.response, one) for one in (answer if method.streams else (answer,))]

    async def _converse(self, exchange: _Exchange, conversation: Conversation) -> None:
        messages = _messages(exchange, None, self.gate.policy.body_limit)
        answers = conversation.handle(messages.next)
        try:
            async for answer in answers:
                await exchange.answer(answer)
        finally:
            await answers.aclose()  # type: ignore[attr-defined]

    def _conversation(self, path: str) -> Conversation | None:
        if self._conversations is None:
            from cairn.api.grpc import health, reflection

            self._conversations = {**health.methods(self.context), **reflection.methods()}
        return self._conversations.get(path)


_OK = Status(Code.OK, "", 200)


def _callables() -> Mapping[str, VertexCall]:
    from cairn.api.grpc.methods import callables

    return callables()


def _messages(exchange: _Exchange, load: Load | None, limit: int) -> Messages:
    encoding = exchange.headers.get("grpc-encoding", "identity")
    if encoding not in ENCODINGS:
        raise Unimplemented(f"messages encoded with {encoding!r} are not understood")
    return Messages(exchange.receive, encoding, limit, load.add if load is not None else _not_counted)


def _not_counted(_size: int) -> None:
    """Conversations take small messages, one after the other."""


async def _unless_gone(work: asyncio.Future[list[bytes]], receive: Receive) -> list[bytes]:
    """What has not begun when the client goes away is not begun. Raises Gone."""
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Gone("the call was cancelled")
        return work.result()
    finally:
        gone.cancel()
        work.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _refusal(path: str, error: Exception) -> Status:
    status = grpc_status_of(error)
    if status.code is Code.INTERNAL:
        _log.error("a call of %s met a defect", path, exc_info=error)
    elif not isinstance(error, InputRefused):
        _log.warning("a call of %s failed: %s", path, error)
    return status


async def _is_none(scope: AsgiScope, headers: Mapping[str, str], send: Send) -> bool:
    """Whether this is no gRPC after all, and was told so."""
    kind = headers.get("content-type", "").partition(";")[0].strip()
    if scope["method"] == "POST" and kind in _CONTENT_TYPES and scope.get("http_version") == "2":
        return False
    content = b"gRPC is POST over HTTP/2 with application/grpc\n"
    told = [(b"content-type", b"text/plain"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 415, "headers": told})
    await send({"type": "http.response.body", "body": content})
    return True
