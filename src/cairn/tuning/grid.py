"""The points of a finite space, numbered: conditional parameters count only where they are there.

The last parameter changes first, as in nested loops.
"""

from __future__ import annotations

from collections.abc import Sequence

from cairn.tuning.types import Parameter, ParameterKind, StudySpec, Value


def size(spec: StudySpec) -> int:
    """How many points there are; 0 for a space with a DOUBLE parameter of more than one value."""
    return _product(spec.parameters)


def point(spec: StudySpec, index: int) -> dict[str, Value]:
    """The one of that number, from 0."""
    found: dict[str, Value] = {}
    _fill(spec.parameters, index, found)
    return found


def _product(parameters: Sequence[Parameter]) -> int:
    total = 1
    for parameter in parameters:
        total *= _count(parameter)
    return total


def _count(parameter: Parameter) -> int:
    """Of a parameter with all that depends on it."""
    if not parameter.children:
        return _values(parameter)
    special = {value for one in parameter.children for value in one.values}
    return _values(parameter) - len(special) + sum(_product(_below(parameter, value)) for value in special)


def _values(parameter: Parameter) -> int:
    if parameter.kind is ParameterKind.DOUBLE:
        return 1 if parameter.low == parameter.high else 0
    return int(parameter.high - parameter.low) + 1 if parameter.kind is ParameterKind.INTEGER else len(parameter.values)


def _below(parameter: Parameter, value: Value) -> list[Parameter]:
    return [one.parameter for one in parameter.children if value in one.values]


def _fill(parameters: Sequence[Parameter], index: int, found: dict[str, Value]) -> None:
    rest = _product(parameters)
    for parameter in parameters:
        rest //= _count(parameter)
        mine, index = divmod(index, rest)
        _choose(parameter, mine, found)


def _choose(parameter: Parameter, index: int, found: dict[str, Value]) -> None:
    if not parameter.children:
        found[parameter.id] = _value(parameter, index)
        return
    special = sorted(
        {value for one in parameter.children for value in one.values}, key=lambda value: _rank(parameter, value)
    )
    position = 0  # of the parameter's next value
    for value in special:
        rank = _rank(parameter, value)
        if index < rank - position:
            break
        index -= rank - position
        position = rank
        weight = _product(_below(parameter, value))
        if index < weight:
            found[parameter.id] = value
            _fill(_below(parameter, value), index, found)
            return
        index -= weight
        position += 1
    found[parameter.id] = _value(parameter, position + index)


def _value(parameter: Parameter, rank: int) -> Value:
    return (
        int(parameter.low) + rank
        if parameter.kind is ParameterKind.INTEGER
        else (parameter.values[rank] if parameter.values else parameter.low)
    )


def _rank(parameter: Parameter, value: Value) -> int:
    if parameter.kind is ParameterKind.INTEGER:
        return int(value) - int(parameter.low)
    return parameter.values.index(value)
