"""A call of a component in a pipeline: what KFP would alter of its arguments travels as JSON beside them."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from cairn.errors import ConfigurationError
from cairn.sdk.hydra.bootstrap import EXACT, HOLES
from cairn.sdk.hydra.exactness import check_value, exact_json, has_placeholder, survives
from cairn.sdk.hydra.holes import has_holes, take_out
from cairn.sdk.hydra.inputs import Input, fitted

MOST_ARGUMENT = 128 * 1024 - 1  # bytes of one argument that Linux passes on


def exact_arguments(component_name: str, inputs: Mapping[str, Input], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call with those that KFP would alter (as JSON) in the component's input `hydra_exact`.

    Raises ConfigurationError for a value of another type, or that nothing can carry.
    """
    from kfp.dsl import pipeline_channel

    passed: dict[str, Any] = {}
    exact: dict[str, Any] = {}
    holes: dict[str, Any] = {}
    for name, value in given.items():
        one = inputs.get(name)
        if one is None or isinstance(value, pipeline_channel.PipelineChannel):
            passed[name] = value
            continue
        place = f"{component_name}.{name}"
        value = value.name if isinstance(value, Enum) else str(value) if isinstance(value, Path) else value
        if isinstance(value, str) and has_placeholder(value):
            passed[name] = value
            continue
        shown = value
        if has_holes(value):
            value, found = take_out(value, place)
            holes[name] = [[where, [_near(key) for key in where], is_json] for where, is_json in found]
        check_value(value, place)
        value = _typed(value, one, place)
        if name in holes or not survives(value, one.type):
            exact[name] = value
        if value is not None:
            passed[name] = _near(shown if name in holes else value, one.type)
    if holes:
        exact[HOLES] = holes
    if exact:
        passed[EXACT] = exact_json(exact)
    _warn_of_size(component_name, [*passed.values()])
    return passed


def _typed(value: Any, one: Input, place: str) -> Any:
    value = fitted(value, one.type, place)
    if one.choices and value is not None and value not in one.choices:
        raise ConfigurationError(f"{value!r} does not fit: one of {', '.join(one.choices)} is wanted", place=place)
    return value


def _near(value: Any, kind: str = "") -> Any:
    """What protobuf can hold of a value, for people to see: the bootstrap takes the exact one in its place."""
    if isinstance(value, float) and not math.isfinite(value):
        return 0.0 if kind == "float" else str(value)
    if isinstance(value, int) and abs(value) > 1 << 53:
        return (1 << 53) * (1 if value > 0 else -1) if kind == "int" else str(value)
    if value is None:
        return "null"
    if isinstance(value, str):
        return value if has_placeholder(value) else re.sub(r"\{(?=\{)", "{ ", value)
    if isinstance(value, list | tuple):
        return [_near(inner) for inner in value]
    if isinstance(value, dict):
        return {_near(key): _near(inner) for key, inner in value.items()}
    return value


def _warn_of_size(component_name: str, values: list[Any]) -> None:
    """What is known here only: a value of another step may be larger still, and Kubernetes says so then."""
    size = sum(len(json.dumps(value, default=str)) for value in values)
    if size > MOST_ARGUMENT:
        warnings.warn(
            f"{component_name} is given {size} bytes of values: Cairn hands them over in a file, but on Kubeflow and "
            "Vertex AI one argument is at most 128 KiB; an artifact has no such limit",
            stacklevel=4,
        )
