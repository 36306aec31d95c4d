"""From a method and path to a route: templates of google.api.http, as a tree of path segments.

`/v1/{name=projects/*/locations/*}/jobs/{id}:cancel`: `*` is one segment, `**` any number (at the end), the verb after
the last colon of the path is looked for first. Literal segments go before `*`, `*` before `**`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from cairn.api.http import Route

_VARIABLE = re.compile(r"\{([A-Za-z_][\w.]*)(?:=([^}]*))?\}")


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    one: _Node | None = None
    ends: dict[tuple[str, str], _End] = field(default_factory=dict)  # (method, verb) → here
    rest: dict[tuple[str, str], _End] = field(default_factory=dict)  # … after `**`


@dataclass(frozen=True, slots=True)
class _End:
    route: Route
    variables: tuple[tuple[str, int, int], ...]  # name, first segment, segment behind the last (-1: to the end)


@dataclass(frozen=True, slots=True)
class Match:
    route: Route
    variables: Mapping[str, str]


class Router:
    """Made once of all routes. Threads: any."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        self.routes: list[Route] = []
        for route in routes:
            self.add(route)

    def add(self, route: Route) -> None:
        """Raises ValueError when another route has the same method and template."""
        segments, verb, variables = _parsed(route.template)
        node = self._root
        ends = node.ends
        for segment in segments:
            if segment == "**":
                ends = node.rest
                break
            if segment == "*":
                node.one = node.one or _Node()
                node = node.one
            else:
                node = node.literals.setdefault(segment, _Node())
            ends = node.ends
        key = (route.method, verb)
        if key in ends:
            raise ValueError(f"{route.method} {route.template}: {ends[key].route.name} has it already")
        ends[key] = _End(route, variables)
        self.routes.append(route)

    def find(self, method: str, raw_path: str) -> Match | None:
        """`raw_path` is percent-encoded, as it came. None when there is nothing; see `methods` for 405."""
        head, colon, verb = raw_path.rpartition(":")
        if colon and "/" not in verb:
            match = self._find(method, head, verb)
            if match is not None:
                return match
        return self._find(method, raw_path, "")

    def methods(self, raw_path: str) -> list[str]:
        """The methods with which the path would be found; where it ends in a verb that there is, those of the verb."""
        known = dict.fromkeys(route.method for route in self.routes)
        found = {method: match for method in known if (match := self.find(method, raw_path)) is not None}
        verb = f":{raw_path.rpartition(':')[2]}"
        return [method for method in found if found[method].route.template.endswith(verb)] or list(found)

    def _find(self, method: str, raw_path: str, verb: str) -> Match | None:
        if not raw_path.startswith("/"):
            return None
        segments = raw_path[1:].split("/")
        end = _walk(self._root, segments, 0, (method, verb))
        if end is None:
            return None
        found = {}
        for name, first, behind in end.variables:
            part = [unquote(segment) for segment in (segments[first:] if behind < 0 else segments[first:behind])]
            if behind - first > 1 and any("/" in segment for segment in part):
                return None  # projects/mine%2Flocations/… would be read as another resource than the one let in
            found[name] = "/".join(part)
        return Match(end.route, found)


def _walk(node: _Node, segments: list[str], at: int, key: tuple[str, str]) -> _End | None:
    if at == len(segments):
        return node.ends.get(key)
    literal = node.literals.get(segments[at])
    if literal is not None:
        found = _walk(literal, segments, at + 1, key)
        if found is not None:
            return found
    if node.one is not None and segments[at]:
        found = _walk(node.one, segments, at + 1, key)
        if found is not None:
            return found
    return node.rest.get(key)


def _parsed(template: str) -> tuple[list[str], str, tuple[tuple[str, int, int], ...]]:
    """Segments, verb, variables with the segments they stand for."""
    path, _, verb = template.rpartition(":") if re.search(r":[A-Za-z]+$", template) else (template, "", "")
    segments: list[str] = []
    variables: list[tuple[str, int, int]] = []
    position = 0
    flat = ""
    for found in _VARIABLE.finditer(path):
        before = path[position : found.start()]
        flat += before
        pattern = found[2] or "*"
        first = flat.count("/") - 1
        length = pattern.count("/") + 1
        variables.append((found[1], first, -1 if pattern.endswith("**") else first + length))
        flat += pattern
        position = found.end()
    flat += path[position:]
    segments = flat[1:].split("/")
    return segments, verb, tuple(variables)
