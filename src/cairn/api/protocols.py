"""HTTP/1.1 and HTTP/2 as hypercorn speaks them, held to what clients of both need while a server ends.

What differs from hypercorn's own: a body that goes on after its answer (a refused upload) does not end the connection
and the calls beside it; a stream that comes while the server drains is refused so that the client may ask elsewhere;
HTTP/1.1 says `connection: close` then.
"""

from __future__ import annotations

import time
from typing import Any

import h2.events
import h2.exceptions
import h11
from h2.errors import ErrorCodes
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Response, Trailers
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError, H11Protocol
from hyperframe.frame import GoAwayFrame

RESETS = 2000  # of streams in so many seconds, before a client is sent away
RESETS_SECONDS = 10.0


class Http1(H11Protocol):
    """HTTP/1.1. An upgrade to cleartext HTTP/2 is not offered: prior knowledge or ALPN."""

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, Response) and self.context.terminated.is_set():
            headers = [*event.headers, (b"connection", b"close")]
            event = Response(event.stream_id, headers, event.status_code)
        await super().stream_send(event)

    @property
    def still_sending(self) -> bool:
        """Whether the client is in the middle of a request."""
        return self.connection.their_state in {h11.SEND_BODY, h11.ERROR}

    async def _check_protocol(self, event: Any) -> None:
        if event.method == b"PRI":
            await super()._check_protocol(event)


class Http2(H2Protocol):
    """HTTP/2."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._resets = 0
        self._counted_since = 0.0
        self._trailed: set[int] = set()  # streams that their trailers have ended

    async def farewell(self) -> None:
        """GOAWAY: streams that run are finished, new ones belong on another connection."""
        last = self.connection.highest_inbound_stream_id
        frame = GoAwayFrame(0, last_stream_id=last, error_code=int(ErrorCodes.NO_ERROR))
        await self.send(RawData(frame.serialize()))

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        for event in events:  # one by one: each may wait, and streams end meanwhile
            if isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                self._discard(event)
            elif isinstance(event, h2.events.RequestReceived) and self.context.terminated.is_set():
                self.connection.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            elif isinstance(event, h2.events.StreamReset) and self._too_many_resets():
                self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
                await self._flush()
                await self.send(Closed())
                return
            else:
                await super()._handle_events([event])
        await self._flush()

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, Trailers):
            self._trailed.add(event.stream_id)
        await super().stream_send(event)

    async def _send_data(self, stream_id: int) -> None:
        buffer = self.stream_buffers[stream_id]
        if stream_id in self._trailed and buffer.complete:
            # Ending it once more would be an error, by which h2 takes the stream for closed while its client sends.
            self._trailed.discard(stream_id)
            await buffer.close()
            del self.stream_buffers[stream_id]
            self.priority.remove_stream(stream_id)
            return
        await super()._send_data(stream_id)

    def _too_many_resets(self) -> bool:
        """Opening streams and taking them back costs a client nothing, and us a task each."""
        now = time.monotonic()
        if now - self._counted_since > RESETS_SECONDS:
            self._resets, self._counted_since = 0, now
        self._resets += 1
        return self._resets > RESETS

    def _discard(self, event: h2.events.DataReceived) -> None:
        try:
            self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        except h2.exceptions.ProtocolError:  # the stream is gone altogether: only the connection's window counts
            return


class Protocols(ProtocolWrapper):
    """The one that a connection's first bytes, or ALPN, ask for."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        kind = Http2 if isinstance(self.protocol, H2Protocol) else Http1
        self.protocol = self._made(kind)

    def _made(self, kind: type[Http1] | type[Http2]) -> Http1 | Http2:
        return kind(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.state,
            self.ssl,
            self.client,
            self.server,
            self.send,
        )

    async def handle(self, event: Event) -> None:
        try:
            await self.protocol.handle(event)
        except H2ProtocolAssumedError as assumed:
            self.protocol = self._made(Http2)
            await self.protocol.initiate()
            await self.protocol.handle(RawData(data=assumed.data))
        except H2CProtocolRequiredError:  # not offered, see Http1
            raise AssertionError from None

    @property
    def still_sending(self) -> bool:
        return isinstance(self.protocol, Http1) and self.protocol.still_sending

    @property
    def http2(self) -> Http2 | None:
        return self.protocol if isinstance(self.protocol, Http2) else None
