"""Platform configuration, as `kfp.kubernetes` writes it: honoured, warned about, or refused; never ignored."""

from __future__ import annotations

import re
from typing import Any

from cairn.spec.reader import Bad, nearest, read, shown
from cairn.spec.schema import KUBERNETES, KUBERNETES_REFUSED
from cairn.spec.tasks import parameter_binding
from cairn.spec.types import (
    ComponentInput,
    Constant,
    EmptyDir,
    FieldPathEnv,
    FileMount,
    ParameterBinding,
    PlatformSpec,
    SecretEnv,
    TaskOutput,
    Workspace,
)

# Where a step runs, under whom and how its image is fetched: nothing on one machine answers to it, and no result
# depends on it.
WARNED = {
    "nodeSelector": "node selectors",
    "tolerations": "tolerations",
    "nodeAffinity": "node affinity",
    "podAffinity": "pod affinity",
    "podMetadata": "pod metadata",
    "imagePullPolicy": "the image pull policy",
    "imagePullSecret": "image pull secrets",
    "securityContext": "the security context",
    "enabledSharedMemory": "the size of shared memory",
}
_VOLUME_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$")
_FIELD_PATHS = re.compile(
    r"(metadata\.(name|namespace|uid|labels|annotations|(labels|annotations)\['[^']+'\])"
    r"|spec\.(nodeName|serviceAccountName)|status\.(hostIP|podIP|hostIPs|podIPs))$"
)


class Platform:
    """What the platform document says, by executor label; `warnings` name what has no effect here."""

    def __init__(self) -> None:
        self.executors: dict[str, PlatformSpec] = {}
        self.workspace: Workspace | None = None
        self.active_deadline_seconds = 0
        self.warned: dict[str, list[str]] = {}  # what → executor labels

    @property
    def warnings(self) -> list[str]:
        return [
            f"{what} {'have' if what.endswith('s') else 'has'} no effect on this machine"
            + (f" ({', '.join(sorted(labels))})" if labels != [""] else "")
            for what, labels in self.warned.items()
        ]

    def warn(self, what: str, label: str) -> None:
        self.warned.setdefault(what, []).append(label)


def read_platform(spec: dict[str, Any], executors: dict[str, Any]) -> Platform:
    """`spec` is a read PlatformSpec; `executors` those of the pipeline. Raises Bad."""
    platform = Platform()
    for name, single in spec.get("platforms", {}).items():
        place = ("platforms", name)
        if name != "kubernetes":
            raise Bad(f"there is no platform {shown(name)}; kubernetes is right", *place)
        if single.get("config"):
            raise Bad("is not supported", *place, "config")
        for label, config in single.get("deploymentSpec", {}).get("executors", {}).items():
            try:
                if label not in executors:
                    raise Bad(f"the pipeline has no executor {shown(label)}{nearest(label, executors)}")
                platform.executors[label] = _executor(config, label, platform)
            except Bad as bad:
                raise bad.at(*place, "deploymentSpec", "executors", label) from None
        try:
            _pipeline_config(single.get("pipelineConfig", {}), platform)
        except Bad as bad:
            raise bad.at(*place, "pipelineConfig") from None
    return platform


def sources(platform: PlatformSpec) -> list[ParameterBinding]:
    """The bindings that name secrets, config maps and volumes."""
    return [
        entry.source
        for group in (
            platform.secret_env,
            platform.config_map_env,
            platform.secret_volumes,
            platform.config_map_volumes,
            platform.volumes,
        )
        for entry in group
    ]


def _pipeline_config(spec: dict[str, Any], platform: Platform) -> None:
    for name in ("resourceTtlOnCompletion", "resourceTtlOnSuccess", "resourceTtlOnFailure"):
        if spec.get(name):
            platform.warn(f"the pipeline's {name}", "")
    seconds = spec.get("activeDeadlineSeconds", 0)
    if seconds < 0:
        raise Bad(f"{seconds} is negative", "activeDeadlineSeconds")
    platform.active_deadline_seconds = seconds
    if "workspace" in spec:
        workspace = spec["workspace"]
        platform.workspace = Workspace(workspace.get("size", ""))
        if workspace.get("kubernetes", {}).get("pvcSpecPatch"):
            platform.warn("the workspace's pvcSpecPatch", "")


def _executor(raw: dict[str, Any], label: str, platform: Platform) -> PlatformSpec:
    for name in KUBERNETES_REFUSED:
        if name in raw:
            raise Bad("is not supported: a step is one process here, not a pod", name)
    for name in raw:
        if name in KUBERNETES and name not in KUBERNETES["KubernetesExecutorConfig"]:
            raise Bad("is a message, not a field", name)
    config = read("KubernetesExecutorConfig", raw)
    for name, what in WARNED.items():
        if config.get(name):
            platform.warn(what, label)
    seconds = config.get("activeDeadlineSeconds", 0)
    if seconds < 0:
        raise Bad(f"{seconds} is negative", "activeDeadlineSeconds")
    spec = PlatformSpec(
        secret_env=_each(config, "secretAsEnv", lambda one: _env(one, "secretName", "secretKey")),
        config_map_env=_each(config, "configMapAsEnv", lambda one: _env(one, "configMapName", "configMapKey")),
        secret_volumes=_each(config, "secretAsVolume", lambda one: _mount(one, "secretName")),
        config_map_volumes=_each(config, "configMapAsVolume", lambda one: _mount(one, "configMapName")),
        volumes=_each(config, "pvcMount", _pvc),
        empty_dirs=_each(config, "emptyDirMounts", _empty_dir),
        generic_ephemeral=_each(config, "genericEphemeralVolume", _empty_dir),
        field_path_env=_each(config, "fieldPathAsEnv", _field_path),
        active_deadline_seconds=seconds,
    )
    for volume in config.get("genericEphemeralVolume", ()):
        if volume.get("storageClassName") or volume.get("accessModes"):
            platform.warn("the storage class and access modes of ephemeral volumes", label)
    return spec


def _each(config: dict[str, Any], name: str, make: Any) -> tuple[Any, ...]:
    found = []
    for index, one in enumerate(config.get(name, ())):
        try:
            found.append(make(one))
        except Bad as bad:
            raise bad.at(name, f"[{index}]") from None
    return tuple(found)


def _env(spec: dict[str, Any], name: str, key: str) -> SecretEnv:
    keys: dict[str, str] = {}
    for index, one in enumerate(spec.get("keyToEnv", ())):
        if not one.get(key) or not one.get("envVar") or "=" in one["envVar"]:
            raise Bad(f"wants {key} and envVar", "keyToEnv", f"[{index}]")
        keys[one[key]] = one["envVar"]
    return SecretEnv(_name_of(spec, name), keys, spec.get("optional", False))


def _mount(spec: dict[str, Any], name: str) -> FileMount:
    return FileMount(_name_of(spec, name), _mount_path(spec), spec.get("optional", False), read_only=True)


def _pvc(spec: dict[str, Any]) -> FileMount:
    source: ParameterBinding
    if "pvcNameParameter" in spec:
        source = _binding(spec, "pvcNameParameter")
    elif "taskOutputParameter" in spec:
        output = spec["taskOutputParameter"]
        if not output.get("producerTask") or not output.get("outputParameterKey"):
            raise Bad("wants producerTask and outputParameterKey", "taskOutputParameter")
        source = TaskOutput(output["producerTask"], output["outputParameterKey"])
    elif spec.get("componentInputParameter"):
        source = ComponentInput(spec["componentInputParameter"])
    elif spec.get("constant"):
        source = Constant(spec["constant"])
    else:
        raise Bad("does not name a volume; pvcNameParameter is right")
    sub_path = spec.get("subPath", "")
    if sub_path.startswith("/") or ".." in sub_path.split("/"):
        raise Bad(f"{shown(sub_path)} leads out of the volume", "subPath")
    return FileMount(source, _mount_path(spec), sub_path=sub_path)


def _empty_dir(spec: dict[str, Any]) -> EmptyDir:
    name = spec.get("volumeName", "")
    if not _VOLUME_NAME.match(name) or ".." in name:
        raise Bad(f"{shown(name)} is no name of a volume; letters, digits, '-', '.' and '_' make one", "volumeName")
    return EmptyDir(name, _mount_path(spec), spec.get("sizeLimit") or spec.get("size", ""), spec.get("medium", ""))


def _field_path(spec: dict[str, Any]) -> FieldPathEnv:
    if not spec.get("name") or "=" in spec["name"]:
        raise Bad("wants the name of an environment variable", "name")
    path = spec.get("fieldPath", "")
    if not _FIELD_PATHS.match(path):
        raise Bad(f"{shown(path)} is no field of a pod that Kubernetes gives to a variable", "fieldPath")
    return FieldPathEnv(spec["name"], path)


def _name_of(spec: dict[str, Any], name: str) -> ParameterBinding:
    if f"{name}Parameter" in spec:
        return _binding(spec, f"{name}Parameter")
    if not spec.get(name):
        raise Bad(f"wants {name}Parameter (or {name})")
    return Constant(spec[name])


def _binding(spec: dict[str, Any], name: str) -> ParameterBinding:
    try:
        return parameter_binding(spec[name])
    except Bad as bad:
        raise bad.at(name) from None


def _mount_path(spec: dict[str, Any]) -> str:
    path: str = spec.get("mountPath", "")
    if not path.startswith("/") or ".." in path.split("/") or path.strip("/") == "":
        raise Bad(f"{shown(path)} is no place to mount at; an absolute path is right", "mountPath")
    return path
