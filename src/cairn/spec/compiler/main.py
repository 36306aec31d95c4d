"""Compiles the pipeline in a Python file. Run by `compile` in an environment that has kfp; standard library otherwise.

Arguments: the file, the function's name or "", where to write the report (JSON), where Cairn's own packages lie, and a
file with the composed configuration (JSON) or "": a plain function of one parameter, `cfg` or `config`, is called with
it and returns the pipeline.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import json
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from types import FunctionType, ModuleType
from typing import Any

_NAME = "__cairn_pipeline__"
_NOISE = r"The default base_image used by the @dsl\.component decorator"  # once for each component, and no news here


_CONFIGURATION = ("cfg", "config")  # what the one parameter of a function that makes a pipeline may be called


def main(source: str, function: str, report_path: str, beside: str = "", configuration_path: str = "") -> None:
    sys.path[0] = os.path.dirname(source)  # as if the file were run itself
    sys.meta_path.append(Beside([path for path in beside.split(os.pathsep) if path]))
    sys.argv = [source]
    warnings.filterwarnings("ignore", _NOISE, FutureWarning)
    report: dict[str, Any]
    try:
        report = compiled(source, function, configuration_path)
    except Refused as error:
        report = {"error": str(error), "remedy": error.remedy}
    except SyntaxError as error:
        mine = error.filename == source
        report = {"error": str(error.msg), "kind": "SyntaxError", "line": (error.lineno or 0) if mine else 0}
        report["frames"] = frames(error, source)
    except SystemExit as error:
        report = {"error": f"it called sys.exit({error.code!r}) while it was imported"}
        report["frames"] = frames(error, source)
        report["remedy"] = "put what is to run only as a script under `if __name__ == '__main__':`"
    except BaseException as error:  # noqa: BLE001 - the user's code may raise anything, and all of it is to be reported
        report = {"error": str(error), "kind": type(error).__name__, "frames": frames(error, source)}
    with open(report_path, "w", encoding="utf-8") as file:
        json.dump(report, file)


class Beside(importlib.abc.MetaPathFinder):
    """`import cairn.hydra` in an environment that has kfp and no Cairn: it and what it needs are taken from where Cairn
    is installed. Asked last, and for these alone: what else is missing shall be missed."""

    packages = ("antlr4", "cairn", "cloudpickle", "hydra", "msgspec", "omegaconf", "packaging", "yaml")

    def __init__(self, directories: list[str]) -> None:
        self.directories = directories

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002 - the protocol's
    ) -> importlib.machinery.ModuleSpec | None:
        if path is not None or fullname not in self.packages:
            return None
        return importlib.machinery.PathFinder.find_spec(fullname, self.directories)


class Refused(Exception):
    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


def compiled(source: str, function: str, configuration_path: str) -> dict[str, Any]:
    try:
        from kfp import compiler
    except ImportError as error:
        raise Refused(f"the environment that compiles has no kfp: {error}") from None
    module = imported(source)
    file = os.path.basename(source)
    found = components(module, source)
    factory = chosen_factory(module, found, function, source)
    if factory is None:
        component = chosen(found, function, file)
    elif configuration_path:
        component = made(factory, configuration_path, file)
    else:
        raise Refused(
            f"{factory.__name__} makes the pipeline of a configuration, and none is given",
            remedy="add --config-dir DIR, the directory of its Hydra configuration",
        )
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "pipeline.yaml")
        compiler.Compiler().compile(component, path)
        with open(path, encoding="utf-8") as opened:
            return {"text": opened.read(), "configured": factory is not None}


def chosen_factory(
    module: ModuleType, found: tuple[dict[str, Any], dict[str, Any]], function: str, source: str
) -> FunctionType | None:
    """The function that makes the pipeline of a configuration: named, or the only one where there is no pipeline."""
    pipelines, singles = found
    if function:
        named = getattr(module, function, None)
        return named if function not in {*pipelines, *singles} and is_factory(named) else None
    if pipelines:
        return None
    factories = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and is_factory(value) and os.path.abspath(value.__code__.co_filename) == source
    }
    if singles:  # beside components, other functions may take a configuration too
        factories = {name: value for name, value in factories.items() if "pipeline" in value.__code__.co_names}
    if len(factories) > 1:
        file = os.path.basename(source)
        raise Refused("has several functions that take a configuration", remedy=names(factories, {}, file))
    return next(iter(factories.values()), None)


def is_factory(value: Any) -> bool:
    if not isinstance(value, FunctionType):
        return False
    taken = list(inspect.signature(value).parameters.values())
    return len(taken) == 1 and taken[0].name in _CONFIGURATION and taken[0].kind is not taken[0].VAR_KEYWORD


def made(factory: FunctionType, configuration_path: str, file: str) -> Any:
    from kfp.dsl import base_component

    with open(configuration_path, encoding="utf-8") as opened:
        configuration = json.load(opened)
    component = factory(configuration)
    if not isinstance(component, base_component.BaseComponent):
        raise Refused(
            f"{factory.__name__} returned {type(component).__name__}, no pipeline",
            remedy=f"return a function that is decorated with @dsl.pipeline, or name what is meant: {file}:FUNCTION",
        )
    return component


def imported(source: str) -> ModuleType:
    """The user's file as a module. Its own name is used, so that classes in it can be pickled and found again."""
    name = os.path.splitext(os.path.basename(source))[0]
    if not name.isidentifier() or name in sys.modules:
        name = _NAME
    spec = importlib.util.spec_from_file_location(name, source)
    if spec is None or spec.loader is None:
        raise Refused("is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def components(module: ModuleType, source: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """name → component, of those that the file itself defines; pipelines apart from single components."""
    from kfp.dsl import base_component, graph_component

    pipelines: dict[str, Any] = {}
    singles: dict[str, Any] = {}
    for name, value in vars(module).items():
        if not isinstance(value, base_component.BaseComponent):
            continue
        kind = pipelines if isinstance(value, graph_component.GraphComponent) else singles
        if value not in kind.values() and defined_here(value, source):
            kind[name] = value
    return pipelines, singles


def defined_here(component: Any, source: str) -> bool:
    function = getattr(component, "pipeline_func", None) or getattr(component, "python_func", None)
    code = getattr(function, "__code__", None)
    return code is None or os.path.abspath(code.co_filename) == source


def chosen(found: tuple[dict[str, Any], dict[str, Any]], function: str, file: str) -> Any:
    pipelines, singles = found
    if function:
        component = pipelines.get(function) or singles.get(function)
        if component is not None:
            return component
        raise Refused(f"has no pipeline or component {function!r}", remedy=names(pipelines, singles, file))
    # A helper pipeline that another one calls is no second choice, but only its author knows which is which.
    candidates = pipelines or singles
    if len(candidates) == 1:
        return next(iter(candidates.values()))
    if not candidates:
        remedy = "decorate a function with @dsl.pipeline; of one made inside a function run what it compiles to"
        raise Refused("defines no pipeline", remedy=remedy)
    kind = "pipelines" if pipelines else "components"
    raise Refused(f"defines several {kind}", remedy=names(pipelines, {} if pipelines else singles, file))


def names(pipelines: dict[str, Any], singles: dict[str, Any], file: str) -> str:
    known = [*pipelines, *singles]
    return "it has " + (", ".join(f"{file}:{name}" for name in known) or "none")


def frames(error: BaseException, source: str) -> list[dict[str, Any]]:
    """The traceback, outermost first, each frame marked as the user's or not."""
    library = [os.path.dirname(os.__file__), *(path for path in sys.path if path.endswith(("-packages", ".zip")))]
    library.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # `cairn.hydra`
    own = os.path.abspath(__file__)
    found = []
    for frame in traceback.extract_tb(error.__traceback__):
        file = os.path.abspath(frame.filename)
        if file == own or frame.filename.startswith("<"):
            continue
        user = file == source or not any(file.startswith(path + os.sep) for path in library)
        found.append(
            {"file": file, "line": frame.lineno or 0, "function": frame.name, "source": frame.line or "", "user": user}
        )
    return found


if __name__ == "__main__":
    main(*sys.argv[1:6])
