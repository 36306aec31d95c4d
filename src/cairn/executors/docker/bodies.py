"""What a container is made with: `ProcessSpec` in the words of the engine's API (POST /containers/create)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cairn.config import machine
from cairn.config.settings import DockerSettings
from cairn.domain.resources import Resources
from cairn.engine.ports import ProcessSpec, StartAttempt
from cairn.errors import CairnError, ConfigurationError
from cairn.launcher.processes import ATTEMPT_VARIABLE
from cairn.launcher.step import LOG_VARIABLE, SHIM_VARIABLE, replica_directory
from cairn.spec.quantities import accelerator_family, parse_memory

LABEL = "cairn."
MIN_MEMORY = 6 << 20  # what engines accept
_GPUS_SEEN = "CUDA_VISIBLE_DEVICES"
WORK, TEMPORARY, HOME = "work", "tmp", "home"  # in the attempt's directory


class Maker:
    """Makes containers' descriptions for one engine. `user` is UID:GID, "" for the image's own."""

    def __init__(self, settings: DockerSettings, user: str, home: str) -> None:
        self._settings = settings
        self._user = user
        self._home = home
        self._inode = inode(home)
        self._shm = _shared_memory(settings)

    def container(self, request: StartAttempt, number: int) -> dict[str, Any]:
        """Of the attempt's process `number`: its name, and what creates it but for its command.

        The name is the attempt's own, so that it can be made only once, and found when nobody remembers it.
        """
        process = request.processes[number]
        image = process.environment.image
        assert image is not None
        directory = replica_directory(request.directory, number, process.replica)
        return {
            "name": f"cairn-{request.uid}" + (f"-{number}" if number else ""),
            "image": image.name,
            "entrypoint": image.entrypoint,
            "body": {
                "Image": image.id,
                "Env": [f"{name}={value}" for name, value in self._variables(request, process, directory).items()],
                "WorkingDir": image.working_directory
                if image.working_directory not in ("", "/")
                else os.path.join(directory, WORK),
                "User": self._user,
                "Labels": self._labels(request, process),
                "HostConfig": self._host(request, process),
            },
        }

    @property
    def is_stranger(self) -> bool:
        """Whether the containers' user is another than ours, who cannot write to what we make."""
        if self._settings.user == "auto":
            return False
        return self._user not in (f"{os.getuid()}:{os.getgid()}", str(os.getuid()))

    def limits(self, request: StartAttempt) -> list[str]:
        """Which limits the engine keeps, as an exit tells them."""
        each = [resources_of(request, process) for process in request.processes]
        asked = {
            "memory": any(one.memory_limit_bytes for one in each),
            "cpu": any(one.cpu_limit_millis for one in each),
        }
        return [f"{name}:docker" for name, is_limited in asked.items() if is_limited]

    def directories(self, request: StartAttempt) -> tuple[str, ...]:
        """What has to be made on the machine besides the request's own directories."""
        if not self._user:
            return ()
        return tuple(
            os.path.join(replica_directory(request.directory, number, process.replica), HOME)
            for number, process in enumerate(request.processes)
        )

    def _variables(self, request: StartAttempt, process: ProcessSpec, directory: str) -> dict[str, str]:
        variables = {LOG_VARIABLE: os.path.join(directory, "logs")}
        if self._user:  # there need be no such user in the image
            variables.update(HOME=os.path.join(directory, HOME), TMPDIR=os.path.join(directory, TEMPORARY))
        if process.call_source:
            variables["_KFP_RUNTIME"] = "true"
        variables.update(process.environment.variables)
        variables.update(process.variables)
        variables.update(process.secret_variables)
        variables[ATTEMPT_VARIABLE] = request.uid
        if given := gpus(request, process):  # in the container they are counted anew
            variables[_GPUS_SEEN] = ",".join(map(str, range(len(given))))
        return variables

    def _labels(self, request: StartAttempt, process: ProcessSpec) -> dict[str, str]:
        told = {
            "home": self._home,
            "home.inode": self._inode,
            "attempt": request.uid,
            "directory": request.directory,
            "replica": process.replica,
            "run": process.variables.get("CAIRN_RUN", ""),
            "task": process.variables.get("CAIRN_TASK", ""),
        }
        return {LABEL + name: value for name, value in told.items() if value}

    def _host(self, request: StartAttempt, process: ProcessSpec) -> dict[str, Any]:
        settings = self._settings
        host: dict[str, Any] = {
            "Init": True,  # reaps, and passes signals on to a command that would not hear them as process 1
            "NetworkMode": settings.network,
            "Mounts": mounts(request, process),
            "ShmSize": process.shm_bytes or self._shm,
            "ReadonlyRootfs": settings.read_only_root,
            "RestartPolicy": {"Name": "no"},
            **_ceilings(request, process),
            **_devices(request, process),
        }
        if settings.read_only_root:
            host["Tmpfs"] = {"/tmp": "rw,exec,mode=1777"}
        if settings.no_new_privileges:
            host["SecurityOpt"] = ["no-new-privileges"]
        if settings.pids:
            host["PidsLimit"] = settings.pids
        if settings.extra_hosts:
            host["ExtraHosts"] = list(settings.extra_hosts)
        if settings.cap_drop:
            host["CapDrop"] = list(settings.cap_drop)
        return host


def inode(home: str) -> str:
    """Tells homes apart that have the same path in different containers; "" where there is none."""
    try:
        return str(os.stat(home).st_ino) if home else ""
    except OSError:
        return ""


def _shared_memory(settings: DockerSettings) -> int:
    try:
        return parse_memory(settings.shm) if isinstance(settings.shm, str) else settings.shm
    except CairnError as error:
        raise ConfigurationError(error.message, place="config.toml [docker] shm", remedy=error.remedy) from None


def mounts(request: StartAttempt, process: ProcessSpec) -> list[dict[str, Any]]:
    """What of this machine a container sees: by the mount API, for names hold colons. Deeper ones lie upon others.

    What is not there is left out, but for what the step writes to, which the waiter makes.
    """
    image = process.environment.image
    assert image is not None
    found: dict[str, tuple[str, bool]] = {}  # target → (source, writable)
    for path in process.reads:
        found[path] = (path, False)
    found.update({seen: (real, False) for seen, real in image.mounts})
    if shim := process.variables.get(SHIM_VARIABLE):
        found[shim] = (shim, False)
    found.update({seen: (real, True) for seen, real in process.links})
    found.update({path: (path, True) for path in (*request.create_directories, request.directory)})
    for path, _ in request.files:
        if not _covered(path, found):
            found[path] = (path, False)
    written = {request.directory, *request.create_directories, *(path for path, _ in request.files)}
    shown = {
        os.path.normpath(seen): told for seen, told in found.items() if told[0] in written or os.path.exists(told[0])
    }
    return [
        {"Type": "bind", "Source": source, "Target": target, "ReadOnly": not writable}
        for target, (source, writable) in sorted(shown.items())
        if not _superfluous(target, source, writable, shown)
    ]


def _superfluous(target: str, source: str, writable: bool, shown: Mapping[str, tuple[str, bool]]) -> bool:
    """Whether the nearest mount above shows the same in the same way."""
    above = os.path.dirname(target)
    while above not in ("", "/"):
        if above in shown:
            of, may_write = shown[above]
            return may_write == writable and os.path.join(of, os.path.relpath(target, above)) == source
        above = os.path.dirname(above)
    return False


def _covered(path: str, targets: Iterable[str]) -> bool:
    return any(path.startswith(target.rstrip("/") + "/") for target in targets)


def resources_of(request: StartAttempt, process: ProcessSpec) -> Resources:
    """A replica's own; else of the attempt's an equal part, for together they have no more than that."""
    if process.resources is not None:
        return process.resources
    whole, count = request.resources, len(request.processes)
    return msgspec.structs.replace(
        whole,
        cpu_limit_millis=-(-whole.cpu_limit_millis // count),
        memory_limit_bytes=whole.memory_limit_bytes // count,
    )


def _ceilings(request: StartAttempt, process: ProcessSpec) -> dict[str, Any]:
    """Limits are ceilings."""
    resources = resources_of(request, process)
    ceilings: dict[str, Any] = {}
    if resources.memory_limit_bytes:
        memory = max(MIN_MEMORY, resources.memory_limit_bytes)
        ceilings.update(Memory=memory, MemorySwap=memory)
    if resources.cpu_limit_millis:  # more than the machine has is refused by the engine
        ceilings["NanoCpus"] = min(resources.cpu_limit_millis, machine.cpu_millis()) * 1_000_000
    return ceilings


def gpus(request: StartAttempt, process: ProcessSpec) -> list[str]:
    """The NVIDIA devices that the process was given (`engine.devices`): indices or UUIDs on this machine."""
    resources = process.resources or request.resources
    if not resources.accelerators or accelerator_family(resources.accelerator_type) not in ("", "nvidia"):
        return []
    shell = _listed(os.environ.get(_GPUS_SEEN, ""))  # a part of the machine that we see: indices count in it
    given = _listed(process.variables.get(_GPUS_SEEN, ""))
    return [shell[int(one)] if one.isdigit() and int(one) < len(shell) else one for one in given]


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _devices(request: StartAttempt, process: ProcessSpec) -> dict[str, Any]:
    if given := gpus(request, process):
        return {"DeviceRequests": [{"DeviceIDs": given, "Capabilities": [["gpu"]]}]}
    resources = process.resources or request.resources
    if not resources.accelerators:
        return {}
    family = accelerator_family(resources.accelerator_type)
    paths = ["/dev/kfd", "/dev/dri"] if family == "amd" else sorted(map(str, Path("/dev").glob("accel*")))
    return {"Devices": [{"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rwm"} for path in paths]}
