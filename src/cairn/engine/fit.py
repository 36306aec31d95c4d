"""What a container asks for, in numbers, made to fit the machine or refused."""

from __future__ import annotations

from collections.abc import Callable

from cairn.domain.resources import Capacity, Resources
from cairn.errors import UnsupportedFeature
from cairn.spec.quantities import parse_count, parse_cpu, parse_memory
from cairn.spec.types import ResourceSpec


def resources_of(spec: ResourceSpec, resolve: Callable[[str], str]) -> Resources:
    """Requests default to limits, as in Kubernetes, and then to what a machine of the type that is named has; a step
    that asks nothing gets one CPU. Raises InputRefused."""
    cpu_limit = parse_cpu(resolve(spec.cpu_limit)) if spec.cpu_limit else 0
    cpu = parse_cpu(resolve(spec.cpu_request)) if spec.cpu_request else cpu_limit
    memory_limit = parse_memory(resolve(spec.memory_limit)) if spec.memory_limit else 0
    memory = parse_memory(resolve(spec.memory_request)) if spec.memory_request else memory_limit
    count = parse_count(resolve(spec.accelerator_count)) if spec.accelerator_count else 0
    kind = resolve(spec.accelerator_type) if spec.accelerator_type else ""
    if kind and not count and not spec.accelerator_count:
        count = 1
    if spec.machine_type:
        from cairn.spec.machine_types import machine_type  # its tables take a while, and few steps name a machine

        machine = machine_type(resolve(spec.machine_type))
        cpu, memory = cpu or machine.cpu_millis, memory or machine.memory_mib << 20
        if not kind and not count:
            kind, count = machine.accelerator_type, machine.accelerators
    return Resources(cpu or 1000, memory, count, kind, cpu_limit, memory_limit)


def fit(wanted: Resources, machine: Capacity, *, strict: bool, component: str) -> tuple[Resources, list[str]]:
    """Cap what exceeds the machine, with a warning for each; with `strict` raise UnsupportedFeature instead."""
    warnings: list[str] = []

    def cap(what: str, asked: int, there: int, unit: str, scale: float) -> int:
        if asked <= there:
            return asked
        text = f"{component} asks for {asked / scale:g} {unit} of {what} and this machine has {there / scale:g}"
        if strict:
            raise UnsupportedFeature(text, place=component, remedy="run without --strict to cap it at what there is")
        warnings.append(f"{text}: capped")
        return there

    cpu = cap("CPU", wanted.cpu_millis, machine.cpu_millis, "cores", 1000)
    memory = cap("memory", wanted.memory_bytes, machine.memory_bytes, "GiB", 1 << 30)
    name = f"accelerators ({wanted.accelerator_type})" if wanted.accelerator_type else "accelerators"
    accelerators = cap(name, wanted.accelerators, machine.accelerators, "devices", 1)
    return (
        Resources(
            cpu,
            memory,
            accelerators,
            wanted.accelerator_type,
            wanted.cpu_limit_millis,
            min(wanted.memory_limit_bytes, machine.memory_bytes),
        ),
        warnings,
    )
