"""grpc.health.v1.Health: what probes and load balancers ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from cairn.api.access import PUBLIC
from cairn.api.grpc.descriptions import HEALTH, message, parsed
from cairn.api.grpc.methods import Asked, Conversation, services
from cairn.errors import InputRefused, NotFound

if TYPE_CHECKING:
    from cairn.api.context import Context

LOOK_SECONDS = 0.25
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


def methods(context: Context) -> Mapping[str, Conversation]:
    health = Health(context)
    return {
        f"/{HEALTH}.Health/Check": Conversation("grpc.health.Check", PUBLIC, health.check),
        f"/{HEALTH}.Health/Watch": Conversation("grpc.health.Watch", PUBLIC, health.watch),
    }


class Health:
    """The server as a whole ("") and every service it has go up and down together."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def check(self, ask: Asked) -> AsyncIterator[bytes]:
        status = self._status(await _service(ask))
        if status == SERVICE_UNKNOWN:
            raise NotFound("there is no such service")
        yield _answer(status)

    async def watch(self, ask: Asked) -> AsyncIterator[bytes]:
        """Each change, and the first state; it ends with the server."""
        service = await _service(ask)
        told = 0
        while True:
            status = self._status(service)
            if status != told:
                told = status
                yield _answer(status)
            if self._context.draining:
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _status(self, service: str) -> int:
        if service and service not in services():
            return SERVICE_UNKNOWN
        ready = self._context.host.alive and not self._context.draining
        return SERVING if ready else NOT_SERVING


async def _service(ask: Asked) -> str:
    data = await ask()
    if data is None:
        raise InputRefused("the call has no message")
    return str(parsed(f"{HEALTH}.HealthCheckRequest", data).service)


def _answer(status: int) -> bytes:
    return bytes(message(f"{HEALTH}.HealthCheckResponse")(status=status).SerializeToString())
