"""An executor against its component: every placeholder names something that the component has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cairn.errors import InputRefused, SpecError
from cairn.spec.placeholders import Placeholder, compile_command, placeholders_in
from cairn.spec.quantities import parse_count, parse_cpu, parse_memory
from cairn.spec.reader import Bad, nearest, shown
from cairn.spec.types import ComponentSpec, ContainerSpec, ImporterSpec, JobSpec, ResourceSpec

# Inputs that the compiler adds to a task for the text and the resources of its component, which does not declare them.
INJECTED = ("pipelinechannel--", "pipelineparam--")
_MACHINE_FIELDS = frozenset(
    (
        "accelerator_count",
        "accelerator_type",
        "base_image",
        "cpu_limit",
        "cpu_request",
        "memory_limit",
        "memory_request",
    )
)

_RESOURCES = {
    "cpu_request": ("resourceCpuRequest",),
    "cpu_limit": ("resourceCpuLimit",),
    "memory_request": ("resourceMemoryRequest",),
    "memory_limit": ("resourceMemoryLimit",),
    "accelerator_type": ("accelerator", "resourceType"),
    "accelerator_count": ("accelerator", "resourceCount"),
}


def is_injected(name: str) -> bool:
    return name.startswith(INJECTED) or name in _MACHINE_FIELDS


def check_executor(component: ComponentSpec) -> frozenset[str]:
    """Checks every placeholder; returns the inputs it uses that the component does not declare."""
    executor = component.executor
    missing: set[str] = set()
    if isinstance(executor, ContainerSpec):
        _container(component, executor, missing)
        if executor.job is not None:
            _job(component, executor.job, missing)
    elif isinstance(executor, ImporterSpec):
        _use(component, placeholders_at(executor.metadata, "importer", "metadata"), missing, "importer", "metadata")
        _use(component, placeholders_at(executor.uri, "importer", "artifactUri"), missing, "importer", "artifactUri")
        if executor.uri_parameter and executor.uri_parameter not in component.input_parameters:
            _undeclared(component, executor.uri_parameter, missing, "importer", "artifactUri", "runtimeParameter")
        if len(component.output_artifacts) != 1:
            raise Bad("an importer puts out one artifact and nothing else", "importer")
    for name, artifact in component.output_artifacts.items():
        at = ("outputDefinitions", "artifacts", name, "metadata")
        _use(component, placeholders_at(artifact.metadata, *at), missing, *at)
    return frozenset(missing)


def _container(component: ComponentSpec, executor: ContainerSpec, missing: set[str]) -> None:
    for part, words in (("command", executor.command), ("args", executor.args)):
        for index, word in enumerate(words):
            place = ("container", part, f"[{index}]")
            if "{" not in word:
                continue
            try:
                template = compile_command((word,))
            except SpecError as error:
                raise Bad(error.message, *place, remedy=error.remedy) from None
            lenient = "\n" in word
            _use(component, [] if lenient else template.uses, missing, *place)
            for name in template.conditions:
                if name not in component.input_parameters and name not in component.input_artifacts:
                    _undeclared(component, name, missing, *place)
    for name, value in executor.env.items():
        _use(component, placeholders_at(value, "container", "env", name), missing, "container", "env", name)
    _use(component, placeholders_at(executor.image, "container", "image"), missing, "container", "image")
    resources: ResourceSpec = executor.resources
    for field, written in _RESOURCES.items():
        value = getattr(resources, field)
        at = ("container", "resources", *written)
        if "{{$" in value:
            _use(component, placeholders_at(value, *at), missing, *at)
        elif value:
            _quantity(field, value, *at)


def _job(component: ComponentSpec, job: JobSpec, missing: set[str]) -> None:
    """Of a custom job: its other worker pools, and what it says beyond them."""
    for pool in job.pools[1:]:
        try:
            _container(component, pool.container, missing)
        except Bad as bad:
            raise bad.at(f"workerPoolSpecs[{pool.index}]") from None
    for text, name in ((job.base_output_directory, "baseOutputDirectory"), (job.tensorboard, "tensorboard")):
        _use(component, placeholders_at(text, "customJob", name), missing, "customJob", name)


def _quantity(field: str, value: str, *place: str) -> None:
    if field == "accelerator_type":
        return
    parse = parse_cpu if "cpu" in field else parse_memory if "memory" in field else parse_count
    try:
        parse(value)
    except InputRefused as error:
        raise Bad(error.message, *place, remedy=error.remedy) from None


def placeholders_at(value: Any, *place: str) -> list[Placeholder]:
    try:
        return list(placeholders_in(value))
    except SpecError as error:
        raise Bad(error.message, *place, remedy=error.remedy) from None


def _use(component: ComponentSpec, found: Iterable[Placeholder], missing: set[str], *place: str) -> None:
    declared: dict[str, Mapping[str, Any]] = {
        "inputs.parameters": component.input_parameters,
        "inputs.artifacts": component.input_artifacts,
        "outputs.parameters": component.output_parameters,
        "outputs.artifacts": component.output_artifacts,
    }
    for placeholder in found:
        known = declared.get(placeholder.kind)
        if known is None or placeholder.name in known:
            continue
        if placeholder.kind == "inputs.parameters":
            _undeclared(component, placeholder.name, missing, *place)
            continue
        side, _, what = placeholder.kind.partition(".")
        raise Bad(
            f"{placeholder.text} names an {side[:-1]} {what[:-1]} that component {component.name} does not have"
            f"{nearest(placeholder.name, known)}",
            *place,
        )


def _undeclared(component: ComponentSpec, name: str, missing: set[str], *place: str) -> None:
    if is_injected(name):
        missing.add(name)
        return
    raise Bad(
        f"{shown(name)} is no input of component {component.name}"
        f"{nearest(name, [*component.input_parameters, *component.input_artifacts])}",
        *place,
    )
