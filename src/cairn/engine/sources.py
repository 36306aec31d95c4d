"""From what a user names as a pipeline and its parameters to values: the same for the command line and the SDK."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cairn.domain.values import Value
from cairn.engine.ports import Environment
from cairn.errors import ParameterError, SpecError
from cairn.spec.load import load_file, load_text
from cairn.spec.types import Pipeline

if TYPE_CHECKING:
    from cairn.config.composing import Composed

Progress = Callable[[str], None]
_PYTHON = ".py"
_ANY = "*"  # whatever the configuration is


class Compilers(Protocol):
    """What is needed of the environments adapter: a Python that has kfp."""

    def compile_environment(
        self, directory: Path, *, packages: Sequence[str] = (), progress: Progress | None = None
    ) -> Environment: ...


def split_source(source: str) -> tuple[str, str]:
    """`file.py:function` → (file.py, function); anything else → (source, "")."""
    path, colon, function = source.rpartition(":")
    if colon and path.endswith(_PYTHON) and function.isidentifier() and not os.path.exists(source):
        return path, function
    return source, ""


def source_name(source: str) -> str:
    """The source as it is recorded: absolute, so that it is found again from anywhere."""
    path, colon, function = source.rpartition(":") if ".py:" in source else (source, "", "")
    return f"{os.path.abspath(path)}{colon}{function}"


class PipelineSource:
    """What a user names as a pipeline, read once; one that is made of a configuration, once for each of them."""

    def __init__(
        self, source: str, compilers: Compilers, *, progress: Progress | None = None, traceback: bool = False
    ) -> None:
        self.source = source
        self.path, self.function = split_source(source)
        self.directory = Path(os.path.abspath(self.path)).parent  # where relative paths of its configuration start
        self._compilers = compilers
        self._progress = progress
        self._traceback = traceback
        self._read: dict[str, Pipeline] = {}

    @property
    def takes_configuration(self) -> bool:
        """Whether what has been read was made of a configuration: of another one it may be another pipeline."""
        return bool(self._read) and _ANY not in self._read

    def pipeline(self, composed: Composed | None = None) -> Pipeline:
        """Raises SpecError, CompileError; of a function that makes a pipeline of a configuration, without one too."""
        digest = composed.configuration.digest if composed else ""
        found = self._read.get(_ANY) or self._read.get(digest)
        if found is None:
            found, configured = self._loaded(composed)
            self._read[digest if configured else _ANY] = found
        return found

    def _loaded(self, composed: Composed | None) -> tuple[Pipeline, bool]:
        if not self.path.endswith(_PYTHON):
            return load_file(self.path), False
        if not os.path.isfile(self.path):
            raise SpecError("there is no such file", place=self.path)
        from cairn.spec.compile import compile_source  # a subprocess and what it takes: only for Python sources

        environment = self._compilers.compile_environment(self.directory, progress=self._progress)
        compiled = compile_source(
            self.path,
            function=self.function,
            python=environment.python,
            variables=environment.variables,
            traceback=self._traceback,
            configuration=composed.whole if composed else None,
        )
        return load_text(compiled.text, origin=self.source), compiled.configured


def read_parameters_file(path: str) -> dict[str, Value]:
    """A JSON or YAML file that holds one object. Raises ParameterError."""
    from cairn.spec.documents import parse_documents, read_text

    try:
        documents: list[Any] = parse_documents(read_text(path), origin=path)
    except SpecError as error:
        raise ParameterError(error.message, place=error.place, remedy=error.remedy) from None
    values = documents[0] if documents else {}
    if len(documents) > 1 or not isinstance(values, dict):
        raise ParameterError(
            "does not hold one object of parameters", place=path, remedy='write {"name": value, …} or YAML name: value'
        )
    return values
