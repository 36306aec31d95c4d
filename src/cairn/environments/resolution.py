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
    bare = _compile(spec, interpreter, spec.bare, uv, ("--no-deps",)) if spec.bare else {}
    if not spec.packages:
        return _text(bare)
    pins = _PIN.findall("\n".join(bare.values()))
    if not pins:
        return _text({**_compile(spec, interpreter, spec.packages, uv), **bare})
    try:
        # What is there already counts for pip: a package that needs kfp is content with the kfp that is pinned.
        replace_file(scratch, "\n".join(pins).encode())
        packages = _compile(spec, interpreter, spec.packages, uv, ("--constraints", str(scratch)))
    except EnvironmentBuildError:
        # Nor would pip mind a misfit: what is installed without dependencies is not asked whether it fits.
        packages = _compile(spec, interpreter, spec.packages, uv)
    finally:
        scratch.unlink(missing_ok=True)
    return _text({**packages, **bare})


def _compile(
    spec: UvSpec, interpreter: str, requirements: Sequence[str], uv: Uv, flags: Sequence[str] = ()
) -> dict[str, str]:
    """Normalised name → its lines in the lock."""
    output = uv(
        ["pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate", "--python", interpreter,
         *flags, *index_options(spec), *resolution_options(spec), "-"],
        "\n".join(requirements) + "\n",
    )  # fmt: skip
    blocks: dict[str, str] = {}
    for block in _BLOCK.split(output):
        name = _NAME.match(block)
        if name:
            blocks[re.sub(r"[-_.]+", "-", name[0]).lower()] = block.rstrip()
    return blocks


def _text(blocks: dict[str, str]) -> str:
    return "".join(f"{blocks[name]}\n" for name in sorted(blocks))
