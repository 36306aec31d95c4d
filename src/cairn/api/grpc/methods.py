"""What can be called over gRPC, by path: the Vertex methods, with who may call them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from cairn.api.access import Access
from cairn.api.vertex.description import Method, descriptor, methods
from cairn.api.vertex.handlers import handlers
from cairn.api.vertex.routes import access_of
from cairn.errors import InputRefused

Asked: TypeAlias = "Callable[[], Awaitable[bytes | None]]"

_VARIABLE = re.compile(r"\{([A-Za-z_][\w.]*)(?:=([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A service of gRPC's own: `handle(next message)` yields the answers. Coroutines only."""

    name: str
    access: Access
    handle: Callable[[Asked], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class Binding:
    """One HTTP rule's variables, as patterns of the request message's fields."""

    access: Access
    fields: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]


@dataclass(frozen=True, slots=True)
class VertexCall:
    """A Vertex method."""

    method: Method
    bindings: tuple[Binding, ...]

    def bound(self, request: Mapping[str, Any]) -> tuple[Access, dict[str, str]]:
        """The access that REST asks for the same request, and its variables. Raises InputRefused for a request that
        REST has no path for: what names a project is let in by that project's rule or not at all."""
        in_project = False
        for binding in self.bindings:
            values = {".".join(path): _at(request, path) for path, _ in binding.fields}
            in_project = in_project or any("projects/" in value for value in values.values())
            if in_project and not binding.fields:
                continue
            if all(pattern.fullmatch(values[".".join(path)]) for path, pattern in binding.fields):
                return binding.access, values
        named = sorted({".".join(path) for binding in self.bindings for path, _ in binding.fields})
        raise InputRefused(f"{' or '.join(named) or 'the request'} does not name a resource", place=self.method.name)


@cache
def callables() -> Mapping[str, VertexCall]:
    """By gRPC path."""
    return {method.path: VertexCall(method, _bindings(method)) for method in methods().values()}


@cache
def services() -> frozenset[str]:
    """Full names of those that have a method in this version."""
    there = handlers()
    return frozenset(
        call.method.path[1:].partition("/")[0] for call in callables().values() if call.method.name in there
    )


def _bindings(method: Method) -> tuple[Binding, ...]:
    return tuple(
        Binding(
            access_of(method, rule.template),
            tuple(
                (_path(method.request, found[1]), _pattern(found[2] or "*"))
                for found in _VARIABLE.finditer(rule.template)
            ),
        )
        for rule in method.rules
    )


def _path(message: str, fields: str) -> tuple[str, ...]:
    """`schedule.name` by the names that JSON has for them."""
    kind = descriptor(message)
    found = []
    for name in fields.split("."):
        field = kind.fields_by_name[name]
        found.append(field.json_name)
        kind = field.message_type or kind
    return tuple(found)


def _pattern(template: str) -> re.Pattern[str]:
    parts = {"*": r"[^/\x00-\x1f\x7f]+", "**": r"[^\x00-\x1f\x7f]+"}
    return re.compile("/".join(parts.get(part) or re.escape(part) for part in template.split("/")))


def _at(request: Mapping[str, Any], path: tuple[str, ...]) -> str:
    value: Any = request
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""
