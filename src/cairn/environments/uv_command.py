"""Calling uv: options from a spec, its lines as they come, its failure in its own words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cairn.environments.redaction import redact
from cairn.environments.specification import UvSpec
from cairn.errors import EnvironmentBuildError

Progress = Callable[[str], None]

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_TOKEN = re.compile(r"\x1b\[[0-9;]*m")


def find_uv() -> str:
    """The uv that came with Cairn, else the one on PATH."""
    beside = Path(sys.executable).with_name("uv")
    if os.access(beside, os.X_OK):
        return str(beside)
    try:
        from uv import find_uv_bin  # optional: a distribution may bring uv otherwise

        return os.fspath(find_uv_bin())
    except (ImportError, FileNotFoundError):
        pass
    found = shutil.which("uv")
    if found:
        return found
    raise EnvironmentBuildError("uv was not found", remedy="install it beside Cairn: `pip install uv`")


def index_options(spec: UvSpec) -> list[str]:
    """Where packages come from."""
    variables = dict(spec.variables)
    options: list[str] = []
    if spec.index_url:
        options += ["--default-index", _expanded(spec.index_url, variables)]
    for url in spec.extra_index_urls:
        options += ["--index", _expanded(url, variables)]
    for place in spec.find_links:
        options += ["--find-links", _expanded(place, variables)]
    if spec.extra_index_urls and "UV_INDEX_STRATEGY" not in os.environ:
        # pip takes the best version of any index; uv's own default, the first index that has the name, protects from
        # a stranger's package only where the user has put the private index first.
        options += ["--index-strategy", "unsafe-best-match"]
    for host in spec.trusted_hosts:
        if "://" not in host:  # kfp repeats the index URL here, and pip then trusts a host named "https"
            options += ["--allow-insecure-host", host]
    if spec.offline:
        options.append("--offline")
    return options


def resolution_options(spec: UvSpec) -> list[str]:
    options: list[str] = []
    if spec.constraints:
        options += ["--constraints", spec.constraints]
    if spec.overrides:
        options += ["--overrides", spec.overrides]
    if spec.exclude_newer:
        options += ["--exclude-newer", spec.exclude_newer]
    if spec.prerelease:
        options += ["--prerelease", "allow"]
    return options


def _expanded(url: str, variables: Mapping[str, str]) -> str:
    """`$NAME` as the step's shell would have put it in, from its own variables, else from the invoker's."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        return variables.get(name, os.environ.get(name, ""))

    return _VARIABLE.sub(value, url)


# Where systems keep the authorities they trust: Debian and Alpine, Fedora, SUSE, macOS and BSD.
SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def uv_variables(cache: Path, *, downloads: bool) -> dict[str, str]:
    """The invoker's environment as uv should see it: pip's standard variables count, an active environment does not."""
    variables = dict(os.environ)
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT", "UV_PROJECT_ENVIRONMENT",
                 "UV_SYSTEM_PYTHON", "UV_PYTHON", "__PYVENV_LAUNCHER__"):  # fmt: skip
        variables.pop(name, None)
    for pip, uv in (
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
        ("PIP_FIND_LINKS", "UV_FIND_LINKS"),
        ("PIP_CONSTRAINT", "UV_CONSTRAINT"),
        ("PIP_TRUSTED_HOST", "UV_INSECURE_HOST"),
    ):
        if variables.get(pip) and not variables.get(uv) and not variables.get(uv.replace("DEFAULT_INDEX", "INDEX_URL")):
            variables[uv] = variables[pip].replace(" ", ",") if uv == "UV_FIND_LINKS" else variables[pip]
    for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if variables.get(name) and not variables.get("SSL_CERT_FILE"):
            variables["SSL_CERT_FILE"] = variables[name]
    if not variables.get("SSL_CERT_FILE") and any(map(os.path.isfile, SYSTEM_BUNDLES)):
        variables.setdefault("UV_SYSTEM_CERTS", "1")  # a machine's own authority is trusted, as its Python and curl do
    if variables.get("PIP_NO_INDEX", "").lower() in {"1", "true", "yes", "on"}:
        variables["UV_NO_INDEX"] = "1"
    variables.setdefault("UV_CACHE_DIR", str(cache))
    if not downloads:
        variables.setdefault("UV_PYTHON_DOWNLOADS", "never")
    variables["UV_NO_PROGRESS"] = "1"
    variables["NO_COLOR"] = "1"
    return variables


def run_uv(
    arguments: Sequence[str],
    *,
    variables: Mapping[str, str],
    directory: Path,
    stdin: str = "",
    progress: Progress | None = None,
    keep_open: Sequence[int] = (),
) -> str:
    """Run uv in `directory` and give back its standard output.

    `keep_open` are descriptors that uv inherits: a lock stays held until uv itself has ended, should we be killed.
    Raises EnvironmentBuildError with uv's own words.
    """
    command = [find_uv(), *arguments]
    try:
        process = subprocess.Popen(
            command, cwd=directory, env=dict(variables), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace", pass_fds=tuple(keep_open),
        )  # fmt: skip
    except OSError as error:
        raise EnvironmentBuildError(f"uv cannot be started: {error.strerror}", place=command[0]) from None
    output, words = _converse(process, stdin, progress)
    if process.returncode:
        said = "\n".join(words).strip() or f"uv ended with status {process.returncode}"
        raise EnvironmentBuildError(said, remedy=remedy_of(said))
    return output


def _converse(process: subprocess.Popen[str], stdin: str, progress: Progress | None) -> tuple[str, list[str]]:
    """Feed standard input, hand on each line of standard error as it comes, gather standard output."""
    import threading  # three streams at once

    output: list[str] = []

    def feed() -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(stdin)
            process.stdin.close()
        except OSError:
            pass  # uv has ended; its status says why

    def gather() -> None:
        assert process.stdout is not None
        output.append(process.stdout.read())

    helpers = [threading.Thread(target=task, daemon=True) for task in (feed, gather)]
    for helper in helpers:
        helper.start()
    words: list[str] = []
    assert process.stderr is not None
    for line in process.stderr:
        clean = redact(_TOKEN.sub("", line.rstrip()))
        words.append(clean)
        if progress is not None and clean:
            progress(clean)
    for helper in helpers:
        helper.join()
    process.wait()
    return "".join(output), words[-200:]


def remedy_of(said: str) -> str:
    """What to do about uv's words; "" where they say enough."""
    lowered = said.lower()
    if "no solution found" in lowered:
        return "check packages_to_install, the Python version, and the indexes in [environments] of config.toml"
    if "401" in said or "403" in said:
        return "the index wants credentials: put them into ~/.netrc or the index URL's variables"
    if "error sending request" in lowered or "dns error" in lowered or "failed to fetch" in lowered:
        return "no way to the index: set [environments] index_url, or find_links and offline for a local wheelhouse"
    if "no space left" in lowered:
        return "free space (`cairn gc` helps), then `cairn runs resume RUN`"
    return ""
