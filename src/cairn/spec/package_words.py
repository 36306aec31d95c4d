"""The command that installs Python packages in an image and runs a module of theirs: written for a job's
pythonPackageSpec, and recognised again where no image is needed.

`CustomJob.from_local_script` of google-cloud-aiplatform 1 and 2 writes the same for images that are not Google's own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import msgspec

_MOUNT = "/gcs/"
_SCHEME = "gs://"
_UPGRADE = r"pip3? install (?:-q )?--upgrade pip$"  # compiled when they are first wanted, as few runs do
_INSTALL = r"(?:python3? -m )?pip3? install ((?:-q|--quiet|--user|--no-warn-script-location|-U|--upgrade| )*)"


class PackageRun(msgspec.Struct, frozen=True):
    """`packages`: paths as the step sees them (`/gcs/BUCKET/…`) or URIs. `arguments`: what follows the module;
    `unheard`: what the command is given and does nothing with."""

    packages: tuple[str, ...]
    module: str
    arguments: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()


def package_words(uris: Sequence[str], module: str) -> list[str]:
    """Arguments of the module follow."""
    install = "python3 -m pip install -q --user --no-warn-script-location " + shlex.join(map(_seen, uris))
    return ["sh", "-ec", f'{install} && exec python3 -m {module} "$@"', module]


def read_package_words(command: Sequence[str], args: Sequence[str]) -> PackageRun | None:
    """None for a command of another shape: it is the user's own, and is not touched.

    `args` behind `sh -c SCRIPT` are the script's `$0`, `$1`, …, which it does not use: they do nothing. A tuning job
    adds its trials' parameters there, here as on Vertex AI.
    """
    if len(command) == 4 and tuple(command[:2]) == ("sh", "-ec"):
        head, found, tail = command[2].partition(" && exec python3 -m ")
        if not found or not tail.endswith(' "$@"'):
            return None
        return _run(head, tail.removesuffix(' "$@"'), tuple(args))
    if len(command) == 3 and tuple(command[:2]) == ("sh", "-c"):
        parts = command[2].split(" && ")
        if len(parts) == 3 and re.match(_UPGRADE, parts[0]):
            parts = parts[1:]
        if len(parts) == 2 and parts[1].startswith("python3 -m "):
            run = _run(parts[0], parts[1].removeprefix("python3 -m "), None)
            return msgspec.structs.replace(run, unheard=tuple(args)) if run is not None else None
    return None


def _run(install: str, run: str, arguments: tuple[str, ...] | None) -> PackageRun | None:
    """`arguments` None: they stand behind the module, as a shell's words."""
    match = re.match(_INSTALL, install)
    packages = _words(install[match.end() :]) if match else None
    words = _words(run)
    if not packages or not words or any(package.startswith("-") for package in packages):
        return None
    if arguments is not None and len(words) != 1:
        return None
    return PackageRun(tuple(packages), words[0], tuple(words[1:]) if arguments is None else arguments)


def _words(text: str) -> list[str] | None:
    """None where a shell would do more than split and unquote."""
    if re.search(r"[`$;|<>&\n*?~]", text):
        return None
    try:
        return shlex.split(text)
    except ValueError:
        return None


def _seen(uri: str) -> str:
    return _MOUNT + uri.removeprefix(_SCHEME) if uri.startswith(_SCHEME) else uri
