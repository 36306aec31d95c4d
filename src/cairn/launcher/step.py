"""The step's side of the fork: from a copy of the supervisor to the user's command in its own directory."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from typing import Any, Dict, List, Mapping, NoReturn, Optional

from cairn.launcher import control, linux, mounts, snapshot
from cairn.launcher.limits import Placement
from cairn.launcher.long_words import module_command, through_files, too_long
from cairn.launcher.processes import ATTEMPT_VARIABLE
from cairn.launcher.runtime import RUNTIME_MODULE, Call, Preload, become_main, command_arguments

SHIM_VARIABLE = "CAIRN_STEP_SHIM"  # a directory to put first on PYTHONPATH
LOG_VARIABLE = "CAIRN_LOG_DIRECTORY"  # kept with the attempt, and shown beside what it has written; the step makes it
SHIM_OFF = ("off", "0", "false", "no")
HIGHEST_DESCRIPTOR = 256  # a supervisor never has more open


def replica_directory(directory: str, number: int, replica: str) -> str:
    """The first process has the attempt's directory itself, each other one a directory in it."""
    if number == 0:
        return directory
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in replica)
    return os.path.join(directory, f"replica-{number}-{name}")


class Plan:
    """One process of an attempt, as the engine asked for it, with the directory that is its own."""

    def __init__(self, uid: str, directory: str, request: Dict[str, Any]) -> None:
        self.uid = uid
        self.directory = directory
        self.replica: str = request.get("replica", "main")
        self.argv: List[str] = request.get("argv", [])
        self.source: str = request.get("source", "")
        self.arguments: List[str] = request.get("arguments", [])
        self.python: str = request.get("python", "")
        self.variables: Dict[str, str] = request.get("variables", {})
        self.links: List[List[str]] = request.get("links", [])
        self.template: str = request.get("template", "")
        self.in_place: bool = request.get("in_place", False)
        self.fresh: bool = request.get("fresh", True)
        self.temporary = os.path.join(directory, "tmp")
        self.work = self.template if self.in_place and self.template else os.path.join(directory, "work")
        self.module_path = os.path.join(directory, "component", "ephemeral_component.py")

    def prepare(self) -> None:
        """Make what the process finds: its working directory, its temporary one, its component's source."""
        if not (self.in_place and self.template):
            os.makedirs(self.work, exist_ok=True)
        os.makedirs(self.temporary, exist_ok=True)
        if self.source:
            os.makedirs(os.path.dirname(self.module_path), exist_ok=True)
            with open(self.module_path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                file.write(self.source)

    def command(self) -> List[str]:
        """The argv of a fresh process."""
        if not self.source:
            return through_files(self.argv, self._component)
        arguments = command_arguments(self.module_path, self.arguments)
        return module_command(self.python or "python3", RUNTIME_MODULE, arguments, self._component)

    @property
    def _component(self) -> str:
        return os.path.dirname(self.module_path)


def wait(preload: Optional[Preload], request: int, stdout: int, stderr: int, report: int) -> Call:
    """The forked child before it has an attempt: become like a fresh process as far as that goes, and wait.

    `request` is the read end of the pipe that brings the plan, the others are write ends. Ends when `request` closes
    without one.
    """
    supervisor = os.getppid()
    try:
        os.setsid()
        linux.die_with_parent(signal.SIGKILL)
        if os.getppid() != supervisor:  # it died before the kernel knew
            os._exit(1)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        _close_others(request, report)
        control.restore_defaults()
        if preload is not None:
            become_main(preload)
        text = _read_all(request)
        os.close(request)
        if not text:
            os._exit(0)
        head = json.loads(text.decode())
        plan = Plan(head["uid"], head["directory"], head["process"])
        return _enter(plan, preload, Placement(**head["placement"]), report)
    except BaseException as error:  # noqa: BLE001 - nothing may escape into the supervisor's code
        fail(report, error)


def _enter(plan: Plan, preload: Optional[Preload], placement: Placement, report: int) -> Call:
    """Become the step. Returns only for a call of the preloaded runtime; otherwise executes the command.

    What goes wrong before the user's code runs is written to `report`.
    """
    placement.enter()
    if plan.template and not plan.in_place:
        snapshot.copy(plan.template, plan.work)
    if plan.links:
        mounts.enter(plan.links, plan.directory)
    os.chdir(plan.work)
    own = _own_variables(plan, placement)
    if plan.fresh or preload is None or not plan.source:
        _execute(plan, own)
    os.environ.update(own)
    _start_shim(preload)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as the interpreter does when it starts
    if hasattr(signal, "SIGXFSZ"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    os.close(report)
    return Call(preload, plan.module_path, plan.arguments)


def _start_shim(preload: Preload) -> None:
    """What `sitecustomize` does in a fresh process: point Google's clients at the server that hosts the engine."""
    directory = os.environ.get(SHIM_VARIABLE)
    if not directory or os.environ.get("CAIRN_SHIM", "").lower() in SHIM_OFF:
        return
    os.environ["PYTHONPATH"] = with_shim(directory, os.environ)
    sys.path.insert(1, directory)
    preload.path.insert(0, directory)  # which is what the step's sys.path is made of
    import cairn_finder  # type: ignore[import-not-found]

    cairn_finder.install()


def with_shim(directory: str, variables: Mapping[str, str]) -> str:
    return os.pathsep.join(part for part in (directory, variables.get("PYTHONPATH", "")) if part)


def fail(report: int, error: BaseException) -> NoReturn:
    text = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    os.write(report, json.dumps({"message": text}).encode())
    os._exit(126)


def _close_others(*kept: int) -> None:
    """Nothing of the supervisor's stays open but `kept`, which close themselves when a command is executed."""
    low = 3
    for fd in sorted(kept):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, HIGHEST_DESCRIPTOR)


def _read_all(fd: int) -> bytes:
    parts: List[bytes] = []
    while True:
        part = os.read(fd, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _own_variables(plan: Plan, placement: Placement) -> Dict[str, str]:
    """What a step's environment has beyond this interpreter's own (the engine's, and its environment's)."""
    own = placement.variables()
    own["TMPDIR"] = plan.temporary
    own["PWD"] = plan.work
    own[LOG_VARIABLE] = os.path.join(plan.directory, "logs")
    own.update(plan.variables)
    own[ATTEMPT_VARIABLE] = plan.uid
    return own


def _execute(plan: Plan, own: Dict[str, str]) -> NoReturn:
    """Replace this process by the command; the name is looked up in the step's own PATH."""
    variables = dict(os.environ)
    variables.pop("_KFP_RUNTIME", None)
    if plan.source:
        variables["_KFP_RUNTIME"] = "true"
    variables.update(own)
    if SHIM_VARIABLE in variables:
        variables["PYTHONPATH"] = with_shim(variables[SHIM_VARIABLE], variables)
    command = plan.command()
    try:
        os.execvpe(command[0], command, variables)
    except OSError as error:
        raise OSError(_not_executed(command, error, variables)) from None


def _not_executed(command: List[str], error: OSError, variables: Dict[str, str]) -> str:
    name = command[0]
    if error.errno == errno.ENOENT and os.sep not in name:
        return f"command not found: {name!r} (PATH is {variables.get('PATH', '')})"
    if error.errno == errno.ENOENT and os.path.exists(name):
        return f"cannot execute {name!r}: its interpreter does not exist"
    if error.errno == errno.E2BIG:
        return f"cannot execute {name!r}: {too_long(command, variables) or error.strerror}"
    return f"cannot execute {name!r}: {error.strerror}"
