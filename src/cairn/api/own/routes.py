"""The routes of this front."""

from __future__ import annotations

from cairn.api.access import PUBLIC
from cairn.api.context import Context
from cairn.api.front import Front
from cairn.api.http import Call, Reply, Route, json_reply


def front(context: Context) -> Front:  # noqa: ARG001
    routes = [Route("GET", "/healthz", healthz, PUBLIC, "own.healthz")]
    return Front("own", ("/cairn/v1/", "/healthz", "/readyz", "/livez", "/metrics"), routes)


def healthz(_call: Call) -> Reply:
    """The process answers."""
    return json_reply({"status": "ok"})
