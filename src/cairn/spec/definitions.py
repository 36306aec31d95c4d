"""What a component declares, and its executor: from checked messages to `types`."""

from __future__ import annotations

from typing import Any

from cairn.domain.artifacts import ArtifactType
from cairn.domain.values import ParameterType, Value
from cairn.spec.coercion import coerce, with_integers
from cairn.spec.reader import Bad, shown
from cairn.spec.types import (
    ArtifactInput,
    ArtifactOutput,
    ContainerSpec,
    ImporterSpec,
    ParameterInput,
    ParameterOutput,
    ResourceSpec,
)

_PRIMITIVE = {
    "INT": ParameterType.NUMBER_INTEGER,
    "DOUBLE": ParameterType.NUMBER_DOUBLE,
    "STRING": ParameterType.STRING,
}


def input_parameter(spec: dict[str, Any]) -> ParameterInput:
    type_ = _parameter_type(spec)
    has_default = spec.get("defaultValue") is not None
    default = constant(spec["defaultValue"], type_, "defaultValue") if has_default else None
    literals = tuple(
        fitted(value, type_, "literals", f"[{index}]") for index, value in enumerate(spec.get("literals", ()))
    )
    if has_default and literals and default not in literals:
        raise Bad(f"{shown(default)} is none of the literals allowed: {shown_all(literals)}", "defaultValue")
    return ParameterInput(
        type=type_,
        optional=spec.get("isOptional", False) or has_default,
        has_default=has_default,
        default=default,
        literals=literals,
        description=spec.get("description", ""),
    )


def input_artifact(spec: dict[str, Any]) -> ArtifactInput:
    return ArtifactInput(
        type=artifact_type(spec.get("artifactType", {})),
        is_list=spec.get("isArtifactList", False),
        optional=spec.get("isOptional", False),
        description=spec.get("description", ""),
    )


def output_parameter(spec: dict[str, Any]) -> ParameterOutput:
    return ParameterOutput(_parameter_type(spec), spec.get("description", ""))


def output_artifact(spec: dict[str, Any]) -> ArtifactOutput:
    return ArtifactOutput(
        type=artifact_type(spec.get("artifactType", {})),
        is_list=spec.get("isArtifactList", False),
        metadata=_metadata(spec),
        description=spec.get("description", ""),
    )


def artifact_type(spec: dict[str, Any]) -> ArtifactType:
    if "schemaUri" in spec or "instanceSchema" in spec:
        return ArtifactType(
            "", spec.get("schemaVersion", ""), spec.get("schemaUri", ""), spec.get("instanceSchema", "")
        )
    return ArtifactType(spec.get("schemaTitle") or "system.Artifact", spec.get("schemaVersion") or "0.0.1")


def fitted(value: Value, type_: ParameterType, *place: str) -> Value:
    """`value` as one of `type_`; text with a placeholder may become anything. Raises Bad."""
    if isinstance(value, str) and "{{$" in value:
        return value
    try:
        return coerce(value, type_)
    except ValueError as error:
        raise Bad(f"{shown(value)} is given where {error}", *place) from None


def constant(value: Value, type_: ParameterType, *place: str) -> Value:
    """A constant of the document as one of `type_`, with the integers in a list or mapping restored. Raises Bad."""
    return fitted(with_integers(value) if isinstance(value, (list, dict)) else value, type_, *place)


def shown_all(values: tuple[Value, ...]) -> str:
    return ", ".join(shown(value) for value in values[:10])


def constant_of(spec: dict[str, Any]) -> Value:
    """The value of a ValueOrRuntimeParameter that holds a constant, of schema 2.0.0 or 2.1.0."""
    if "constant" in spec:
        return spec["constant"]
    return old_value(spec.get("constantValue", {}))


def old_value(spec: dict[str, Any]) -> Value:
    """Schema 2.0.0's Value: `{intValue: "1"}`."""
    return next(iter(spec.values()), None)


def executor(spec: dict[str, Any]) -> ContainerSpec | ImporterSpec:
    """Raises Bad for executors that Cairn does not run. A customJob is read by `custom_jobs`."""
    if "container" in spec:
        try:
            return container(spec["container"])
        except Bad as bad:
            raise bad.at("container") from None
    if "importer" in spec:
        try:
            return _importer(spec["importer"])
        except Bad as bad:
            raise bad.at("importer") from None
    if "resolver" in spec:
        raise Bad(
            "resolvers are not supported",
            "resolver",
            remedy="name the artifact with an importer (dsl.importer) instead",
        )
    raise Bad("has no container, importer or customJob")


def container(spec: dict[str, Any]) -> ContainerSpec:
    if not spec.get("image"):
        raise Bad("has no image", "image")
    if spec.get("lifecycle", {}).get("preCacheCheck"):
        raise Bad(
            "a check before caching is not supported, and results it would refuse must not be taken",
            "lifecycle",
            "preCacheCheck",
            remedy="take it out and switch the task's caching off where it matters",
        )
    env: dict[str, str] = {}
    for index, variable in enumerate(spec.get("env", ())):
        name = variable.get("name", "")
        if not name or "=" in name or "\0" in name:
            raise Bad(f"{shown(name)} is no name of an environment variable", "env", f"[{index}]", "name")
        env[name] = variable.get("value", "")
    return ContainerSpec(
        image=spec["image"],
        command=tuple(spec.get("command", ())),
        args=tuple(spec.get("args", ())),
        env=env,
        resources=_resources(spec.get("resources", {})),
    )


def _resources(spec: dict[str, Any]) -> ResourceSpec:
    accelerator = spec.get("accelerator", {})
    for name in ("cpuLimit", "memoryLimit", "cpuRequest", "memoryRequest"):
        if spec.get(name, 0.0) < 0:
            raise Bad(f"{shown(spec[name])} is negative", "resources", name)
    if accelerator.get("count", 0) < 0:
        raise Bad(f"{accelerator['count']} is negative", "resources", "accelerator", "count")
    count = accelerator.get("resourceCount") or accelerator.get("count") or ""
    return ResourceSpec(
        cpu_request=spec.get("resourceCpuRequest") or _number(spec.get("cpuRequest", 0.0)),
        cpu_limit=spec.get("resourceCpuLimit") or _number(spec.get("cpuLimit", 0.0)),
        memory_request=spec.get("resourceMemoryRequest") or _gigabytes(spec.get("memoryRequest", 0.0)),
        memory_limit=spec.get("resourceMemoryLimit") or _gigabytes(spec.get("memoryLimit", 0.0)),
        accelerator_type=accelerator.get("resourceType") or accelerator.get("type", ""),
        accelerator_count=str(count),
    )


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") if value else ""


def _gigabytes(value: float) -> str:
    """The old fields hold memory in units of 1e9 bytes."""
    return str(round(value * 1_000_000_000)) if value else ""


def _importer(spec: dict[str, Any]) -> ImporterSpec:
    uri = spec.get("artifactUri", {})
    fixed = "" if "runtimeParameter" in uri else constant_of(uri)
    if "runtimeParameter" not in uri and (not isinstance(fixed, str) or not fixed):
        raise Bad("has no URI (a constant text or a runtimeParameter)", "artifactUri")
    return ImporterSpec(
        uri=fixed,
        uri_parameter=uri.get("runtimeParameter", ""),
        type=artifact_type(spec.get("typeSchema", {})),
        metadata=_metadata(spec),
        reimport=spec.get("reimport", False),
        download_to_workspace=spec.get("downloadToWorkspace", False),
    )


def _metadata(spec: dict[str, Any]) -> dict[str, Any]:
    """Metadata, with the properties that schema 2.0.0 had instead."""
    found: dict[str, Any] = {}
    for old in ("properties", "customProperties"):
        for name, value in spec.get(old, {}).items():
            if "runtimeParameter" in value:
                found[name] = f"{{{{$.inputs.parameters['{value['runtimeParameter']}']}}}}"
            else:
                found[name] = constant_of(value)
    together: dict[str, Any] = with_integers({**found, **spec.get("metadata", {})})
    return together


def _parameter_type(spec: dict[str, Any]) -> ParameterType:
    name = spec.get("parameterType", "PARAMETER_TYPE_ENUM_UNSPECIFIED")
    if name != "PARAMETER_TYPE_ENUM_UNSPECIFIED":
        return ParameterType(name)
    primitive = spec.get("type", "PRIMITIVE_TYPE_UNSPECIFIED")
    if primitive in _PRIMITIVE:
        return _PRIMITIVE[primitive]
    raise Bad(f"has no parameterType; right are {', '.join(ParameterType)}")
