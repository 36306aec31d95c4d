"""The ASGI application: gate, route, handler, answer. Nothing of a body is read before it is allowed."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote

import msgspec

from cairn.api import steps
from cairn.api.access import READ_ANY, Scope
from cairn.api.accounts.gate import Arrival, Gate
from cairn.api.context import Context
from cairn.api.front import Front
from cairn.api.http import JSON_LIMIT, Call, Reply, Route
from cairn.api.pressure import Load, Pressure
from cairn.api.routing import Match, Router
from cairn.api.status import Code, Status, google_error, status_of
from cairn.errors import CairnError, InputRefused, TooLarge, Unauthenticated

AsgiScope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]

WORKERS = 8
PIECE = 256 * 1024  # of an answer, at a time
CHUNK_SECONDS = 30.0  # for the next part of a body to come
BODY_SECONDS = 120.0  # for the whole of a body that is read before it is handled
_DRAINING = b"event: draining\ndata: {}\n\n"  # the last that an event stream says: come back
_PROJECT = re.compile(r"(?:^|/)projects/([^/]+)")
_log = logging.getLogger("cairn.api")
_access = logging.getLogger("cairn.access")


class Application:
    """`grpc` answers what comes as application/grpc; it asks the same gate."""

    def __init__(
        self,
        context: Context,
        fronts: Sequence[Front],
        gate: Gate,
        *,
        grpc: Callable[[AsgiScope, Receive, Send], Awaitable[None]] | None = None,
        workers: ThreadPoolExecutor | None = None,
        pressure: Pressure | None = None,
    ) -> None:
        self.context = context
        self.router = Router(route for front in fronts for route in front.routes)
        self.gate = gate
        self.observers = context.observers
        self._fronts = fronts
        self._grpc = grpc
        self._pool = workers or ThreadPoolExecutor(WORKERS, thread_name_prefix="api")
        self._pressure = pressure or Pressure()
        self._draining = asyncio.Event()

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            if headers.get("content-type", "").startswith("application/grpc") and self._grpc is not None:
                await self._grpc(scope, receive, send)
            else:
                await self._answer(scope, headers, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # 403: there are none here

    def drain(self) -> None:
        """The server ends: event streams say so and stop. On the event loop."""
        self._draining.set()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.gate.close()

    async def _answer(self, scope: AsgiScope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        began = time.monotonic()
        path = scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or scope["path"]
        prefix, path = steps.split(path, headers)
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        match = self.router.find(method, path) or self._meant(method, path, scope)
        notes: dict[str, str] = {}
        asker = _Asker()
        reading = _Reading(receive, headers)
        try:
            reply = await self._handled(scope, headers, prefix, path, match, reading, notes, asker)
        except Exception as error:  # noqa: BLE001 - the one place where a request's error ends
            reply = self._refusal(path, error)
        reply.headers.update(notes)
        if not reading.done and scope.get("http_version", "").startswith("1"):
            reply.headers["connection"] = "close"  # what was not read of the body stands where the next would begin
        name = match.route.name if match else "none"
        try:
            await self._send_reply(reply, receive, send, head=scope["method"] == "HEAD")
        finally:
            seconds = time.monotonic() - began
            for observe in self.observers:
                observe(name, scope["method"], reply.status, seconds)
            # never the path or query: names of things and tokens stand there
            _access.info("%s %s %d %.1f ms %s", name, scope["method"], reply.status, seconds * 1000, asker.name)

    async def _handled(
        self,
        scope: AsgiScope,
        headers: dict[str, str],
        prefix: str,
        path: str,
        match: Match | None,
        receive: Receive,
        notes: dict[str, str],
        asker: _Asker,
    ) -> Reply:
        peer = (scope.get("client") or ("", 0))[0]
        arrival = Arrival(headers, peer or "", scope.get("scheme") == "https")
        ours = self.gate.authentication.steps.recognises(prefix.removeprefix(steps.PREFIX))
        if prefix and self.gate.policy.login and not ours:
            raise Unauthenticated("only a step's token may stand in a path")  # others live longer, and paths are told
        identity = self.gate.admit(arrival)
        asker.name = identity.name
        asked_first = self.gate.preflight(arrival, scope["method"])
        if asked_first is not None:
            return Reply(204, headers=asked_first)
        notes.update(self.gate.sharing(arrival))
        if match is None:
            self.gate.authorise(identity, READ_ANY)  # what is there is not told to nobody
            return self._no_route(scope["method"], path)
        route = match.route
        project = project_of(route, match.variables) if route.access.scope is Scope.PROJECT else ""
        self.gate.authorise(identity, route.access, project)
        call = Call(
            self.context,
            scope["method"],
            unquote(path),
            parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True),
            headers,
            match.variables,
            identity,
            project,
            base_url=f"{scope.get('scheme', 'http')}://{headers.get('host', '')}{prefix}",
            notes=notes,
        )
        limit = self.gate.policy.body_limit if route.limit == JSON_LIMIT else route.limit
        body = _limited(headers, receive, limit)
        if route.access.scope is Scope.PUBLIC:  # probes are answered by a server that has too much to do
            return await self._called(route, call, body)
        with self._pressure.one_more() as load:
            return await self._called(route, call, body, load)

    async def _called(self, route: Route, call: Call, body: AsyncIterator[bytes], load: Load | None = None) -> Reply:
        if route.streams:
            call.stream = body
        else:
            call.content = await _whole(body, load)
        if inspect.iscoroutinefunction(route.handler):
            return await route.handler(call)  # type: ignore[no-any-return]
        reply = await asyncio.get_running_loop().run_in_executor(self._pool, route.handler, call)
        return await reply if inspect.isawaitable(reply) else reply

    async def _send_reply(self, reply: Reply, receive: Receive, send: Send, *, head: bool) -> None:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
        headers.append((b"content-type", reply.content_type.encode("latin-1")))
        headers.append((b"x-content-type-options", b"nosniff"))
        if isinstance(reply.body, bytes):
            if "content-length" not in reply.headers:
                headers.append((b"content-length", str(len(reply.body)).encode()))
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            await _send_pieces(b"" if head else reply.body, send)
            return
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        events = reply.content_type.startswith("text/event-stream")
        ends = [asyncio.ensure_future(_until_gone(receive))]
        if events:
            ends.append(asyncio.ensure_future(self._draining.wait()))
        try:
            await _send_chunks(reply.body, ends, send)
        finally:
            for end in ends:
                end.cancel()
            close = getattr(reply.body, "aclose", None)
            if close is not None:
                await close()

    def _meant(self, method: str, path: str, scope: AsgiScope) -> Match | None:
        query = scope.get("query_string", b"").decode("latin-1")
        paths = (front.meant(path, query) for front in self._fronts if front.meant is not None)
        return next((self.router.find(method, one) for one in paths if one), None)

    def _no_route(self, method: str, path: str) -> Reply:
        allowed = self.router.methods(path)
        if allowed:
            status = Status(Code.UNIMPLEMENTED, f"{method} is not for {path}: {', '.join(allowed)}", 405)
            reply = self._worded(path, status)
            reply.headers["allow"] = ", ".join(allowed)
            return reply
        return self._worded(path, Status(Code.NOT_FOUND, f"there is nothing at {path}", 404))

    def _refusal(self, path: str, error: Exception) -> Reply:
        status = Status(Code.CANCELLED, str(error), 408) if isinstance(error, ClientGone) else status_of(error)
        if status.code is Code.INTERNAL:
            _log.error("a request to %s met a defect", path, exc_info=error)
        elif not isinstance(error, InputRefused | ClientGone):
            _log.warning("a request to %s failed: %s", path, error)
        reply = self._worded(path, status)
        if status.retry_after:
            reply.headers["retry-after"] = str(max(1, round(status.retry_after)))
        if status.http == 401:
            reply.headers["www-authenticate"] = "Bearer"
        return reply

    def _worded(self, path: str, status: Status) -> Reply:
        error = next((one.error for one in self._fronts if path.startswith(one.prefixes)), google_error)
        return Reply(status.http, msgspec.json.encode(error(status)))


class _Reading:
    """`receive`, and whether the body has come to its end."""

    __slots__ = ("_receive", "done")

    def __init__(self, receive: Receive, headers: Mapping[str, str]) -> None:
        self._receive = receive
        self.done = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers

    async def __call__(self) -> Mapping[str, Any]:
        message = await self._receive()
        self.done = self.done or (message["type"] == "http.request" and not message.get("more_body"))
        return message


class _Asker:
    """Who made a request, for the log; unknown until the gate has said so."""

    __slots__ = ("name",)

    def __init__(self) -> None:
        self.name = "-"


def project_of(route: Route, variables: Mapping[str, str]) -> str:
    """The project that a request names. Raises InputRefused when its route needs one and there is none."""
    return route.project(variables) if route.project is not None else named_project(variables, route.template)


def named_project(variables: Mapping[str, str], place: str) -> str:
    """Of the first resource name. Raises InputRefused when there is none."""
    for value in variables.values():
        found = _PROJECT.search(value)
        if found:
            return found[1]
    if "project" in variables:
        return variables["project"]
    raise InputRefused("names no project", place=place)


async def _limited(headers: Mapping[str, str], receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """The body, in chunks. Raises TooLarge before anything is read when the client says so, else once it is beyond."""
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    read = 0
    while True:
        message = await _next(receive)
        if message["type"] == "http.disconnect":
            raise ClientGone("the client went away")
        chunk = message.get("body", b"")
        read += len(chunk)
        if read > limit:
            raise _too_large(limit)
        if chunk:
            yield chunk
        if not message.get("more_body"):
            return


async def _next(receive: Receive) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(CHUNK_SECONDS):
            return await receive()
    except TimeoutError:
        raise ClientGone("the body did not come") from None


async def _whole(body: AsyncIterator[bytes], load: Load | None) -> bytes:
    chunks = []
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in body:
                if load is not None:
                    load.add(len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        raise ClientGone("the body did not come in time") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes")


class ClientGone(CairnError):
    """The client closed the connection before its request was complete."""


async def _send_pieces(body: bytes, send: Send) -> None:
    """A long one bit by bit, so that others have their turn and it is not copied as a whole by each layer below."""
    for start in range(0, len(body) - PIECE, PIECE):
        await send({"type": "http.response.body", "body": body[start : start + PIECE], "more_body": True})
        await asyncio.sleep(0)
    last = (len(body) - 1) // PIECE * PIECE if body else 0
    await send({"type": "http.response.body", "body": body[last:] if last else body})


async def _send_chunks(chunks: AsyncIterator[bytes], ends: Sequence[asyncio.Future[Any]], send: Send) -> None:
    """Until there are no more, or one of `ends` is: the client gone first, then the server's drain."""
    while True:
        coming = asyncio.ensure_future(anext(chunks, None))
        await asyncio.wait((coming, *ends), return_when=asyncio.FIRST_COMPLETED)
        if any(end.done() for end in ends):
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            if not ends[0].done():
                await send({"type": "http.response.body", "body": _DRAINING})
            return
        chunk = coming.result()
        await send({"type": "http.response.body", "body": chunk or b"", "more_body": chunk is not None})
        if chunk is None:
            return


async def _until_gone(receive: Receive) -> bool:
    while (await receive())["type"] != "http.disconnect":
        pass
    return True


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
