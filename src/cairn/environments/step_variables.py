"""What a step inherits of the shell that started Cairn."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

# A container would see none of the shell's variables. On one's own machine a step needs the way to the network, the
# user's credentials and the devices; what would change how its Python starts (PYTHONPATH, VIRTUAL_ENV) stays out.
INHERITED = (
    "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "SHELL", "XDG_*", "SSH_AUTH_SOCK",
    "*_PROXY", "*_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC",
    "GOOGLE_*", "GCLOUD_*", "CLOUDSDK_*", "AWS_*", "AZURE_*", "HF_*", "HUGGING_FACE_*", "WANDB_*", "MLFLOW_*",
    "CUDA_*", "NVIDIA_*", "ROCR_*", "LD_LIBRARY_PATH", "DISPLAY", "HYDRA_FULL_ERROR",
)  # fmt: skip


def for_environment(
    directory: str, passed: Sequence[str], variables: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Variables of a step in a virtual environment: its own programs first, then the shell's."""
    shell = os.environ if variables is None else variables
    wanted = _Names((*INHERITED, *passed))
    kept = {name: value for name, value in shell.items() if not name.startswith("CAIRN_") and wanted.have(name)}
    path = shell.get("PATH") or os.defpath
    active = shell.get("VIRTUAL_ENV")
    if active:  # the programs of an environment the user happens to have active are not the step's
        path = os.pathsep.join(part for part in path.split(os.pathsep) if part != os.path.join(active, "bin"))
    kept["PATH"] = f"{directory}/bin{os.pathsep}{path}"
    kept["VIRTUAL_ENV"] = directory
    return kept


def for_python(python: str) -> dict[str, str]:
    """Variables of a program run by an interpreter of the user's: the shell's, its own programs first."""
    kept = for_host()
    kept["PATH"] = f"{os.path.dirname(python)}{os.pathsep}{kept.get('PATH') or os.defpath}"
    return kept


def for_host(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables of a command on the machine as it is: the shell's, without Cairn's own."""
    shell = os.environ if variables is None else variables
    return {name: value for name, value in shell.items() if not name.startswith("CAIRN_")}


def for_container(passed: Sequence[str], variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables of a step in a container: its image's, which the engine sets, and of the shell's only the way to the
    network and what is configured to be passed."""
    shell = os.environ if variables is None else variables
    wanted = _Names(("*_PROXY", "*_proxy", *passed))
    return {name: value for name, value in shell.items() if not name.startswith("CAIRN_") and wanted.have(name)}


class _Names:
    """Names and patterns with one star at the beginning or end. Not fnmatch: compiling its expressions takes longer
    than all the rest of finding an environment."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._exact = frozenset(pattern for pattern in patterns if "*" not in pattern)
        self._prefixes = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
        self._suffixes = tuple(pattern[1:] for pattern in patterns if pattern.startswith("*"))

    def have(self, name: str) -> bool:
        return name in self._exact or name.startswith(self._prefixes) or name.endswith(self._suffixes)
