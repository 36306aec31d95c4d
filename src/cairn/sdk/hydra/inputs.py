"""What a component offers of a configuration: keys, with the types and defaults that the composed one has."""

from __future__ import annotations

import json
import types
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from cairn.errors import ConfigurationError
from cairn.sdk.hydra.composition import Composition, Node
from cairn.sdk.hydra.exactness import check_value, has_placeholder, survives
from cairn.sdk.hydra.keys import Key

MOST_DESCRIPTION = 500
_ACCEPTED: dict[str, Any] = {
    "int": int, "float": float | int, "str": str, "bool": bool, "list": list | tuple, "dict": dict,
}  # fmt: skip
TYPES: dict[Any, str] = {int: "int", float: "float", str: "str", bool: "bool", list: "list", dict: "dict"}


@dataclass(frozen=True)
class Input:
    """A key that is an input: `type` a name of TYPES; `default` is Ellipsis where there is none."""

    key: str
    name: str
    type: str
    choices: tuple[str, ...]
    optional: bool
    default: Any
    replaced: tuple[tuple[str, ...], ...]
    description: str

    @property
    def required(self) -> bool:
        return self.default is ... and not self.optional

    @property
    def shown(self) -> Any:
        """The default as the pipeline's text states it; Ellipsis where it cannot, and the bootstrap knows it."""
        if self.default is ... or has_placeholder(self.default) or not survives(self.default, self.type):
            return ...
        return self.default


def input_of(key: Key, composition: Composition) -> Input:
    plain = key.key.removeprefix("+")
    node = composition.node(plain)
    if node is None:
        if not key.key.startswith("+"):
            raise composition.unknown(plain)
        node = Node(None, None, True, False, False, ((),))
    wanted = _unwrapped(key.type if key.type is not None else node.type)
    if wanted is None:
        held = "nothing (???)" if node.missing else f"{node.value!r}"
        raise ConfigurationError(
            f"{plain} holds {held}, which tells no type",
            place=composition.place,
            remedy=f'say it: {{"{key.key}": float}}, or int, str, bool, list, dict',
        )
    choices = tuple(wanted.__members__) if isinstance(wanted, type) and issubclass(wanted, Enum) else ()
    kind = "str" if choices or (isinstance(wanted, type) and issubclass(wanted, Path)) else TYPES.get(wanted)
    if kind is None:
        raise ConfigurationError(f"{wanted!r} is no type of a pipeline", place=plain, remedy=", ".join(TYPES.values()))
    default = ... if node.missing or node.dynamic or key.key.startswith("+") else node.value
    if default is not ...:
        check_value(default, plain)
        default = fitted(default, kind, plain)
    unset = node.dynamic or key.key.startswith("+") or default is None
    one_of = f" (one of {', '.join(choices)})" if choices else ""
    said = key.description or plain + one_of
    made = Input(key.key, key.name, kind, choices, bool(unset), default, node.replaced, said)
    if node.dynamic:
        return replace(made, description=f"{said}, by default {node.text}")
    if made.shown is ... and default is not ... and default is not None:
        return replace(made, description=f"{said}, by default {json.dumps(default)}"[:MOST_DESCRIPTION])
    return made


def fitted(value: Any, kind: str, place: str) -> Any:
    """A value as its declared type has it: 1 of a `float` is 1.0. Raises ConfigurationError for one of another type."""
    if value is None:
        return None
    if not isinstance(value, _ACCEPTED[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise ConfigurationError(f"{value!r:.80} does not fit: {kind} is wanted", place=place)
    return float(value) if kind == "float" else list(value) if kind == "list" else value


def _unwrapped(wanted: Any) -> Any:
    """Optional[X] → X; list[int] → list."""
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        inner = [one for one in get_args(wanted) if one is not type(None)]
        return _unwrapped(inner[0]) if len(inner) == 1 else wanted
    return origin if origin in (list, dict) else wanted


def check_path_key(key: Key, composition: Composition) -> None:
    plain = key.key.removeprefix("+")
    if not key.key.startswith("+") and composition.node(plain) is None:
        raise composition.unknown(plain)
    if key.type is None:
        raise ConfigurationError(
            f"{plain} is given no type", remedy=f'say it: {{"{plain}": dsl.Dataset}}, or float, str …'
        )
