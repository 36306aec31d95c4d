"""Values that KFP would alter: its constants and defaults are protobuf's, whose numbers are doubles without a kind."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import yaml

from cairn.errors import ConfigurationError

_WHOLE = 2**53
# What a backend puts something else in the place of: kfp.dsl's own names and references.
_PLACEHOLDER = re.compile(r"\{\{\$\.(?:pipeline_[a-z_]+|workspace_path)\}\}|\{\{channel:task=")

# KFP's; and Kubernetes puts variables in the place of $(NAME), and one $ in that of $$.
_REPLACED = re.compile(r"\{\{|\$[$(]")
_NUMBER_OR_TRUTH = re.compile(r"[-+]?\.?[0-9][\w.+-]*|[yYnN]")


def survives(value: Any, kind: str) -> bool:
    """Whether a value of a declared type (`int`, `float`, `str`, `bool`, `list`, `dict`) arrives as it is."""
    if value is None:
        return False
    if kind == "int":
        return bool(abs(value) <= _WHOLE)
    if kind == "float":
        return math.isfinite(value) and not (value == 0 and math.copysign(1, value) < 0)
    return _survives_inside(value)


def _survives_inside(value: Any) -> bool:
    """The same of what is in a list or mapping, where nothing says what a number is: kfp writes 1 as 1.0 or as 1."""
    if value is None:
        return False  # kfp's compiler refuses it
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return False
    if isinstance(value, float):
        return math.isfinite(value) and not value.is_integer()
    if isinstance(value, str):
        return not _REPLACED.search(value) and not _is_text_here_only(value)
    if isinstance(value, list):
        return all(map(_survives_inside, value))
    keys = list(value)  # protobuf's mappings have no order: kfp writes them sorted
    return keys == sorted(keys) and all(map(_survives_inside, (*keys, *value.values())))


def _is_text_here_only(text: str) -> bool:
    """PyYAML, which kfp writes with, leaves 1e5 and 08 without quotes: Kubeflow's server reads numbers."""
    return _NUMBER_OR_TRUTH.fullmatch(text) is not None and yaml.safe_dump(text)[0] not in "'\""


def has_placeholder(value: Any) -> bool:
    """Whether it holds text that KFP replaces: a step's output, or dsl.PIPELINE_JOB_ID_PLACEHOLDER and the like."""
    if isinstance(value, str):
        return _PLACEHOLDER.search(value) is not None
    if isinstance(value, list):
        return any(map(has_placeholder, value))
    if isinstance(value, dict):
        return any(map(has_placeholder, value)) or any(map(has_placeholder, value.values()))
    return False


def exact_json(value: Any) -> str:
    """JSON (with NaN and Infinity) in which nothing looks like a placeholder, of KFP's (`{{`, `{$`) or of Kubernetes'
    (`$$`, `$(`): those are only found in texts."""
    return re.sub(r"\{(?=[{$])", r"\\u007b", json.dumps(value)).replace("$", r"\u0024")


def check_value(value: Any, place: str) -> None:
    """Raises ConfigurationError for what no JSON holds."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigurationError(
                "a text with a lone surrogate cannot be written to any file", place=place
            ) from None
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            check_value(inner, f"{place}[{index}]")
    elif isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ConfigurationError(f"the key {key!r} is no text: JSON has no others", place=place)
            check_value(key, f"{place}.{key!a}")
            check_value(inner, f"{place}.{key}")
    elif value is not None and not isinstance(value, bool | int | float):
        raise ConfigurationError(f"{type(value).__name__} is no value of a pipeline", place=place)
