"""The fields that a CustomJob has, level by level.

Source: `google.cloud.aiplatform.v1` CustomJob, CustomJobSpec, WorkerPoolSpec, MachineSpec, Scheduling.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

# What this machine has no use for: the keys of a level, and what they are called in a warning.
JOB = {"labels": "the job's labels"}
SPEC = {
    "network": "the network",
    "serviceAccount": "the service account",
    "reservedIpRanges": "reserved IP ranges",
    "persistentResourceId": "the persistent resource",
    "pscInterfaceConfig": "the PSC interface",
    "enableWebAccess": "web access",
    "enableDashboardAccess": "dashboard access",
    "protectedArtifactLocationId": "the protected artifact location",
    "models": "the models",
}
MACHINE = {
    "reservationAffinity": "the reservation",
    "tpuTopology": "the TPU topology",
    "gpuPartitionSize": "the GPU partition",
    "minGpuDriverVersion": "the GPU driver's version",
}
FIELDS = {
    "job": {"displayName", "jobSpec", "encryptionSpec", *JOB},
    "spec": {"workerPoolSpecs", "scheduling", "baseOutputDirectory", "tensorboard", "experiment", "experimentRun",
             *SPEC},
    "scheduling": {"timeout", "restartJobOnWorkerRestart", "strategy", "maxWaitDuration", "disableRetries"},
    "pool": {"containerSpec", "pythonPackageSpec", "machineSpec", "replicaCount", "diskSpec", "nfsMounts",
             "lustreMounts"},
    "machine": {"machineType", "acceleratorType", "acceleratorCount", *MACHINE},
    "container": {"imageUri", "command", "args", "env"},
    "package": {"executorImageUri", "packageUris", "pythonModule", "args", "env"},
}  # fmt: skip
_SMALL = {
    "output": {"outputUriPrefix"},
    "disk": {"bootDiskType", "bootDiskSizeGb"},
    "variable": {"name", "value"},
    "encryption": {"kmsKeyName"},
}
_PUT_OUT = {"name", "state", "createTime", "startTime", "endTime", "updateTime", "error", "webAccessUris",
            "satisfiesPzs", "satisfiesPzi"}  # fmt: skip
_INSIDE = {
    "jobSpec": "spec",
    "encryptionSpec": "encryption",
    "workerPoolSpecs": "pool",
    "scheduling": "scheduling",
    "baseOutputDirectory": "output",
    "containerSpec": "container",
    "pythonPackageSpec": "package",
    "machineSpec": "machine",
    "diskSpec": "disk",
    "env": "variable",
}
_ALIKE = 0.7  # of two names, as difflib measures it


class UnknownField(msgspec.Struct, frozen=True):
    """`place`: with the field's name. `near`: fields of that level that may be meant."""

    place: str
    near: tuple[str, ...]


def unknown_fields(job: Mapping[str, Any]) -> Iterator[UnknownField]:
    """Of a CustomJob as JSON, in either spelling. What the service puts out may be there: a job that was described."""
    yield from _unknown(job, "job", "")


def camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda part: part[1].upper(), name)


def _unknown(value: Any, level: str, place: str) -> Iterator[UnknownField]:
    """What is no message is told by whoever reads it."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _unknown(each, level, f"{place}[{index}]")
    if not isinstance(value, Mapping):
        return
    known = FIELDS.get(level) or _SMALL[level]
    for written, inner in value.items():
        name = camel(str(written))
        here = f"{place}.{written}" if place else str(written)
        if name in known:
            if name in _INSIDE:
                yield from _unknown(inner, _INSIDE[name], here)
        elif level != "job" or name not in _PUT_OUT:
            near = difflib.get_close_matches(name.lower(), {each.lower(): each for each in known}, 2, _ALIKE)
            yield UnknownField(here, tuple(each for low in near for each in known if each.lower() == low))
