"""`matchGlob` of the JSON API: `*` and `?` within a segment, `**` across segments, `[a-z]`, `[!a]`, `{a,b}`.

https://cloud.google.com/storage/docs/json_api/v1/objects/list#list-objects-and-prefixes-using-glob
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from cairn.errors import InputRefused

_LIMIT = 1024
_ALTERNATIVES = 64

_Step: TypeAlias = "str | Callable[[str], bool]"  # "*", "**", or what one character must be


class Glob:
    """Decided in time proportional to pattern times name, whatever the pattern."""

    def __init__(self, pattern: str) -> None:
        """Raises InputRefused."""
        if len(pattern) > _LIMIT:
            raise InputRefused(f"is longer than {_LIMIT} characters", place="matchGlob")
        self._alternatives = [_steps(one) for one in _expanded(pattern)]

    def matches(self, name: str) -> bool:
        return any(_match(steps, name) for steps in self._alternatives)


def _match(steps: list[_Step], name: str) -> bool:
    states = _closed({0}, steps)
    for sign in name:
        following = set()
        for state in states:
            if state == len(steps):
                continue
            step = steps[state]
            if step == "**" or (step == "*" and sign != "/"):
                following.add(state)
            elif callable(step) and step(sign):
                following.add(state + 1)
        states = _closed(following, steps)
        if not states:
            return False
    return len(steps) in states


def _closed(states: set[int], steps: list[_Step]) -> set[int]:
    """With those that are reached by a star that stands for nothing."""
    found = set(states)
    for state in states:
        while state < len(steps) and isinstance(steps[state], str):
            state += 1
            found.add(state)
    return found


def _steps(pattern: str) -> list[_Step]:
    steps: list[_Step] = []
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        if sign == "*":
            twice = pattern.startswith("**", at)
            steps.append("**" if twice else "*")
            at += 2 if twice else 1
        elif sign == "[":
            end = pattern.find("]", at + 2)
            if end < 0:
                raise InputRefused("has a [ without its ]", place="matchGlob")
            steps.append(_one_of(pattern[at + 1 : end]))
            at = end + 1
        else:
            escaped = sign == "\\" and at + 1 < len(pattern)
            steps.append(_not_slash if sign == "?" else _exactly(pattern[at + 1] if escaped else sign))
            at += 2 if escaped else 1
    return steps


def _not_slash(sign: str) -> bool:
    return sign != "/"


def _exactly(wanted: str) -> Callable[[str], bool]:
    return lambda sign: sign == wanted


def _one_of(text: str) -> Callable[[str], bool]:
    inverted = text[0] in "!^"
    ranges = re.findall(r"(.)-(.)|(.)", text[1:] if inverted else text, re.DOTALL)
    spans = [(first, last) if first else (one, one) for first, last, one in ranges]
    return lambda sign: sign != "/" and inverted != any(first <= sign <= last for first, last in spans)


def _expanded(pattern: str) -> list[str]:
    """Without braces."""
    pending, found = [pattern], []
    while pending:
        one = pending.pop()
        braces = re.search(r"\{([^{}]*)\}", one)
        if braces is None:
            found.append(one)
        else:
            pending += [one[: braces.start()] + part + one[braces.end() :] for part in braces[1].split(",")]
        if len(found) + len(pending) > _ALTERNATIVES:
            raise InputRefused(f"has more than {_ALTERNATIVES} alternatives", place="matchGlob")
    return found
