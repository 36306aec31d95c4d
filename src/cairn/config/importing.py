"""Python of the user's that a configuration needs: structured configs and resolvers, registered by importing it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence

from cairn.errors import ConfigurationError


def import_all(imports: Sequence[str]) -> None:
    """Each a file (`conf/schema.py`) or a module (`acme.schema`), once in a process. A file's directory, and for a
    module the working directory, are on `sys.path` from then on. Raises ConfigurationError
    at the user's file and line."""
    for one in imports:
        if one.endswith(".py") or os.sep in one:
            _import_file(one)
        else:
            _import_module(one)


def _import_file(file: str) -> None:
    path = os.path.abspath(os.path.expanduser(file))
    if not os.path.isfile(path):
        raise ConfigurationError("there is no such file", place=f"--config-import {file}")
    if any(getattr(module, "__file__", None) == path for module in list(sys.modules.values())):
        return
    _on_path(os.path.dirname(path))
    name = os.path.splitext(os.path.basename(path))[0]
    if not name.isidentifier() or name in sys.modules:
        name = f"cairn_configuration_{name}_{len(sys.modules)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError("is not a Python file", place=f"--config-import {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failed(error, f"--config-import {file}") from error


def _import_module(name: str) -> None:
    _on_path(os.getcwd())
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise _failed(error, f"--config-import {name}") from error


def _on_path(directory: str) -> None:
    if directory not in sys.path:
        sys.path.insert(0, directory)


def _failed(error: BaseException, asked: str) -> ConfigurationError:
    """Placed at the innermost line of the user's."""
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError) and error.filename:
        return ConfigurationError(f"SyntaxError: {error.msg}", place=f"{error.filename}:{error.lineno}")
    library = (os.path.dirname(os.__file__), "<frozen")
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith(library)
    ]
    place = f"{own[-1].filename}:{own[-1].lineno}" if own else asked
    return ConfigurationError(message, place=place, remedy="" if own else f"{asked} is imported from {os.getcwd()}")
