"""The routes of this front."""

from __future__ import annotations

from cairn.api.context import Context
from cairn.api.front import Front
from cairn.api.http import Route


def front(context: Context) -> Front:  # noqa: ARG001
    routes: list[Route] = []
    return Front("accounts", ("/accounts/",), routes)
