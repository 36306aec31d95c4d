"""Secrets, config maps, volumes and field paths of a task, in terms of this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import msgspec

from cairn.domain.runs import TaskInputs
from cairn.domain.values import Value
from cairn.engine.layout import AttemptLayout
from cairn.engine.services import Services
from cairn.engine.tree import TaskNode
from cairn.errors import StepError
from cairn.spec.types import ComponentInput, Constant, FileMount, ParameterBinding, SecretEnv, TaskOutput


class PlatformSettings(msgspec.Struct, frozen=True):
    variables: dict[str, str] = {}
    secret_variables: dict[str, str] = {}
    links: tuple[tuple[str, str], ...] = ()
    directories: tuple[str, ...] = ()


_NOTHING = PlatformSettings()


def platform_settings(
    task: TaskNode, inputs: TaskInputs, layout: AttemptLayout, uid: str, services: Services
) -> PlatformSettings:
    """Raises StepError for a secret, config map or key that does not exist and is not optional."""
    platform = task.component.platform
    if platform == type(platform)():
        return _NOTHING
    secrets = services.secrets
    secret_variables: dict[str, str] = {}
    variables: dict[str, str] = {}
    for entry in platform.secret_env:
        name = _name(task, inputs, entry.source)
        secret_variables.update(_from_keys(entry, name, "secret", secrets.secret(name)))
    for entry in platform.config_map_env:
        name = _name(task, inputs, entry.source)
        variables.update(_from_keys(entry, name, "config map", secrets.config_map(name)))
    for field in platform.field_path_env:
        variables[field.name] = _field(field.field_path, task, uid)
    links: list[tuple[str, str]] = []
    for mount in platform.secret_volumes:
        name = _name(task, inputs, mount.source)
        links += _files(mount, name, "secret", secrets.secret_directory(name))
    for mount in platform.config_map_volumes:
        name = _name(task, inputs, mount.source)
        links += _files(mount, name, "config map", secrets.config_map_directory(name))
    for mount in platform.volumes:
        directory = secrets.volume_directory(_name(task, inputs, mount.source))
        if mount.sub_path:
            directory = os.path.join(directory, mount.sub_path)
            os.makedirs(directory, exist_ok=True)
        links.append((mount.mount_path, directory))
    directories: list[str] = []
    for volume in (*platform.empty_dirs, *platform.generic_ephemeral):
        directory = f"{layout.directory}/volumes/{volume.volume_name}"
        directories.append(directory)
        links.append((volume.mount_path, directory))
    return PlatformSettings(variables, secret_variables, tuple(links), tuple(directories))


def _name(task: TaskNode, inputs: TaskInputs, source: ParameterBinding) -> str:
    """The name in a binding that is resolved beside the task's own inputs."""
    value: Value = None
    match source:
        case Constant():
            value = source.value
        case ComponentInput():
            value = inputs.parameters.get(source.name, task.dag.inputs.parameters.get(source.name))
        case TaskOutput():
            outputs = task.dag.tasks[source.producer].outputs
            value = outputs.parameters.get(source.key) if outputs else None
    if not isinstance(value, str) or not value:
        raise StepError(f"the name of a secret, config map or volume has no value: {source}")
    return value


def _from_keys(entry: SecretEnv, name: str, kind: str, found: Mapping[str, bytes] | None) -> dict[str, str]:
    folder = "secrets" if kind == "secret" else "config-maps"
    if found is None:
        if entry.optional:
            return {}
        raise StepError(f"there is no {kind} {name!r}", remedy=f"create the files $CAIRN_HOME/{folder}/{name}/KEY")
    variables = {}
    for key, variable in entry.keys.items():
        if key in found:
            variables[variable] = found[key].decode(errors="surrogateescape").rstrip("\n")
        elif not entry.optional:
            raise StepError(
                f"the {kind} {name!r} has no key {key!r}", remedy=f"create the file $CAIRN_HOME/{folder}/{name}/{key}"
            )
    return variables


def _files(mount: FileMount, name: str, kind: str, directory: str | None) -> list[tuple[str, str]]:
    if directory is not None:
        return [(mount.mount_path, directory)]
    if mount.optional:
        return []
    folder = "secrets" if kind == "secret" else "config-maps"
    raise StepError(f"there is no {kind} {name!r}", remedy=f"create the files $CAIRN_HOME/{folder}/{name}/KEY")


def _field(path: str, task: TaskNode, uid: str) -> str:
    """The downward API's field paths, as far as a process has them."""
    values = {
        "metadata.name": f"{task.spec.name}-{uid[-8:]}",
        "metadata.namespace": "default",
        "metadata.uid": uid,
        "spec.nodeName": socket.gethostname(),
        "spec.serviceAccountName": "default",
        "status.hostIP": "127.0.0.1",
        "status.podIP": "127.0.0.1",
    }
    if path in values:
        return values[path]
    if path.startswith(("metadata.annotations", "metadata.labels")):
        return ""
    raise StepError(f"the field path {path!r} has no meaning for a process on this machine")
