"""One operation of Cairn's own API: a route, and what OpenAPI says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from cairn.api.access import Access
from cairn.api.http import Call, Handler, Reply, Route, json_reply
from cairn.errors import InputRefused

PREFIX = "/cairn/v1"


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    description: str
    schema: dict[str, Any]
    place: str = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """`answer`: type of the JSON answer, or its media type. `statuses`: of errors that are to be expected."""

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    access: Access
    answer: Any
    parameters: Sequence[Parameter] = ()
    body: Any = None
    statuses: Sequence[int] = (400, 404)

    def route(self) -> Route:
        return Route(self.method, self.path, self.handler, self.access, f"own.{self.name}")


RUN = Parameter("run", "A run: its uid, the beginning of it, or its job id.", {"type": "string"}, "path", True)
TASK = Parameter("task", "A task's path, such as `for-loop-2[0]/train`.", {"type": "string"}, required=True)
PROJECT = Parameter("project", "Only this project; all that may be seen when left out.", {"type": "string"})
LOCATION = Parameter("location", "Only this location.", {"type": "string"})


def body_of(call: Call, type_: type[Any]) -> Any:
    """The body as one of `types.py`. Raises InputRefused naming the field."""
    value = call.json()
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise InputRefused(str(error), place="body") from None


def integer(call: Call, name: str, default: int, *, low: int, high: int) -> int:
    """A query parameter between two bounds. Raises InputRefused."""
    given = call.all(name)
    if not given:
        return default
    text = given[0]
    try:
        value = int(text) if text.lstrip("-").isdecimal() and text.isascii() else None
    except ValueError:  # thousands of digits
        value = None
    if value is None or not low <= value <= high:
        raise InputRefused(f"a whole number from {low} to {high} is wanted", place=name)
    return value


def choice(call: Call, name: str, allowed: Sequence[str]) -> str:
    """A query parameter that is one of a few words, "" when it is not given. Raises InputRefused."""
    given = call.all(name)
    if given and given[0] not in allowed:
        raise InputRefused(f"one of {', '.join(allowed)} is wanted", place=name)
    return given[0] if given else ""


def answering(work: Callable[[Call], Any]) -> Handler:
    """A handler from a function that gives a struct."""

    def handler(call: Call) -> Reply:
        return json_reply(work(call))

    handler.__doc__ = work.__doc__
    return handler
