"""From a spec to a lock: every package pinned, with hashes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from cairn.environments.catalogue import replace_file
from cairn.environments.specification import UvSpec
from cairn.environments.uv_command import index_options, resolution_options
from cairn.errors import EnvironmentBuildError

# (arguments, stdin) → standard output
Uv = Callable[[Sequence[str], str], str]

_BLOCK = re.compile(r"^(?=\S)", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PIN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*==[^\s;\\*]+", re.MULTILINE)


def resolve(spec: UvSpec, interpreter: str, uv: Uv, scratch: Path) -> str:
    """The text of a requirements file for `uv pip install --no-deps`. Raises EnvironmentBuildError.

    `scratch` is the path of a file that may be written.
    """
    blocks = _project(spec, interpreter, uv) if spec.project_file else _asked_for(spec, interpreter, uv, scratch)
    if spec.brought and _normalised(spec.brought) not in blocks:
        blocks |= _compile(spec, interpreter, (spec.brought,), uv, ("--no-deps",))
    return "".join(f"{blocks[name]}\n" for name in sorted(blocks))


def _asked_for(spec: UvSpec, interpreter: str, uv: Uv, scratch: Path) -> dict[str, str]:
    bare = _compile(spec, interpreter, spec.bare, uv, ("--no-deps",)) if spec.bare else {}
    if not spec.packages:
        return bare
    pins = _PIN.findall("\n".join(bare.values()))
    if not pins:
        return {**_compile(spec, interpreter, spec.packages, uv), **bare}
    try:
        # What is there already counts for pip: a package that needs kfp is content with the kfp that is pinned.
        replace_file(scratch, "\n".join(pins).encode())
        packages = _compile(spec, interpreter, spec.packages, uv, ("--constraints", str(scratch)))
    except EnvironmentBuildError:
        # Nor would pip mind a misfit: what is installed without dependencies is not asked whether it fits.
        packages = _compile(spec, interpreter, spec.packages, uv)
    finally:
        scratch.unlink(missing_ok=True)
    return {**packages, **bare}


def _project(spec: UvSpec, interpreter: str, uv: Uv) -> dict[str, str]:
    """What the project's own files pin or ask for; its uv.lock is taken as it is."""
    if spec.project_file == "uv.lock":
        selection = ["--frozen", "--no-default-groups", "--no-emit-workspace", "--python", interpreter]
        form = ["--quiet", "--no-header", "--no-annotate", "--format", "requirements.txt"]
        return _blocks(uv(["export", *form, *selection, "--project", spec.project], ""))
    try:
        return _compile(spec, interpreter, (), uv, source=f"{spec.project}/{spec.project_file}")
    except EnvironmentBuildError as error:
        if "not found at: file:" not in " ".join(error.message.split()):  # uv breaks its lines
            raise
        remedy = "the folder runs as a copy, without what lies beside it: use --in-place, or map the folder above"
        raise EnvironmentBuildError(error.message, place=error.place, remedy=remedy) from None


def _compile(
    spec: UvSpec,
    interpreter: str,
    requirements: Sequence[str],
    uv: Uv,
    flags: Sequence[str] = (),
    *,
    source: str = "-",
) -> dict[str, str]:
    """Normalised name → its lines in the lock."""
    form = ["--quiet", "--generate-hashes", "--no-header", "--no-annotate", "--python", interpreter]
    options = [*form, *flags, *index_options(spec), *resolution_options(spec)]
    return _blocks(uv(["pip", "compile", *options, source], "".join(f"{each}\n" for each in requirements)))


def _blocks(output: str) -> dict[str, str]:
    found = [block.rstrip() for block in _BLOCK.split(output) if _NAME.match(block)]
    return {_normalised(block): block for block in found}


def _normalised(requirement: str) -> str:
    """The name of a requirement as indexes spell it; the text itself where it has none."""
    name = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else requirement
