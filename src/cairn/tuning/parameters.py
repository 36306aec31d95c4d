"""The parameters of a study: read from their specification, and values checked against it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from cairn.errors import InputRefused
from cairn.tuning.reading import Fields, integer, number
from cairn.tuning.types import Condition, Parameter, ParameterKind, Scale, StudySpec, Value

MAX_DISCRETE = 1000
MAX_DEPTH = 16
_NEAR = 1e-10  # discrete values closer than this are the same
_EXACT = 1 << 53
_SPACE = re.compile(r"\s")
_SCALES = {0: "SCALE_TYPE_UNSPECIFIED", 1: Scale.LINEAR, 2: Scale.LOG, 3: Scale.REVERSE_LOG}
_KINDS = {
    "doubleValueSpec": ParameterKind.DOUBLE,
    "integerValueSpec": ParameterKind.INTEGER,
    "categoricalValueSpec": ParameterKind.CATEGORICAL,
    "discreteValueSpec": ParameterKind.DISCRETE,
}
_PARENTS = {
    "parentIntValues": ParameterKind.INTEGER,
    "parentCategoricalValues": ParameterKind.CATEGORICAL,
    "parentDiscreteValues": ParameterKind.DISCRETE,
}


def parse_parameters(fields: Fields) -> tuple[Parameter, ...]:
    """Of a StudySpec. Raises InputRefused with the place."""
    found: list[Parameter] = []
    for index, message in enumerate(fields.list("parameters")):
        one = Fields(message, f"{fields.at('parameters')}[{index}]")
        parameter = _parameter(one, "", 0)
        if parameter.id in {other.id for other in found}:
            raise one.refuse(f"there are two parameters {parameter.id!r}", "parameterId")
        found.append(parameter)
    if not found:
        raise fields.refuse("at least one is needed", "parameters")
    for index, parameter in enumerate(found):
        _check_names(parameter, {one.id for one in found} - {parameter.id}, f"{fields.at('parameters')}[{index}]")
    return tuple(found)


def _parameter(fields: Fields, above: str, depth: int) -> Parameter:
    id_ = fields.text("parameterId", required=True)
    if _SPACE.search(id_):
        raise fields.refuse(f"{id_!r} has white space in it", "parameterId")
    if depth > MAX_DEPTH:
        raise fields.refuse(f"parameters are nested more than {MAX_DEPTH} deep")
    found = fields.one_of(*_KINDS)
    if found is None:
        raise fields.refuse(f"one of {', '.join(_KINDS)} is needed")
    name, below = found
    kind = _KINDS[name]
    parameter = Parameter(id_, kind, scale=_scale(fields, kind), key=above + id_)
    parameter = _bounded(parameter, below) if kind in _BOUNDED else _listed(parameter, below)
    below.done()
    if parameter.scale is not Scale.LINEAR and kind is not ParameterKind.CATEGORICAL:
        least = parameter.low if kind in _BOUNDED else float(parameter.values[0])
        if least <= 0:
            raise fields.refuse(f"{parameter.scale} needs values above 0, and {least} is one", "scaleType")
    children = _children(fields, parameter, depth)
    fields.done()
    return _with(parameter, children=children)


_BOUNDED = (ParameterKind.DOUBLE, ParameterKind.INTEGER)


def _with(parameter: Parameter, **fields: Any) -> Parameter:
    return msgspec.structs.replace(parameter, **fields)


def _scale(fields: Fields, kind: ParameterKind) -> Scale:
    given = fields.choice("scaleType", _SCALES)
    if given == _SCALES[0]:
        return Scale.LINEAR
    if kind is ParameterKind.CATEGORICAL:
        raise fields.refuse("categories have no scale", "scaleType", "leave it out")
    return Scale(given)


def _bounded(parameter: Parameter, fields: Fields) -> Parameter:
    read = fields.integer if parameter.kind is ParameterKind.INTEGER else fields.number
    # Protobuf leaves a bound of 0 out.
    low, high, default = read("minValue") or 0, read("maxValue") or 0, read("defaultValue")
    if low > high:
        raise fields.refuse(f"minValue {low} is above maxValue {high}")
    if high - low == float("inf"):
        raise fields.refuse(f"from {low} to {high} is too far")
    if parameter.kind is ParameterKind.INTEGER and max(-low, high) > _EXACT:
        name = "maxValue" if high > _EXACT else "minValue"
        raise fields.refuse("a trial's values are doubles, which are exact up to 2^53", name)
    if default is not None and not low <= default <= high:
        raise fields.refuse(f"{default} is not between {low} and {high}", "defaultValue")
    return _with(parameter, low=low, high=high, default=default)


def _listed(parameter: Parameter, fields: Fields) -> Parameter:
    given = fields.list("values")
    if not given:
        raise fields.refuse("at least one is needed", "values")
    if parameter.kind is ParameterKind.CATEGORICAL:
        return _categories(parameter, fields)
    if len(given) > MAX_DISCRETE:
        raise fields.refuse(f"there are more than {MAX_DISCRETE}", "values")
    values = [number(value, f"{fields.at('values')}[{index}]") for index, value in enumerate(given)]
    for index, (one, following) in enumerate(pairwise(values), 1):
        if following - one < _NEAR:
            raise fields.refuse(
                f"{following} does not follow on {one}: they are in increasing order", f"values[{index}]"
            )
    default = fields.number("defaultValue")
    if default is not None:  # the nearest feasible point, as documented
        default = _nearest(values, default)
    return _with(parameter, values=tuple(values), default=default)


def _nearest(values: Sequence[float], wanted: float) -> float:
    return min(values, key=lambda value: abs(value - wanted))


def _categories(parameter: Parameter, fields: Fields) -> Parameter:
    values = fields.list("values")
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise fields.refuse(f"{value!r} is no text", f"values[{index}]")
        if value in values[:index]:
            raise fields.refuse(f"{value!r} is there twice", f"values[{index}]")
    default = fields.get("defaultValue")
    if default is not None and default not in values:
        raise fields.refuse(f"{default!r} is none of the values", "defaultValue")
    return _with(parameter, values=tuple(values), default=default)


def _children(fields: Fields, parent: Parameter, depth: int) -> tuple[Condition, ...]:
    found: list[Condition] = []
    for index, message in enumerate(fields.list("conditionalParameterSpecs")):
        one = Fields(message, f"{fields.at('conditionalParameterSpecs')}[{index}]")
        values = _parent_values(one, parent)
        below = one.message("parameterSpec")
        if below is None:
            raise one.refuse("is required", "parameterSpec")
        one.done()
        where = ",".join(map(str, values))
        child = _parameter(below, f"{parent.key}={where}/", depth + 1)
        for other in found:
            if other.parameter.id == child.id and set(other.values) & set(values):
                raise one.refuse(f"{child.id!r} is there twice for one value of {parent.id!r}")
        found.append(Condition(values, child))
    return tuple(found)


def _parent_values(fields: Fields, parent: Parameter) -> tuple[Value, ...]:
    given = fields.one_of(*_PARENTS)
    if given is None:
        raise fields.refuse(f"one of {', '.join(_PARENTS)} is needed")
    name, below = given
    if _PARENTS[name] is not parent.kind:
        raise fields.refuse(f"{parent.id!r} is {parent.kind}", name)
    values = below.list("values")
    below.done()
    if not values:
        raise below.refuse("at least one is needed", "values")
    found = []
    for index, value in enumerate(values):
        try:
            found.append(checked(parent, value, ""))
        except InputRefused as error:
            raise below.refuse(error.message, f"values[{index}]") from None
    return tuple(found)


def _check_names(parameter: Parameter, taken: set[str], place: str) -> None:
    """A name may not mean two things in one trial."""
    taken = taken | {parameter.id}
    for index, condition in enumerate(parameter.children):
        below = f"{place}.conditionalParameterSpecs[{index}].parameterSpec"
        if condition.parameter.id in taken:
            raise InputRefused(f"there are two parameters {condition.parameter.id!r}", place=f"{below}.parameterId")
        _check_names(condition.parameter, taken, below)


# --- values ----------------------------------------------------------------------------------------------------------


def active(spec: StudySpec, values: Mapping[str, Value]) -> Iterator[Parameter]:
    """The parameters that are there, parents first: each next one is asked for once `values` has its parent's."""
    waiting = list(spec.parameters)
    while waiting:
        parameter = waiting.pop(0)
        yield parameter
        met = [one.parameter for one in parameter.children if values[parameter.id] in one.values]
        waiting = met + waiting


def checked(parameter: Parameter, value: Any, place: str) -> Value:
    """The value as it is recorded. Raises InputRefused for one that the parameter cannot have."""
    if parameter.kind is ParameterKind.CATEGORICAL:
        if value in parameter.values:
            return str(value)
        raise InputRefused(f"{value!r} is none of {', '.join(map(repr, parameter.values))}", place=place)
    if parameter.kind is ParameterKind.DISCRETE:
        given = number(value, place)
        nearest = _nearest([float(one) for one in parameter.values], given)
        if abs(nearest - given) <= _NEAR:
            return nearest
        raise InputRefused(f"{value!r} is none of {', '.join(map(str, parameter.values))}", place=place)
    found = integer(value, place) if parameter.kind is ParameterKind.INTEGER else number(value, place)
    if not parameter.low <= found <= parameter.high:
        raise InputRefused(f"{value!r} is not between {parameter.low} and {parameter.high}", place=place)
    return found


def check_values(spec: StudySpec, given: Mapping[str, Any], place: str, *, partial: bool) -> dict[str, Value]:
    """Values somebody gave: all that the study has in such a trial, or with `partial` some of them.
    Raises InputRefused for an unknown name, one whose condition is not met, a value out of range, a missing one."""
    known = {parameter.id: parameter for parameter in every(spec)}
    for name in given:
        if name not in known:
            raise InputRefused(f"there is no parameter {name!r}", place=place, remedy=f"there are {', '.join(known)}")
    found: dict[str, Value] = {}
    missing = ""
    waiting = list(spec.parameters)
    while waiting:
        parameter = waiting.pop(0)
        if parameter.id not in given:
            missing = missing or parameter.id
            continue
        found[parameter.id] = checked(parameter, given[parameter.id], f"{place}.{parameter.id}")
        waiting += [one.parameter for one in parameter.children if found[parameter.id] in one.values]
    if stray := sorted(given.keys() - found.keys()):
        raise InputRefused(f"{stray[0]!r} is not there under these values of its parent", place=place)
    if missing and not partial:
        raise InputRefused(f"{missing!r} is missing", place=place)
    return found


def keyed(spec: StudySpec, values: Mapping[str, Value]) -> dict[str, Value]:
    """Checked values by the keys of their parameters."""
    found: dict[str, Value] = {}
    waiting = list(spec.parameters)
    while waiting:
        parameter = waiting.pop(0)
        if parameter.id in values:
            found[parameter.key] = value = values[parameter.id]
            waiting += [one.parameter for one in parameter.children if value in one.values]
    return found


def every(spec: StudySpec) -> Iterator[Parameter]:
    """All parameters, conditional ones included."""
    waiting = list(spec.parameters)
    while waiting:
        parameter = waiting.pop(0)
        yield parameter
        waiting = [one.parameter for one in parameter.children] + waiting
