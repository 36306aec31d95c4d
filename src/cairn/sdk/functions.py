"""Pipelines as Python has them: a path, a decorated function, or a function that makes one of a configuration."""

from __future__ import annotations

import inspect
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cairn.engine import sources
from cairn.errors import CompileError, ConfigurationError, InputRefused
from cairn.spec.load import load_text

if TYPE_CHECKING:
    from cairn.config.composing import Composed
    from cairn.engine.configuring import Source
    from cairn.spec.types import Pipeline
    from cairn.wiring import Cairn

_CONFIGURATION = ("cfg", "config")


class _FunctionSource:
    """As PipelineSource, of a function of this process."""

    def __init__(self, function: Any) -> None:
        self._function = function
        file = source_name(function)
        self.directory = Path(file).parent if file else Path.cwd()
        self.takes_configuration: bool = _makes_pipeline(function)

    def pipeline(self, composed: Composed | None = None) -> Pipeline:
        function = self._function
        if _makes_pipeline(function):
            if composed is None:
                raise ConfigurationError(
                    f"{function.__name__} makes the pipeline of a configuration, and none is given",
                    place="cairn.run",
                    remedy="give config_dir, the directory of its Hydra configuration",
                )
            function = function(composed.whole)
        return load_text(_compiled(function), origin=source_name(self._function))


def source_of(function_or_path: Any, cairn: Cairn) -> Source:
    """Nothing is compiled yet."""
    if isinstance(function_or_path, str | os.PathLike):
        return sources.PipelineSource(os.fspath(function_or_path), cairn.environments)
    return _FunctionSource(function_or_path)


def source_name(function_or_path: Any) -> str:
    """The file it comes from, as it is recorded; "" for a notebook's cell."""
    if isinstance(function_or_path, str | os.PathLike):
        return sources.source_name(os.fspath(function_or_path))
    for inner in (
        *(getattr(function_or_path, name, None) for name in ("pipeline_func", "python_func")),
        function_or_path,
    ):
        file = getattr(getattr(inner, "__code__", None), "co_filename", "")
        if file and os.path.isfile(file):
            return os.path.abspath(file)
    return ""


def _makes_pipeline(function: Any) -> bool:
    if not inspect.isfunction(function):
        return False
    return len(taken := list(inspect.signature(function).parameters)) == 1 and taken[0] in _CONFIGURATION


def _compiled(function: Any) -> str:
    """What this process's own kfp compiles it to; kfp is imported here already, or `function` would not exist."""
    from importlib import import_module

    if not (callable(function) and type(function).__module__.startswith("kfp.")):
        raise InputRefused(
            f"{function!r} is no pipeline",
            place="cairn.run",
            remedy="give a function decorated with @dsl.pipeline or @dsl.component, or a file's path",
        )
    compiler = import_module("kfp.compiler").Compiler()
    with tempfile.TemporaryDirectory(prefix="cairn-") as directory:
        path = os.path.join(directory, "pipeline.yaml")
        try:
            compiler.compile(function, path)
        except Exception as error:
            raise CompileError(f"{type(error).__name__}: {error}", place=source_name(function)) from error
        with open(path, encoding="utf-8") as file:
            return file.read()
