"""YAML documents from libyaml's events. See `documents` for why not through PyYAML's constructors."""

from __future__ import annotations

from typing import Any

import yaml

from cairn.errors import SpecError
from cairn.spec.documents import (
    CORE_TAGS,
    MAX_DEPTH,
    MAX_WEIGHT,
    NODE_WEIGHT,
    TOO_DEEP,
    Refused,
    scalar,
)

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NO_KEY = object()


def parse_yaml(text: str, origin: str) -> list[Any]:
    """The documents in `text`; empty ones are left out. Raises SpecError with the line."""
    try:
        loader = _LOADER(text)
    except (yaml.YAMLError, ValueError) as error:
        raise SpecError(f"is not valid YAML: {_words(error)}", place=origin) from None
    try:
        return _Reader(origin).documents(loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        raise SpecError(
            f"is not valid YAML: {_words(error)}", place=f"{origin}:{mark.line + 1}" if mark else origin
        ) from None
    finally:
        loader.dispose()


def _words(error: Exception) -> str:
    return str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).splitlines()[0]


class _Open:
    """A list or mapping that is being read."""

    __slots__ = ("anchor", "key", "merges", "value", "weight")

    def __init__(self, value: Any, anchor: str | None, weight: int) -> None:
        self.value = value
        self.anchor = anchor
        self.weight = weight  # of the document before it
        self.key: Any = _NO_KEY
        self.merges: list[Any] = []


class _Reader:
    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.line = 0

    def refuse(self, message: str) -> SpecError:
        return SpecError(message, place=f"{self.origin}:{self.line + 1}")

    def documents(self, loader: Any) -> list[Any]:
        found: list[Any] = []
        event = loader.get_event()
        while not isinstance(event, yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                document = self._document(loader)
                if document is not None:
                    found.append(document)
            event = loader.get_event()
        return found

    def _document(self, loader: Any) -> Any:
        stack: list[_Open] = []
        anchors: dict[str, tuple[Any, int]] = {}
        weight = 0
        value: Any = None
        while True:
            event = loader.get_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self.line = event.start_mark.line
                try:
                    value = self._scalar(event)
                except Refused as error:
                    raise self.refuse(str(error)) from None
                own = NODE_WEIGHT + len(event.value)
                weight += own
                if event.anchor:
                    anchors[event.anchor] = (value, own)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self.line = event.start_mark.line
                self._tagged(event)
                if len(stack) >= MAX_DEPTH:
                    raise self.refuse(TOO_DEEP)
                stack.append(_Open({} if kind is yaml.MappingStartEvent else [], event.anchor, weight))
                weight += NODE_WEIGHT
                continue
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                closed = stack.pop()
                value = closed.value
                if closed.merges:
                    self._merge(closed)
                if closed.anchor:
                    anchors[closed.anchor] = (value, weight - closed.weight)
            elif kind is yaml.AliasEvent:
                self.line = event.start_mark.line
                if event.anchor not in anchors:
                    raise self.refuse(f"the alias *{event.anchor} stands for nothing that came before it")
                value, own = anchors[event.anchor]
                weight += own
            else:  # DocumentEndEvent
                return value
            if weight > MAX_WEIGHT:
                raise self.refuse("holds too many values, each alias counted as what it stands for")
            if stack:
                self._place(stack[-1], value)

    def _place(self, parent: _Open, value: Any) -> None:
        if type(parent.value) is list:
            parent.value.append(value)
        elif parent.key is _NO_KEY:
            if not isinstance(value, str):
                raise self.refuse(f"the key {_shown(value)} is not text; quote it")
            if value in parent.value:
                raise self.refuse(f"the key {value[:80]!r} stands twice in one mapping")
            parent.key = value
        else:
            if parent.key == "<<" and isinstance(value, (dict, list)):
                parent.merges.extend(value if isinstance(value, list) else [value])
            else:
                parent.value[parent.key] = value
            parent.key = _NO_KEY

    def _merge(self, closed: _Open) -> None:
        for merged in closed.merges:
            if not isinstance(merged, dict):
                raise self.refuse("only mappings can be merged with <<")
            for key, value in merged.items():
                closed.value.setdefault(key, value)

    def _scalar(self, event: Any) -> Any:
        if event.implicit[0]:
            return scalar(event.value)
        if event.tag is None or event.implicit[1]:
            return event.value
        self._tagged(event)
        if event.tag.endswith(":str"):
            return event.value
        value = scalar(event.value)
        if event.tag.endswith(":float") and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        return value

    def _tagged(self, event: Any) -> None:
        if event.tag is not None and event.tag != "!" and event.tag not in CORE_TAGS:
            raise self.refuse(f"the tag {event.tag[:80]!r} is not known; a pipeline holds plain values only")


def _shown(value: Any) -> str:
    return repr(value)[:80]
