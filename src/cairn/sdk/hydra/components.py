"""`component`: an ordinary KFP container component of a Hydra program."""

from __future__ import annotations

import inspect
import math
import os
import re
import sys
import types
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from cairn.errors import ConfigurationError
from cairn.sdk.hydra.composition import Composition, Node, composing
from cairn.sdk.hydra.exactness import check_value, exact_json, has_placeholder, survives
from cairn.sdk.hydra.keys import Key, Keys, check_apart, keys_of
from cairn.sdk.hydra.overrides import Overrides, read_overrides
from cairn.sdk.hydra.program import Program, find_program

EXACT = "hydra_exact"
MOST_ARGUMENT = 128 * 1024 - 1  # bytes of one argument that Linux passes on
_TYPES: dict[Any, str] = {int: "int", float: "float", str: "str", bool: "bool", list: "list", dict: "dict"}
_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")


@dataclass(frozen=True)
class Input:
    """A key that is an input: `type` a name of _TYPES; `default` is Ellipsis where there is none."""

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


def component(
    program: str | os.PathLike[str] = "",
    *,
    name: str,
    image: str,
    module: str = "",
    project: str | os.PathLike[str] | None = None,
    config_dir: str | os.PathLike[str] | None = None,
    config_name: str | None = None,
    overrides: Sequence[str] = (),
    inputs: Keys = (),
    input_artifacts: Keys = (),
    output_artifacts: Keys = (),
    output_parameters: Keys = (),
    imports: Sequence[str] = (),
    directory: str = "",
    description: str = "",
) -> Any:
    """A KFP component of the Hydra program in the file `program` (or of `module`, run with `python -m`).

    `project`: the folder that the image holds and works in; by default the program's own. Relative paths start from the
    file that calls this. `config_dir` and `config_name` are read from the program's @hydra.main where they are not
    given. `overrides` are Hydra's, used for composing here and given to the program. `inputs` are the keys offered:
    "train.lr" (its type and default as composed), {"optimizer": dict}, Key(…). `input_artifacts` and
    `output_artifacts` map keys to classes of kfp.dsl: the key holds the path. `output_parameters` map keys to types:
    the key holds the path of the file that the program writes the value to. `imports`: files of the project, or
    modules, that register structured configs. `directory`: where an image keeps the program, if not in its working
    directory.

    Returns a kfp.dsl container component: call it in a @dsl.pipeline. Raises ConfigurationError, with Hydra's words.
    """
    base, caller = _caller()
    found = find_program(os.fspath(program), module, project, base)
    given = read_overrides(overrides)
    config_name = given.name if given.name is not None else config_name
    where, which, flags = _configuration(found, config_dir, config_name, base)
    asked = {
        "inputs": keys_of(inputs, "inputs"),
        "input_artifacts": keys_of(input_artifacts, "input_artifacts"),
        "output_artifacts": keys_of(output_artifacts, "output_artifacts"),
        "output_parameters": keys_of(output_parameters, "output_parameters"),
    }
    check_apart([key for keys in asked.values() for key in keys])
    with composing(where, which, given.words, imports, found.project) as composition:
        offered = [_input(key, composition) for key in asked["inputs"]]
        for key in (*asked["input_artifacts"], *asked["output_artifacts"], *asked["output_parameters"]):
            _check_path_key(key, composition)
    spec = _spec(found, flags, given, offered, asked, directory)
    return _build(name, image, description, offered, asked, spec, caller)


def _caller() -> tuple[Path, str]:
    """(directory, file) of the code that called `component`; the working directory and "" in a notebook."""
    frame = sys._getframe(2)
    file = frame.f_globals.get("__file__") or ""
    return (Path(file).resolve().parent, os.path.abspath(file)) if file else (Path.cwd(), "")


def _configuration(
    program: Program, config_dir: str | os.PathLike[str] | None, config_name: str | None, base: Path
) -> tuple[Path | None, str | None, list[str]]:
    """Where to compose from, and the flags that tell the program of it, if it would not by itself."""
    where = (base / config_dir).resolve() if config_dir is not None else program.config_dir
    which = config_name if config_name is not None else program.config_name
    if not program.known and config_dir is None:
        raise ConfigurationError(
            "has no @hydra.main whose config_path and config_name can be read",
            place=str(program.file),
            remedy="give config_dir= and config_name=",
        )
    flags: list[str] = []
    if program.known and where is not None and where != program.config_dir:
        if not where.is_relative_to(program.project):
            raise ConfigurationError("does not lie in the project", place=str(where), remedy=f"it is {program.project}")
        flags += ["--config-path", os.path.relpath(where, program.file.parent)]
    if program.known and which != program.config_name and which is not None:
        flags += ["--config-name", which]
    return where, which, flags


# --- inputs ----------------------------------------------------------------------------------------------------------


def _input(key: Key, composition: Composition) -> Input:
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
    kind = "str" if choices or (isinstance(wanted, type) and issubclass(wanted, Path)) else _TYPES.get(wanted)
    if kind is None:
        raise ConfigurationError(f"{wanted!r} is no type of a pipeline", place=plain, remedy=", ".join(_TYPES.values()))
    default = ... if node.missing or node.dynamic or key.key.startswith("+") else node.value
    if default is not ...:
        check_value(default, plain)
    unset = node.dynamic or key.key.startswith("+") or default is None
    one_of = f" (one of {', '.join(choices)})" if choices else ""
    said = key.description or plain + one_of
    if node.dynamic:
        said += f", by default {node.text}"
    return Input(key.key, key.name, kind, choices, bool(unset), default, node.replaced, said)


def _unwrapped(wanted: Any) -> Any:
    """Optional[X] → X; list[int] → list."""
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        inner = [one for one in get_args(wanted) if one is not type(None)]
        return _unwrapped(inner[0]) if len(inner) == 1 else wanted
    return origin if origin in (list, dict) else wanted


def _check_path_key(key: Key, composition: Composition) -> None:
    plain = key.key.removeprefix("+")
    if not key.key.startswith("+") and composition.node(plain) is None:
        raise composition.unknown(plain)
    if key.type is None:
        raise ConfigurationError(
            f"{plain} is given no type", remedy=f'say it: {{"{plain}": dsl.Dataset}}, or float, str …'
        )


# --- the component ---------------------------------------------------------------------------------------------------


def _spec(
    program: Program,
    flags: list[str],
    given: Overrides,
    offered: list[Input],
    asked: Mapping[str, list[Key]],
    directory: str,
) -> dict[str, Any]:
    """What the bootstrap is told (see there)."""
    told: dict[str, Any] = {}
    for one in offered:
        entry: dict[str, Any] = {"key": one.key.removeprefix("+"), "type": one.type}
        if one.shown is ... and one.default is not ...:
            entry["default"] = one.default
        if one.replaced:
            entry["replaced"] = one.replaced
        told[one.name] = entry
    metrics = {
        key.name: [key.key.removeprefix("+"), "Classification" in _schema(key.type)]
        for key in asked["output_artifacts"]
        if _schema(key.type).endswith("Metrics")
    }
    paths = [key.key for keys in list(asked.values())[1:] for key in keys]
    return {
        "program": program.words,
        "file": program.file.relative_to(program.project).as_posix(),
        "flags": flags,
        "overrides": given.told({one.name: one.key for one in offered}, paths),
        "inputs": told,
        "metrics": metrics,
        "directory": directory,
    }


def _schema(kind: Any) -> str:
    return str(getattr(kind, "schema_title", ""))


def _build(
    name: str,
    image: str,
    description: str,
    offered: list[Input],
    asked: Mapping[str, list[Key]],
    spec: dict[str, Any],
    caller: str,
) -> Any:
    from kfp import dsl

    parameters = [_parameter(one) for one in offered]
    parameters.append(inspect.Parameter(EXACT, inspect.Parameter.KEYWORD_ONLY, default="", annotation=str))
    for keys, wrap in ((asked["input_artifacts"], dsl.Input), (asked["output_artifacts"], dsl.Output)):
        parameters += [
            inspect.Parameter(key.name, inspect.Parameter.KEYWORD_ONLY, annotation=wrap[key.type]) for key in keys
        ]
    for key in asked["output_parameters"]:
        kind = dsl.OutputPath(key.type)
        parameters.append(inspect.Parameter(key.name, inspect.Parameter.KEYWORD_ONLY, annotation=kind))
    parameters.sort(key=lambda one: one.default is not inspect.Parameter.empty)

    def container(*placeholders: Any) -> Any:
        by_name = dict(zip((one.name for one in parameters), placeholders, strict=True))
        words: list[Any] = ["--spec", exact_json(spec), "--executor-input", "{{$}}"]
        for key in asked["input_artifacts"]:
            words += ["--artifact", key.key.removeprefix("+"), by_name[key.name].path]
        for key in asked["output_artifacts"]:
            words += ["--output", key.key.removeprefix("+"), by_name[key.name].path]
        for key in asked["output_parameters"]:
            words += ["--output", key.key.removeprefix("+"), by_name[key.name]]
        return dsl.ContainerSpec(image=image, command=["python3", "-c", _BOOTSTRAP.read_text()], args=words)

    container.__name__ = re.sub(r"\W", "_", name)
    container.__doc__ = _docstring(description or f"{' '.join(spec['program'])}, a Hydra program.", offered)
    container.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    made = dsl.container_component(container)
    made.__class__ = _exact_class(type(made))
    made.hydra_inputs = {one.name: one for one in offered}
    if caller:
        container.__code__ = container.__code__.replace(co_filename=caller)  # whose component it is
    return made


def _parameter(one: Input) -> inspect.Parameter:
    kinds: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}
    kind: Any = kinds[one.type]
    if one.required:
        return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
    if one.shown is ...:
        return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind | None)
    shown = float(one.shown) if one.type == "float" else one.shown
    return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=shown, annotation=kind)


def _docstring(description: str, offered: list[Input]) -> str:
    lines = [f"    {one.name}: {one.description}" for one in offered]
    exact = f"    {EXACT}: JSON of values that KFP cannot hold as they are; filled in by cairn.hydra."
    return "\n".join([description, "", "Args:", *lines, exact])


def _exact_class(kind: type) -> Any:
    """kfp's container component, whose call lets nothing be altered."""

    class HydraComponent(kind):  # type: ignore[misc]
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **exact_arguments(self.name, self.hydra_inputs, kwargs))

    HydraComponent.__name__ = HydraComponent.__qualname__ = kind.__name__
    return HydraComponent


def exact_arguments(component_name: str, inputs: Mapping[str, Input], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call with those that KFP would alter (as JSON) in the component's input `hydra_exact`.

    Raises ConfigurationError for a value of another type, or that nothing can carry.
    """
    from kfp.dsl import pipeline_channel

    passed: dict[str, Any] = {}
    exact: dict[str, Any] = {}
    for name, value in given.items():
        one = inputs.get(name)
        if one is None or isinstance(value, pipeline_channel.PipelineChannel):
            passed[name] = value
            continue
        place = f"{component_name}.{name}"
        value = value.name if isinstance(value, Enum) else str(value) if isinstance(value, Path) else value
        if pipeline_channel.extract_pipeline_channels_from_any(value) or has_placeholder(value):
            _check_mixed(value, place)
            passed[name] = value
            continue
        check_value(value, place)
        value = _typed(value, one, place)
        if not survives(value, one.type):
            exact[name] = value
        if value is not None:
            passed[name] = _near(value, one.type)
    if exact:
        passed[EXACT] = exact_json(exact)
    _warn_of_size(component_name, [*passed.values()])
    return passed


def _typed(value: Any, one: Input, place: str) -> Any:
    kinds: dict[str, Any] = {
        "int": int,
        "float": (float, int),
        "str": str,
        "bool": bool,
        "list": list | tuple,
        "dict": dict,
    }
    if value is None:
        return None
    if not isinstance(value, kinds[one.type]) or (isinstance(value, bool) and one.type != "bool"):
        raise ConfigurationError(f"{value!r:.80} does not fit: {one.type} is wanted", place=place)
    if one.choices and value not in one.choices:
        raise ConfigurationError(f"{value!r} does not fit: one of {', '.join(one.choices)} is wanted", place=place)
    return float(value) if one.type == "float" else value


def _near(value: Any, kind: str = "") -> Any:
    """What protobuf can hold of a value, for people to see: the bootstrap takes the exact one in its place."""
    if isinstance(value, float) and not math.isfinite(value):
        return 0.0 if kind == "float" else str(value)
    if isinstance(value, int) and abs(value) > 1 << 53:
        return (1 << 53) * (1 if value > 0 else -1) if kind == "int" else str(value)
    if value is None:
        return "null"
    if isinstance(value, str):
        return value.replace("{{", "{ {")
    if isinstance(value, list | tuple):
        return [_near(inner) for inner in value]
    if isinstance(value, dict):
        return {_near(key): _near(inner) for key, inner in value.items()}
    return value


def _check_mixed(value: Any, place: str) -> None:
    from kfp.dsl import pipeline_channel

    def altered(inner: Any) -> bool:
        if isinstance(inner, (pipeline_channel.PipelineChannel, str)):
            return False
        if isinstance(inner, list | tuple):
            return any(map(altered, inner))
        if isinstance(inner, dict):
            return any(map(altered, inner.values()))
        return not survives(inner, "dict")

    if isinstance(value, list | tuple | dict) and altered(value):
        raise ConfigurationError(
            "holds both what another step or the pipeline gives and numbers that KFP would alter (1.0 becomes 1)",
            place=place,
            remedy="make the whole value in a step, or give its parts as inputs of their own",
        )


def _warn_of_size(component_name: str, values: list[Any]) -> None:
    size = sum(len(exact_json(value)) for value in values if isinstance(value, str | int | float | bool | list | dict))
    if size > MOST_ARGUMENT:
        warnings.warn(
            f"{component_name} is given {size} bytes of values: Cairn hands them over in a file, but on Kubernetes and "
            "Vertex AI one argument is at most 128 KiB; an artifact has no such limit",
            stacklevel=4,
        )
