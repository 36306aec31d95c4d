"""A front: one API's routes, and how it words an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cairn.api.http import Route
from cairn.api.status import Status, google_error


@dataclass(frozen=True, slots=True)
class Front:
    """`prefixes` are of paths; they also decide how an error is worded where no route was found."""

    name: str
    prefixes: tuple[str, ...]
    routes: Sequence[Route]
    error: Callable[[Status], Any] = google_error
    meant: Callable[[str, str], str] | None = None  # (path, query) that no route fits → the path that is meant, or ""
