"""Which value of a composed configuration a pipeline's parameter takes (docs/hydra.md, "Parameters")."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from cairn.config.composing import Composed
from cairn.config.nodes import MISSING, Place, nearest
from cairn.domain.configuration import RunConfiguration
from cairn.domain.values import ParameterType, Value
from cairn.errors import ConfigurationError, ParameterError
from cairn.spec.parameters import fitted_parameter
from cairn.spec.reader import shown
from cairn.spec.types import Pipeline


class Found(msgspec.Struct, frozen=True):
    """A parameter's value, and the key it was taken from. None: the key says null, which leaves the default."""

    value: Value
    key: str


def found_parameters(
    pipeline: Pipeline, composed: Composed, said: RunConfiguration, given: Mapping[str, Value]
) -> dict[str, Found]:
    """What the configuration gives the pipeline's parameters, but for those that are `given`.

    Raises ConfigurationError for a parameter that there is none of, two keys that one may take, a value that is
    missing or does not fit.
    """
    declared = pipeline.root.input_parameters
    root = Place(composed)
    for name in said.parameters:
        if name not in declared:
            raise root.at("cairn.parameters").bad(
                f"the pipeline {pipeline.name} has no parameter {shown(name)}{nearest(name, declared)}",
                f"it has {', '.join(sorted(declared))}" if declared else "it has none",
            )
    paths = _by_joined_name(composed.values) if declared else {}
    found: dict[str, Found] = {}
    for name in declared:
        if name in given:
            continue
        one = _look_up(name, composed, said, paths)
        if one is not None:
            value = None if one.value is None else _fitted(pipeline, name, one, root.at(one.key))
            found[name] = Found(value, one.key)
    return found


def _look_up(
    name: str, composed: Composed, said: RunConfiguration, paths: Mapping[str, list[tuple[str, ...]]]
) -> Found | None:
    if name in said.parameters:
        return Found(said.parameters[name], f"cairn.parameters.{name}")
    if name in composed.values:
        return Found(composed.values[name], name)
    there = paths.get(name, [])
    if len(there) > 1:
        keys = [".".join(path) for path in there]
        raise ConfigurationError(
            f"parameter {shown(name)} could take {' or '.join(keys)}",
            place=composed.primary,
            remedy=f"say which: cairn.parameters.{name}: ${{{keys[0]}}}",
        )
    if not there:
        return None
    value: Any = composed.values
    for part in there[0]:
        value = value[part]
    return Found(value, ".".join(there[0]))


def _by_joined_name(values: Mapping[str, Any]) -> dict[str, list[tuple[str, ...]]]:
    """Every path below the top level, by its keys joined with `_`."""
    found: dict[str, list[tuple[str, ...]]] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((key,), value) for key, value in values.items()]
    for path, value in waiting:
        if len(path) > 1:
            found.setdefault("_".join(path), []).append(path)
        if isinstance(value, dict):
            waiting += [((*path, key), inner) for key, inner in value.items()]
    return found


def _fitted(pipeline: Pipeline, name: str, found: Found, place: Place) -> Value:
    parameter = pipeline.root.input_parameters[name]
    _check(found.value, place, name)
    try:
        return fitted_parameter(name, parameter, found.value)
    except ParameterError as error:
        remedy = error.remedy
        if parameter.type is ParameterType.STRING:
            is_node = isinstance(found.value, (dict, list))
            remedy = f"give it a key of its own in cairn.parameters.{name}" if is_node else "quote it"
        raise ConfigurationError(error.message, place=f"{place}, for {error.place}", remedy=remedy) from None


def _check(value: Any, place: Place, name: str) -> None:
    """Raises ConfigurationError for what no parameter can hold: a value still to be given, no number of JSON."""
    if value == MISSING:
        raise place.bad(f"has no value yet (???), and parameter {shown(name)} takes it", f"give {place.key}=VALUE")
    if isinstance(value, float) and not math.isfinite(value):
        raise place.bad(f"{value} does not fit: no parameter can hold it, as JSON has no such number")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check(inner, place.at(key), name)
    if isinstance(value, list):
        for index, inner in enumerate(value):
            _check(inner, place.at(index), name)
