"""Is the server up, does it want requests, what is it."""

from __future__ import annotations

from cairn import __version__
from cairn.api.http import Call, Reply, json_reply
from cairn.api.own import types


async def livez(_call: Call) -> Reply:
    """The process answers."""
    return json_reply(types.Health("ok"))


async def readyz(call: Call) -> Reply:
    """The engine lives and the server does not drain."""
    if call.context.draining:
        return json_reply(types.Health("draining"), 503)
    if not call.context.host.alive:
        return json_reply(types.Health("the engine has stopped"), 503)
    return json_reply(types.Health("ok"))


def status(call: Call) -> types.ServerStatus:
    context = call.context
    ready = context.host.alive and not context.draining
    return types.ServerStatus(__version__, context.url, context.started, ready, context.draining, context.host.running)
