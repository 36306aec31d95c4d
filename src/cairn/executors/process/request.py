"""What a supervisor is told: `StartAttempt` as one frame of `cairn.launcher.wire`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from cairn.engine.ports import Environment, ProcessSpec, StartAttempt
from cairn.launcher import wire

HOST_KEY = "host"
# Read by the loader, the C library or the interpreter before any code runs: only a fresh process sees them.
STARTUP_PREFIXES = ("PYTHON", "LD_", "MALLOC_", "LC_", "OPENSSL_", "DYLD_", "__PYVENV")
STARTUP_NAMES = frozenset({"GLIBC_TUNABLES", "LANG", "LANGUAGE", "TZ", "HOME", "_KFP_RUNTIME"})


def encode_start(
    request: StartAttempt,
    *,
    grace_seconds: float,
    besides: Mapping[str, Any] | None = None,
    of_processes: Sequence[Mapping[str, Any]] = (),
) -> bytes:
    """The frame that starts an attempt. Secrets are in it: it goes over the socket and nowhere else.

    `besides` is said of the attempt, `of_processes` of its processes, over what would be.
    """
    first = request.processes[0].environment
    head: dict[str, Any] = {
        "op": "start",
        "uid": request.uid,
        "directory": request.directory,
        "timeout": request.timeout_seconds,
        "grace": grace_seconds,
        "create_directories": request.create_directories,
        "files": [(path, len(content)) for path, content in request.files],
        "log_limit": request.log_limit_bytes,
        "memory_limit": request.resources.memory_limit_bytes,
        "cpu_limit": request.resources.cpu_limit_millis,
        "chief_decides": request.chief_decides,
        "processes": [_process(process, first) for process in request.processes],
        **(besides or {}),
    }
    for process, more in zip(head["processes"], of_processes, strict=False):
        process.update(more)
    return wire.encode(head, b"".join(content for _, content in request.files))


def encode_stop(uid: str, *, kill: bool) -> bytes:
    return wire.encode({"op": "stop", "uid": uid, "kill": kill})


def needs_fresh_process(process: ProcessSpec) -> bool:
    """Whether it is no lightweight call, or sets a variable that only a fresh process sees in time."""
    names = [*process.variables, *process.secret_variables]
    return not process.call_source or any(n in STARTUP_NAMES or n.startswith(STARTUP_PREFIXES) for n in names)


def preloads(environment: Environment) -> bool:
    """Whether the environment's warm parent loads the step runtime."""
    return sys.platform == "linux" and environment.key != HOST_KEY and bool(environment.python)


def _process(process: ProcessSpec, first: Environment) -> dict[str, Any]:
    environment = process.environment
    other = environment.key != first.key  # the warm parent is the first one's: what differs is said
    variables = {**process.variables, **process.secret_variables}
    return {
        "replica": process.replica,
        "argv": process.argv,
        "source": process.call_source,
        "arguments": process.call_arguments,
        "python": environment.python,
        "variables": {**environment.variables, **variables} if other else variables,
        "links": process.links,
        "template": environment.working_directory,
        "in_place": environment.in_place,
        "fresh": other or needs_fresh_process(process),
    }
