"""What a container asks for, in numbers, made to fit the machine or refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def fit_together(
    wanted: Sequence[Resources], machine: Capacity, *, strict: bool, component: str
) -> tuple[Resources, list[Resources], list[str]]:
    """What the replicas of a job ask for together, what each of them has of it, and a warning when that is less than it
    asks for. With `strict` raise UnsupportedFeature instead."""
    if len(wanted) == 1:
        fitted, warnings = fit(wanted[0], machine, strict=strict, component=component)
        return fitted, [fitted], warnings
    total = _sum(wanted)
    asked = (total.cpu_millis, total.memory_bytes, total.accelerators)
    there = (machine.cpu_millis, machine.memory_bytes, machine.accelerators)
    fitted, _ = fit(total, machine, strict=False, component=component)
    told = [
        f"{mine / scale:g} {unit} (there are {theirs / scale:g})"
        for mine, theirs, scale, unit in zip(asked, there, (1000, 1 << 30, 1), _UNITS, strict=True)
        if mine > theirs
    ]
    if not told:
        return fitted, list(wanted), []
    text = f"the {len(wanted)} replicas of {component} ask for {' and '.join(told)} together"
    if strict:
        raise UnsupportedFeature(
            text, place=component, remedy="run without --strict to let them share what there is, or ask for fewer"
        )
    shares = [_share(each, total, fitted) for each in wanted]
    return fitted, shares, [f"{text}: they share what this machine has"]


_UNITS = ("cores", "GiB of memory", "accelerators")


def _sum(wanted: Sequence[Resources]) -> Resources:
    def limit(name: str) -> int:
        """There is one for all only where each has one."""
        limits = [getattr(each, name) for each in wanted]
        return sum(limits) if all(limits) else 0

    return Resources(
        sum(each.cpu_millis for each in wanted),
        sum(each.memory_bytes for each in wanted),
        sum(each.accelerators for each in wanted),
        next((each.accelerator_type for each in wanted if each.accelerator_type), ""),
        limit("cpu_limit_millis"),
        limit("memory_limit_bytes"),
    )


def _share(mine: Resources, total: Resources, fitted: Resources) -> Resources:
    """In proportion to what was asked for; an accelerator is shared rather than taken away."""

    def part(name: str) -> int:
        asked, got = getattr(total, name), getattr(fitted, name)
        own: int = getattr(mine, name)
        return own * got // asked if asked > got else own

    devices = part("accelerators")
    return Resources(
        part("cpu_millis"),
        part("memory_bytes"),
        max(devices, 1) if mine.accelerators and fitted.accelerators else devices,
        mine.accelerator_type,
        part("cpu_limit_millis"),
        part("memory_limit_bytes"),
    )
