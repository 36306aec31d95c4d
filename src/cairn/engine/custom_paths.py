"""Outputs that a step wrote to a path of its own choice (`artifact.custom_path`): their bytes belong at the URI.

KFP's launcher uploads them from that path; whoever takes the artifact as an input finds it under its URI.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from cairn.engine.leaves import Attempt
from cairn.errors import StepError


def bring(attempt: Attempt, custom_path: str, target: str) -> None:
    """Put what lies at `custom_path`, as the step names it, at `target`. Nothing there is no error."""
    source = _real_path(attempt, custom_path)
    if not os.path.lexists(source) or os.path.realpath(source) == os.path.realpath(target):
        return
    # What lies in the attempt's own directory is nobody else's: linked. All else may change later: copied.
    own = os.path.realpath(source).startswith(os.path.realpath(attempt.layout.directory) + os.sep)
    copy: Callable[[str, str], object] = _link_or_copy if own else shutil.copyfile
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(target):
            shutil.rmtree(target)
        if os.path.isdir(source):
            shutil.copytree(source, target, symlinks=True, copy_function=copy)
        else:
            copy(source, f"{target}.part")
            os.replace(f"{target}.part", target)
    except OSError as error:
        raise StepError(f"the output at {custom_path} cannot be published: {error}") from error


def _real_path(attempt: Attempt, path: str) -> str:
    """Where a path that the step sees is on this machine: private mounts looked through, relative ones completed."""
    path = os.path.normpath(os.path.join(attempt.layout.directory, "work", path))
    process = attempt.request.processes[0] if attempt.request else None
    for seen, real in process.links if process else ():
        if path == seen or path.startswith(seen.rstrip("/") + "/"):
            return real + path[len(seen.rstrip("/")) :]
    return path


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target
