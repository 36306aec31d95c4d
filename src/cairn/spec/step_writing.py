"""One step's configuration, written into its task and its executor as the compiler (kfp 2.17) and Vertex AI do."""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from cairn.domain.configuration import StepConfiguration
from cairn.errors import ConfigurationError, InputRefused
from cairn.spec.machine_types import machine_resources
from cairn.spec.native_steps import is_launcher
from cairn.spec.quantities import parse_cpu, parse_memory
from cairn.spec.reader import snake
from cairn.spec.spelling import drop, key_of, member, put, value_of

OF_MACHINES = ("cpu", "cpu_limit", "memory", "memory_limit")
_BYTES = 1_000_000_000  # the unit of the old fields for memory
_NO_POOLS = (
    "a step of several replicas is a coming feature; name the parts as steps of their own, or loop over them with "
    "dsl.ParallelFor"
)


def said_of(step: StepConfiguration) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in msgspec.structs.asdict(step).items() if value not in (None, {})}


def check_step(step: StepConfiguration, executor: dict[str, Any], name: str, place: str) -> None:
    """Whether `executor`, of the step called `name`, can be what `step` says. Raises ConfigurationError."""
    for field in OF_MACHINES:
        _checked_quantity(step, field, place)
    if step.machine_type is not None:
        try:
            machine_resources(step.machine_type)
        except InputRefused as error:
            raise ConfigurationError(error.message, place=f"{place}.machine_type", remedy=error.remedy) from None
    if is_launcher(executor.get("container", {})):
        return
    if "container" in executor:
        _check_container(step, executor["container"], place)
        return
    said = [field for field in said_of(step) if field not in ("caching", "retries", "backoff_seconds")]
    pools = worker_pools(executor)
    if pools:
        said = [field for field in said if field in OF_MACHINES]
        remedy = "say its machine_type"
    else:
        remedy = "only caching and retries can be said of it"
    if said:
        what = "is a custom job" if pools else "runs no container"
        raise ConfigurationError(f"the step {name} {what}", place=f"{place}.{said[0]}", remedy=remedy)


def _checked_quantity(step: StepConfiguration, field: str, place: str) -> None:
    text = getattr(step, field)
    if text is None:
        return
    try:
        (parse_memory if field.startswith("memory") else parse_cpu)(text)
    except InputRefused as error:
        raise ConfigurationError(error.message, place=f"{place}.{field}", remedy=error.remedy) from None


def _check_container(step: StepConfiguration, container: dict[str, Any], place: str) -> None:
    if step.replicas is not None and step.replicas > 1:
        raise ConfigurationError(
            f"the step is one container, and {step.replicas} replicas are wanted",
            place=f"{place}.replicas",
            remedy=_NO_POOLS,
        )
    resources = value_of(container, "resources", {})
    for what, parse in (("cpu", parse_cpu), ("memory", parse_memory)):
        limit, request = getattr(step, f"{what}_limit"), getattr(step, what)
        request = request or value_of(resources, f"resource{what.capitalize()}Request", "")
        if limit and request and "{{" not in request and step.machine_type is None and parse(limit) < parse(request):
            raise ConfigurationError(
                f"{limit} is less than the {request} that the step requests",
                place=f"{place}.{what}_limit",
                remedy=f"lower its {what} too",
            )
    accelerator = value_of(resources, "accelerator", {})
    known = step.accelerator_type or step.machine_type or _type_of(accelerator)
    if step.accelerator_count and not known:
        raise ConfigurationError(
            "accelerators of no type are wanted", place=f"{place}.accelerator_count", remedy="say accelerator_type too"
        )


# --- task ------------------------------------------------------------------------------------------------------------


def write_task(task: dict[str, Any], step: StepConfiguration) -> None:
    if step.caching is not None:
        options = member(task, "cachingOptions")
        put(options, "enableCache", step.caching)
        if not step.caching:
            drop(options, "cacheKey")
    if step.retries == 0:
        drop(task, "retryPolicy")
    elif step.retries is not None:
        policy = member(task, "retryPolicy")
        put(policy, "maxRetryCount", step.retries)
        if step.backoff_seconds is not None:
            put(policy, "backoffDuration", f"{step.backoff_seconds:.9f}".rstrip("0").rstrip(".") + "s")


# --- executor --------------------------------------------------------------------------------------------------------


def write_executor(executor: dict[str, Any], step: StepConfiguration) -> int:
    """Returns the time-out in seconds that belongs into the platform's document, 0 for none."""
    pools = worker_pools(executor)
    if pools:
        _write_custom_job(executor, pools, step)
        return 0
    container = executor["container"]
    if step.image is not None:
        container["image"] = step.image
    if step.environment:
        container["env"] = _environment(container.get("env") or [], step.environment)
    _write_resources(container, step)
    return step.timeout_seconds or 0


def _environment(there: list[dict[str, Any]], added: dict[str, str]) -> list[dict[str, Any]]:
    """Those of the same name are replaced where they stand."""
    kept = [{**one, "value": added[one["name"]]} if one.get("name") in added else one for one in there]
    names = {one.get("name") for one in there}
    return kept + [{"name": name, "value": value} for name, value in added.items() if name not in names]


def _write_resources(container: dict[str, Any], step: StepConfiguration) -> None:
    wanted = [*OF_MACHINES, "machine_type", "accelerator_type", "accelerator_count"]
    if all(getattr(step, field) is None for field in wanted):
        return
    resources = member(container, "resources")
    cpu, memory, kind, count = step.cpu, step.memory, step.accelerator_type, step.accelerator_count
    if step.machine_type is not None:
        machine = machine_resources(step.machine_type, kind or "", count or 0)
        # A step on such a machine may use all of it: what the pipeline set as limits is not the machine's.
        for name in ("cpu", "memory"):
            _write_amount(resources, f"{name}Limit", None)
        _write_amount(resources, "cpuRequest", machine.cpu_request)
        _write_amount(resources, "memoryRequest", machine.memory_request)
        kind = machine.accelerator_type or kind
        count = int(machine.accelerator_count) if machine.accelerator_count and count is None else count
    for name, request, limit in (("cpu", cpu, step.cpu_limit), ("memory", memory, step.memory_limit)):
        if request is not None:
            _write_amount(resources, f"{name}Request", request)
        if limit is not None or request is not None:
            _write_amount(resources, f"{name}Limit", limit or request)
    _write_accelerator(resources, kind, count)
    if not resources:
        drop(container, "resources")


def _write_amount(resources: dict[str, Any], name: str, text: str | None) -> None:
    """As text, and as the number that older readers look at: cores, or memory in 1e9 bytes."""
    written = f"resource{name[0].upper()}{name[1:]}"
    if text is None:
        drop(resources, name, written)
        return
    put(resources, written, text)
    put(resources, name, parse_memory(text) / _BYTES if name.startswith("memory") else parse_cpu(text) / 1000)


def _write_accelerator(resources: dict[str, Any], kind: str | None, count: int | None) -> None:
    if kind is None and count is None:
        return
    if count == 0:
        drop(resources, "accelerator")
        return
    there = value_of(resources, "accelerator", {})
    kind = kind or _type_of(there)
    number = str(count or value_of(there, "resourceCount") or value_of(there, "count") or 1)
    resources[key_of(resources, "accelerator")] = {
        "type": kind,
        "resourceType": kind,
        "count": number,
        "resourceCount": number,
    }


def _type_of(accelerator: dict[str, Any]) -> str:
    return str(value_of(accelerator, "resourceType") or value_of(accelerator, "type") or "")


# --- custom jobs -----------------------------------------------------------------------------------------------------


def worker_pools(executor: dict[str, Any]) -> list[dict[str, Any]]:
    """The worker pools of a CustomJob as an executor; [] for anything else."""
    job = value_of(value_of(executor, "customJob", {}), "customJob", {})
    return list(value_of(value_of(job, "jobSpec", {}), "workerPoolSpecs", []))


def _write_custom_job(executor: dict[str, Any], pools: list[dict[str, Any]], step: StepConfiguration) -> None:
    job = member(member(member(executor, "customJob"), "customJob"), "jobSpec")
    put(job, "workerPoolSpecs", write_pools(pools, step, snake_case=False))
    if step.timeout_seconds:
        put(member(job, "scheduling"), "timeout", f"{step.timeout_seconds}s")


def write_pools(pools: list[dict[str, Any]], step: StepConfiguration, *, snake_case: bool) -> list[dict[str, Any]]:
    """The pools, changed in place, with those that replicas take; `snake_case`: how what is new is spelled."""

    def write(message: dict[str, Any], name: str, value: Any) -> None:
        key = key_of(message, name)
        message[snake(name) if snake_case and key not in message else key] = value

    for pool in filter(None, pools):  # an empty one keeps a place
        if value_of(pool, "machineSpec") is None:
            write(pool, "machineSpec", {})
        machine = value_of(pool, "machineSpec")
        for name, value in (
            ("machineType", step.machine_type),
            ("acceleratorType", step.accelerator_type),
            ("acceleratorCount", step.accelerator_count),
        ):
            if value is not None:
                write(machine, name, value)
        if step.accelerator_type and not value_of(machine, "acceleratorCount"):
            write(machine, "acceleratorCount", 1)
        if step.accelerator_count == 0:
            drop(machine, "acceleratorType", "acceleratorCount")
        container = value_of(pool, "containerSpec")
        if container is not None:
            if step.image is not None:
                write(container, "imageUri", step.image)
            if step.environment:
                container["env"] = _environment(container.get("env") or [], step.environment)
    if step.replicas is None:
        return pools
    # One chief in the first pool, the others in the second, as create_custom_training_job_from_component has it.
    first, rest = pools[0], pools[2:]
    workers = pools[1] if len(pools) > 1 and pools[1] else copy.deepcopy(first)
    write(first, "replicaCount", 1)
    if step.replicas == 1:
        return [first, *([{}] if rest else []), *rest]
    write(workers, "replicaCount", step.replicas - 1)
    return [first, workers, *rest]
