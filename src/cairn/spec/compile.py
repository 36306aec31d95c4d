"""A pipeline's Python source, compiled by kfp in a process and an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from cairn.errors import CompileError

_COMPILER = Path(__file__).with_name("compiler") / "main.py"
_DEADLINE_SECONDS = 300


class _Frame(msgspec.Struct, frozen=True):
    file: str
    line: int
    function: str
    source: str
    user: bool


class Compiled(msgspec.Struct, frozen=True):
    text: str  # the IR, as YAML
    configured: bool = False  # made of the configuration: of another one it may be another pipeline


class _Report(msgspec.Struct, frozen=True):
    """What `compiler.main` writes: the compiled text, or what went wrong."""

    text: str = ""
    configured: bool = False
    error: str = ""
    kind: str = ""
    frames: tuple[_Frame, ...] = ()
    line: int = 0  # of a SyntaxError in the user's file
    remedy: str = ""


def compile_source(
    path: str | os.PathLike[str],
    *,
    function: str = "",
    python: str,
    variables: dict[str, str] | None = None,
    traceback: bool = False,
    timeout_seconds: float = _DEADLINE_SECONDS,
    configuration: Mapping[str, Any] | None = None,
) -> Compiled:
    """The pipeline in a Python file: `function`, or the only one there is.

    `python` is the interpreter of an environment that has kfp; `variables` are set for it. The file's directory is on
    `sys.path` and the working directory stays. What the file prints goes to standard error. `configuration` (plain JSON
    values) is for a plain function of one parameter, `cfg` or `config`, that makes the pipeline of it.
    Raises CompileError, placed at the user's file and line; kfp's own frames are left out unless `traceback`.
    """
    source = os.path.abspath(path)
    if not os.path.isfile(source):
        raise CompileError("there is no such file", place=str(path))
    with tempfile.TemporaryDirectory(prefix="cairn-compile-") as directory:
        report_path = os.path.join(directory, "report.json")
        command = [python, str(_COMPILER), source, function, report_path, os.pathsep.join(_own_packages())]
        if configuration is not None:
            command.append(os.path.join(directory, "configuration.json"))
            Path(command[-1]).write_text(json.dumps(configuration), encoding="utf-8", errors="surrogatepass")
        try:
            ended = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=2,
                check=False,
                env={**os.environ, **(variables or {})},
                timeout=timeout_seconds,
            )
        except subprocess.TimeoutExpired:
            raise CompileError(f"was not compiled within {timeout_seconds:g} s", place=str(path)) from None
        except OSError as error:
            raise CompileError(f"{python} cannot be run: {error.strerror}", place=str(path)) from None
        report = _read(report_path, ended.returncode, str(path))
    if report.text:
        return Compiled(report.text, report.configured)
    raise _failed(report, str(path), source, traceback)


def _own_packages() -> list[str]:
    """Where Cairn and the packages that it needs lie: for `import cairn.hydra` in an environment that has kfp alone."""
    paths = sysconfig.get_paths()
    return list(dict.fromkeys((str(Path(__file__).parents[2]), paths["purelib"], paths["platlib"])))


def _read(report_path: str, status: int, path: str) -> _Report:
    try:
        return msgspec.json.decode(Path(report_path).read_bytes(), type=_Report)
    except (OSError, msgspec.MsgspecError):
        raise CompileError(f"its process ended with status {status} before it was compiled", place=path) from None


def _failed(report: _Report, path: str, source: str, traceback: bool) -> CompileError:
    own = [frame for frame in report.frames if frame.user]
    shown = report.frames if traceback else own
    message = f"{report.kind}: {report.error}" if report.kind else report.error
    if shown:
        message = "\n".join([message, *(f"    {_named(frame, source, path)}" for frame in shown)])
    if report.line:
        return CompileError(message, place=f"{path}:{report.line}", remedy=report.remedy)
    return CompileError(message, place=_place(own, source, path), remedy=report.remedy)


def _place(own: list[_Frame], source: str, path: str) -> str:
    """The innermost frame of the user's."""
    if not own:
        return path
    innermost = own[-1]
    return f"{path if innermost.file == source else innermost.file}:{innermost.line}"


def _named(frame: _Frame, source: str, path: str) -> str:
    file = path if frame.file == source else frame.file
    return f"{file}:{frame.line} in {frame.function}: {frame.source}"
