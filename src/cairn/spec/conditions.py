"""Conditions and selectors: CEL over a task's input parameters.

Conditions are evaluated by cel-python, imported only when a pipeline has one. KFP spells its inputs as fields of
ExecutorInput: `inputs.parameter_values['NAME']` (schema 2.1.0) and `inputs.parameters['NAME'].string_value` (2.0.0).
Integers and doubles compare by value, as cel-go's do; values of different kinds are unequal, not an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from cairn.domain.values import Value
from cairn.errors import SpecError, StepError

_INPUT = re.compile(
    r"\binputs\.(?:parameter_values|parameters)\[\s*(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")\s*\]"
)
_CLOSING = {")": "(", "]": "[", "}": "{"}
_SELECTOR = re.compile(
    r"parseJson\(\s*string_value\s*\)((?:\[(?:\"[^\"\\]*\"|'[^'\\]*'|[0-9]{1,9})\]|\.[A-Za-z_]\w*)*)$"
)
_STEP = re.compile(r"\[\"([^\"]*)\"\]|\['([^']*)'\]|\[([0-9]+)\]|\.(\w+)")


class Condition:
    """A compiled condition."""

    __slots__ = ("_program", "text")

    def __init__(self, text: str) -> None:
        """Raises SpecError when it is not CEL."""
        self.text = text
        self._program = _compile(text)

    def evaluate(self, parameter_values: Mapping[str, Value]) -> bool:
        """Raises StepError, naming the condition and its values, when it gives no truth value."""
        from celpy.celtypes import BoolType
        from celpy.evaluation import CELEvalError

        try:
            result = self._program.evaluate({"inputs": _inputs(self.text, parameter_values)})
        except CELEvalError as error:
            raise self._failed(parameter_values, str(error.args[0]) if error.args else "it has no value") from None
        except (ArithmeticError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise self._failed(parameter_values, str(error)) from None
        if not isinstance(result, (bool, BoolType)):
            raise self._failed(parameter_values, f"it gives {str(result)[:60]!r}, which is neither true nor false")
        return bool(result)

    def _failed(self, values: Mapping[str, Value], why: str) -> StepError:
        given = ", ".join(f"{name} = {_shown(value)}" for name, value in values.items() if _mentions(self.text, name))
        return StepError(f"the condition {self.text} cannot be evaluated{f' with {given}' if given else ''}: {why}")


@lru_cache(maxsize=1024)
def compile_condition(text: str) -> Condition:
    """Raises SpecError when `text` is not CEL."""
    return Condition(text)


def check_condition(text: str, inputs: Iterable[str]) -> None:
    """Raises SpecError unless `text` is CEL and names only `inputs` of the task."""
    from cairn.spec.reader import nearest

    _check_balance(text)
    known = list(inputs)
    for single, double in _INPUT.findall(text):
        name = _unescaped(single or double)
        if name not in known:
            raise SpecError(f"the task is given no input {name!r}{nearest(name, known)}")
    compile_condition(text)


def select(selector: str, value: Value) -> Value:
    """The part of `value` that a parameterExpressionSelector names: `parseJson(string_value)["a"][0]`.

    Raises StepError when the value has no such part, SpecError for a selector of another form.
    """
    steps = selector_steps(selector)
    found = value
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            raise StepError(f"{selector}: {_shown(value)} is not JSON") from None
    for step in steps:
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError):
            raise StepError(f"{selector}: {_shown(value)} has no part {step!r}") from None
    return found


@lru_cache(maxsize=1024)
def selector_steps(selector: str) -> tuple[str | int, ...]:
    """The keys and indices of a selector. Raises SpecError for a form that KFP does not compile."""
    match = _SELECTOR.match(selector.strip())
    if match is None:
        raise SpecError(
            f"{selector[:80]!r} is no selector", remedy='parseJson(string_value)["KEY"] is right, and [INDEX] after it'
        )
    return tuple(
        int(index) if index else double or single or field for double, single, index, field in _STEP.findall(match[1])
    )


def _compile(text: str) -> Any:
    import celpy
    from celpy.celparser import CELParseError

    if len(text) > 10_000 or _depth(text) > 50:
        raise SpecError("is too long or too deeply nested for a condition")
    try:
        environment = celpy.Environment()
        return environment.program(environment.compile(text), functions=_functions())
    except CELParseError as error:
        where = f" (column {error.column})" if getattr(error, "column", None) else ""
        raise SpecError(f"{text[:80]!r} is no CEL expression{where}") from None
    except RecursionError:
        raise SpecError("is too deeply nested for a condition") from None


def _inputs(text: str, parameter_values: Mapping[str, Value]) -> Any:
    """The fields of ExecutorInput.inputs, with the inputs that `text` mentions."""
    from celpy.adapter import json_to_cel

    values = {name: value for name, value in parameter_values.items() if _mentions(text, name)}
    found = {"parameter_values": values}
    if "inputs.parameters" in text:
        found["parameters"] = {name: _old_value(value) for name, value in values.items()}
    return json_to_cel(found)


def _functions() -> dict[str, Any]:
    import operator

    from celpy import celtypes
    from celpy.adapter import json_to_cel

    def parse_json(text: Any) -> Any:
        return json_to_cel(json.loads(text))

    def of_numbers(compare: Any) -> Any:
        def compared(left: Any, right: Any) -> Any:
            if isinstance(left, Exception) or isinstance(right, Exception):
                return left if isinstance(left, Exception) else right
            if _number(left) and _number(right):
                return celtypes.BoolType(compare(_plain(left), _plain(right)))
            if type(left) is not type(right) or not hasattr(left, "__lt__"):
                raise TypeError(f"{type(left).__name__} and {type(right).__name__} have no order")
            return celtypes.BoolType(compare(left, right))

        return compared

    # An operand that failed comes as its error, which && and || may still overrule.
    def equal(left: Any, right: Any) -> Any:
        if isinstance(left, Exception) or isinstance(right, Exception):
            return left if isinstance(left, Exception) else right
        return celtypes.BoolType(_equal(left, right))

    def unequal(left: Any, right: Any) -> Any:
        found = equal(left, right)
        return found if isinstance(found, Exception) else celtypes.BoolType(not found)

    return {
        "parseJson": parse_json,
        "_==_": equal,
        "_!=_": unequal,
        "_<_": of_numbers(operator.lt),
        "_<=_": of_numbers(operator.le),
        "_>_": of_numbers(operator.gt),
        "_>=_": of_numbers(operator.ge),
    }


def _number(value: Any) -> bool:
    from celpy import celtypes

    return isinstance(value, (celtypes.IntType, celtypes.UintType, celtypes.DoubleType))


def _plain(value: Any) -> int | float:
    return float(value) if isinstance(value, float) else int(value)


def _equal(left: Any, right: Any) -> bool:
    if _number(left) and _number(right):
        return _plain(left) == _plain(right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return len(left) == len(right) and all(key in right and _equal(left[key], right[key]) for key in left)
    return type(left) is type(right) and bool(left == right)


def _old_value(value: Value) -> dict[str, Value]:
    """Schema 2.0.0's `Value`, of which each expression reads the field it knows to be set."""
    found: dict[str, Value] = {"string_value": value if isinstance(value, str) else json.dumps(value)}
    if isinstance(value, (int, float)):
        found["int_value"] = int(value)
        found["double_value"] = float(value)
    return found


def _check_balance(text: str) -> None:
    """Brackets and quotes, which say more about a mistake than a grammar does."""
    open_, quote, escaped = [], "", False
    for letter in text:
        if escaped:
            escaped = False
        elif quote:
            escaped = letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            open_.append(letter)
        elif letter in _CLOSING and (not open_ or open_.pop() != _CLOSING[letter]):
            raise SpecError(f"{text[:80]!r} has a {letter} that closes nothing")
    if quote:
        raise SpecError(f"{text[:80]!r} has a quote that is not closed")
    if open_:
        raise SpecError(f"{text[:80]!r} has a {open_[-1]} that is not closed")


def _depth(text: str) -> int:
    depth = most = 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        most = max(most, depth)
    return most


def _mentions(text: str, name: str) -> bool:
    return name in text or "\\" in text


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _shown(value: Value) -> str:
    text = json.dumps(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
