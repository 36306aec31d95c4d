"""Conditions as kfp.dsl writes them, made into CEL.

kfp puts a string of the author's between two quotes as it is, so that `If(x == "it's")` compiles to no CEL at all and
`If(x == "a' || true || 'b")` to another condition than the one that was written. kfp writes very few forms, though:
comparisons of two operands, negated or not, joined by `&&`. Read by that grammar, the strings can be told apart.
"""

from __future__ import annotations

import re

_INPUT = r"inputs\.parameter_values\['[^']*'\]"
_NUMBER = r"-?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?"
_PLAIN = rf"(?:{_INPUT}|{_NUMBER}|true|false|'[^'\\\n]*')"
_OPERAND = rf"(?:(?:int|double|string|bool)\({_PLAIN}\)|{_PLAIN})"
_COMPARISON = rf"(?:{_OPERAND} (?:==|!=|<=|>=|<|>) {_OPERAND})"
_SIMPLE = re.compile(rf"(?:{_COMPARISON}|!\({_COMPARISON}\))(?: && (?:{_COMPARISON}|!\({_COMPARISON}\)))*$")
_WITHOUT_STRING = re.compile(rf"(?:{_INPUT}|{_NUMBER}|true|false)")
_FUNCTION = re.compile(r"(?:int|double|string|bool)\(")
_OPERATOR = re.compile(r" (?:==|!=|<=|>=|<|>) ")
_MOST_STEPS = 1_000  # a document may hold hundreds of conditions made to be slow
_MOST_PARTS = 60


def requoted(condition: str) -> str:
    """`condition` as CEL with its strings quoted; unchanged when it is not of a form that kfp writes."""
    if condition.count("'") > 4 * _MOST_PARTS or condition.count(" && ") > _MOST_PARTS or _SIMPLE.match(condition):
        return condition
    return _Reading(condition).whole() or condition


class _Reading:
    """One attempt at reading; strings are taken as short as the rest allows."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.steps = 0

    def whole(self) -> str:
        """The CEL, or "" when the text cannot be read so."""
        for end, cel in self._conjunction(0):
            if end == len(self.text):
                return cel
        return ""

    def _conjunction(self, start: int) -> list[tuple[int, str]]:
        """Every way to read comparisons joined by && from `start` to the end of the text."""
        found: list[tuple[int, str]] = []
        for end, cel in self._term(start):
            if end == len(self.text):
                found.append((end, cel))
            elif self.text.startswith(" && ", end):
                found += [(last, f"{cel} && {rest}") for last, rest in self._conjunction(end + 4)]
            if found or self._spent():
                break
        return found

    def _term(self, start: int) -> list[tuple[int, str]]:
        if not self.text.startswith("!(", start):
            return self._comparison(start)
        return [(end + 1, f"!({cel})") for end, cel in self._comparison(start + 2) if self.text.startswith(")", end)]

    def _comparison(self, start: int) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        for middle, left in self._operand(start):
            operator = _OPERATOR.match(self.text, middle)
            if operator:
                found += [(end, f"{left}{operator[0]}{right}") for end, right in self._operand(operator.end())]
            if self._spent():
                break
        return found

    def _operand(self, start: int) -> list[tuple[int, str]]:
        function = _FUNCTION.match(self.text, start)
        if not function:
            return self._value(start)
        return [
            (end + 1, f"{function[0]}{cel})")
            for end, cel in self._value(function.end())
            if self.text.startswith(")", end)
        ]

    def _value(self, start: int) -> list[tuple[int, str]]:
        plain = _WITHOUT_STRING.match(self.text, start)
        if plain:
            return [(plain.end(), plain[0])]
        if not self.text.startswith("'", start):
            return []
        found: list[tuple[int, str]] = []
        end = self.text.find("'", start + 1)
        while end >= 0 and not self._spent():
            found.append((end + 1, _quoted(self.text[start + 1 : end])))
            end = self.text.find("'", end + 1)
        return found

    def _spent(self) -> bool:
        self.steps += 1
        return self.steps > _MOST_STEPS


def _quoted(text: str) -> str:
    for letter, written in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(letter, written)
    return f"'{text}'"
