"""What handlers work with: the opened home, its engine, how the server is reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from cairn.api.host import EngineHost
    from cairn.wiring import Cairn


Observer: TypeAlias = Callable[[str, str, int, float], None]
"""(route's name, method, HTTP status, seconds)."""


@dataclass(slots=True)
class Context:
    cairn: Cairn
    host: EngineHost
    url: str = ""  # as steps and local clients reach it: http://127.0.0.1:8080
    started: float = 0.0  # time.time()
    draining: bool = False
    observers: list[Observer] = field(default_factory=list)  # told of every answer, on the event loop
    shared: dict[str, Any] = field(default_factory=dict)  # what a front keeps for itself, by its package's name
