"""The `cairn` node of a composed configuration, read and held to its schema (docs/hydra.md)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cairn.config.composing import Composed
from cairn.config.nodes import (
    Fields,
    Place,
    choice,
    duration,
    each,
    field,
    fields,
    mapping,
    present,
    quantity,
    scalar_text,
    several,
    shown,
    text,
    truth,
    whole,
    whole_duration,
)
from cairn.domain.configuration import (
    RunConfiguration,
    ScheduleConfiguration,
    StepConfiguration,
    SweepConfiguration,
    TargetConfiguration,
)

NODE = "cairn"


def run_configuration(composed: Composed) -> RunConfiguration:
    """Raises ConfigurationError with file, key and the nearest key for what is unknown or of another type."""
    return RunConfiguration(**fields(composed.cairn, Place(composed, NODE), RUN_KEYS))


# --- steps -----------------------------------------------------------------------------------------------------------


def _step(value: Any, place: Place) -> tuple[StepConfiguration, tuple[str, ...]]:
    found = fields(value, place, STEP_KEYS)
    warnings = found.pop("warnings", ())
    if found.get("accelerator_count") and not found.get("accelerator_type"):
        raise place.bad("has a number of accelerators and no accelerator_type")
    return StepConfiguration(**found), warnings


def _steps(value: Any, place: Place) -> dict[str, Any]:
    read = {
        name: _step(present(one, place.at(name)), place.at(name))
        for name, one in mapping(value, place).items()
        if one is not None
    }
    warnings = tuple(warning for _, more in read.values() for warning in more)
    return {"steps": {name: step for name, (step, _) in read.items()}, **({"warnings": warnings} if warnings else {})}


def _accelerator(value: Any, place: Place) -> dict[str, Any]:
    if isinstance(value, str):
        return {"accelerator_type": value}
    return fields(
        value, place, {"type": field("accelerator_type", text), "count": field("accelerator_count", whole(0))}
    )


def _retries(value: Any, place: Place) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {"retries": whole(0)(value, place)}
    found = fields(value, place, {"max": field("retries", whole(0)), "backoff": field("backoff_seconds", duration)})
    if "retries" not in found:
        raise place.bad("does not say how many", remedy="write {max: 2, backoff: 10s}")
    return found


def _variables(value: Any, place: Place) -> dict[str, str]:
    """A mapping, or the list of {name, value} that Kubernetes and Vertex have."""
    if isinstance(value, list):
        named = {}
        for index, one in enumerate(value):
            variable = fields(one, place.at(index), {"name": field("name", text), "value": field("value", scalar_text)})
            if "name" not in variable:
                raise place.at(index).bad("has no name")
            named[variable["name"]] = variable.get("value", "")
        value = named
    found: dict[str, str] = each(scalar_text)(value, place)
    for name, content in found.items():
        if not name or "=" in name or "\0" in name + content:
            raise place.bad(f"{shown(name)} is no environment variable")
    return found


def _without_effect(why: str) -> Fields:
    return lambda _, place: {"warnings": (f"{place.key} has no effect: {why}",)}


def _custom_job_spec(value: Any, place: Place) -> dict[str, Any]:
    return fields(value, place, CUSTOM_JOB_KEYS, _NOT_OF_STEPS)


_MACHINE: dict[str, Fields] = {
    "machine_type": field("machine_type", text),
    "accelerator_type": field("accelerator_type", text),
    "accelerator_count": field("accelerator_count", whole(0)),
}
# The arguments of google-cloud-pipeline-components' create_custom_training_job_from_component.
CUSTOM_JOB_KEYS: dict[str, Fields] = {
    **_MACHINE,
    "replica_count": field("replicas", whole(1)),
    "timeout": field("timeout_seconds", whole_duration),
    "env": field("environment", _variables),
    **dict.fromkeys(("boot_disk_type", "boot_disk_size_gb"), _without_effect("steps share the machine's disks")),
    **dict.fromkeys(
        ("display_name", "enable_web_access", "restart_job_on_worker_restart", "strategy", "max_wait_duration"),
        _without_effect("the step is no custom job of its own"),
    ),
}
_NOT_OF_STEPS = {
    "service_account": "say it for the whole run, cairn.target.service_account",
    "network": "say it for the whole run, cairn.target.network",
    "reserved_ip_ranges": "say it for the whole run, cairn.target.reserved_ip_ranges",
    "encryption_spec_key_name": "say it for the whole run, cairn.target.encryption_key",
    "labels": "labels are the run's, cairn.labels",
    "base_output_directory": "the pipeline root is where outputs go, cairn.pipeline_root",
    "tensorboard": "steps write to no TensorBoard of Vertex AI",
    "nfs_mounts": "steps see the machine's own file systems",
    "persistent_resource_id": "there are no persistent resources",
}
STEP_KEYS: dict[str, Fields] = {
    "cpu": field("cpu", quantity),
    "cpu_limit": field("cpu_limit", quantity),
    "memory": field("memory", quantity),
    "memory_limit": field("memory_limit", quantity),
    **_MACHINE,
    "accelerator": _accelerator,
    "replicas": field("replicas", whole(1)),
    "image": field("image", text),
    "environment": field("environment", _variables),
    "caching": field("caching", truth),
    "retries": _retries,
    "timeout": field("timeout_seconds", whole_duration),
    "custom_job_spec": _custom_job_spec,
}

# --- the run ---------------------------------------------------------------------------------------------------------


def _caching(value: Any, place: Place) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"caching": value}
    if not isinstance(value, dict):
        raise place.bad(f"{shown(value)} is given where true, false or a mapping is wanted")
    return fields(
        value,
        place,
        {
            "enabled": field("caching", truth),
            "ttl": field("cache_ttl_seconds", whole_duration),
            "verify": field("verify_cache", truth),
        },
    )


def _images(value: Any, place: Place) -> tuple[tuple[str, str], ...]:
    """{PATTERN: TARGET}, or a list of PATTERN=TARGET or of such mappings."""
    if isinstance(value, dict):
        return tuple((pattern, text(target, place.at(pattern))) for pattern, target in mapping(value, place).items())
    if not isinstance(value, list):
        raise place.bad(f"{shown(value)} is given where a mapping is wanted", remedy="write PATTERN: project:DIR")
    found: list[tuple[str, str]] = []
    for index, one in enumerate(value):
        if isinstance(one, dict):
            found += _images(one, place.at(index))
            continue
        pattern, _, target = text(one, place.at(index)).rpartition("=")
        if not pattern or not target:
            raise place.at(index).bad(f"{shown(one)} is no PATTERN=TARGET")
        found.append((pattern, target))
    return tuple(found)


def _schedule(value: Any, place: Place) -> ScheduleConfiguration:
    found = {"cron": value} if isinstance(value, str) else fields(value, place, SCHEDULE_KEYS)
    if bool(found.get("cron")) == bool(found.get("interval_seconds")):
        raise place.bad("says not when, or twice", remedy="give either cron or every")
    zone = _zone(found.get("time_zone") or "UTC", place.at("time_zone"))
    for name in ("start", "end"):
        if name in found:
            moment = datetime.fromisoformat(found[name])
            found[name] = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).isoformat()
    return ScheduleConfiguration(**found)


def _moment(value: Any, place: Place) -> str:
    """A date or time, which without an offset is one of the schedule's zone."""
    written = value.isoformat() if isinstance(value, (date, datetime)) else value
    try:
        datetime.fromisoformat(text(written, place))
    except ValueError:
        raise place.bad(f"{shown(value)} is no time", remedy="write 2026-05-01 or 2026-05-01T08:00") from None
    return str(written)


def _zone(name: str, place: Place) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise place.bad(f"{shown(name)} is no time zone", remedy="write a name such as Europe/Berlin") from None


def _sweep(value: Any, place: Place) -> SweepConfiguration:
    found = SweepConfiguration(**fields(value, place, SWEEP_KEYS))
    if found.goal and len(found.goal) != len(found.metric):
        raise place.at("goal").bad(f"gives {len(found.goal)} for {len(found.metric)} metrics", "give one for each")
    return found


def _target(value: Any, place: Place) -> TargetConfiguration:
    found = {"to": value} if isinstance(value, str) else fields(value, place, TARGET_KEYS)
    to = found.get("to", "")
    if to and to not in ("vertex", "kfp") and not to.startswith(("http://", "https://")):
        raise place.at("to").bad(f"{shown(to)} is no target", "write vertex, kfp or http://HOST")
    return TargetConfiguration(**found)


SCHEDULE_KEYS: dict[str, Fields] = {
    "cron": field("cron", text),
    "every": field("interval_seconds", whole_duration),
    "time_zone": field("time_zone", text),
    "name": field("name", text),
    "start": field("start", _moment),
    "end": field("end", _moment),
    "max_runs": field("max_runs", whole(0)),
    "max_concurrent": field("max_concurrent", whole(0)),
    "queue": field("queue", truth),
    "catch_up": field("catch_up", truth),
    "paused": field("paused", truth),
}
SWEEP_KEYS: dict[str, Fields] = {
    "metric": field("metric", several(text)),
    "goal": field("goal", several(choice("minimize", "maximize"))),
    "parallel": field("parallel", whole(0)),
    "experiment": field("experiment", text),
    "failures": field("failures", whole(-1)),
}
TARGET_KEYS: dict[str, Fields] = {
    **{
        name: field(name, text)
        for name in (
            "to", "project", "region", "service_account", "network", "encryption_key", "host", "namespace",
            "credentials", "staging_bucket", "authority",
        )
    },
    "reserved_ip_ranges": field("reserved_ip_ranges", several(text)),
}  # fmt: skip
RUN_KEYS: dict[str, Fields] = {
    **{
        name: field(name, text)
        for name in ("name", "description", "experiment", "project", "pipeline_root", "executor", "notify")
    },
    "parameters": field("parameters", mapping),
    "artifacts": field("artifacts", each(several(text))),
    "labels": field("labels", each(scalar_text)),
    "caching": _caching,
    "failure_policy": field("failure_policy", choice("slow", "fast")),
    "strict": field("strict", truth),
    "in_place": field("in_place", truth),
    "images": field("images", _images),
    "steps": _steps,
    "schedule": field("schedule", _schedule),
    "sweep": field("sweep", _sweep),
    "target": field("target", _target),
}
