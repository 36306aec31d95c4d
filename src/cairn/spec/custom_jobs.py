"""Vertex AI's CustomJob as a step: one worker pool with one replica of one container is a container step.

Source: `google.cloud.aiplatform.v1` CustomJob, CustomJobSpec, WorkerPoolSpec and Scheduling. Names are read in both
spellings (`workerPoolSpecs`, `worker_pool_specs`), as protobuf's JSON does. What a job asks for beyond its container is
honoured (machine, accelerators, time-out, output directory), warned about, or the reason why it is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from cairn.errors import UnsupportedFeature
from cairn.spec.definitions import container
from cairn.spec.machine_types import machine_type
from cairn.spec.reader import Bad, shown
from cairn.spec.types import ContainerSpec, CustomJobSpec, ResourceSpec

# What this machine has no use for: the keys of a level, and what they are called in a warning.
_JOB = {"labels": "the job's labels"}
_SPEC = {
    "network": "the network",
    "serviceAccount": "the service account",
    "tensorboard": "the TensorBoard",
    "reservedIpRanges": "reserved IP ranges",
    "persistentResourceId": "the persistent resource",
    "pscInterfaceConfig": "the PSC interface",
    "enableWebAccess": "web access",
    "enableDashboardAccess": "dashboard access",
    "experiment": "the experiment",
    "experimentRun": "the experiment run",
    "protectedArtifactLocationId": "the protected artifact location",
    "models": "the models",
}
_MACHINE = {
    "reservationAffinity": "the reservation",
    "tpuTopology": "the TPU topology",
    "gpuPartitionSize": "the GPU partition",
    "minGpuDriverVersion": "the GPU driver's version",
}
_READ = {
    "job": {"displayName", "jobSpec", "encryptionSpec", *_JOB},
    "spec": {"workerPoolSpecs", "scheduling", "baseOutputDirectory", *_SPEC},
    "scheduling": {"timeout", "restartJobOnWorkerRestart", "strategy", "maxWaitDuration", "disableRetries"},
    "pool": {"containerSpec", "pythonPackageSpec", "machineSpec", "replicaCount", "diskSpec", "nfsMounts",
             "lustreMounts"},
    "machine": {"machineType", "acceleratorType", "acceleratorCount", *_MACHINE},
    "container": {"imageUri", "command", "args", "env"},
}  # fmt: skip
_USUAL_DISK = ("pd-ssd", 100)  # what every builder of such jobs writes
_USUAL_STRATEGIES = ("", "STRATEGY_UNSPECIFIED", "STANDARD", "ON_DEMAND")
_SECONDS = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)s$")
_OF_THE_RUN = re.compile(r"\{\{\$\.pipeline_(persistent_resource_id|service_account|network|encryption_key_name)\}\}$")
_OUTPUT_DIRECTORIES = {"AIP_MODEL_DIR": "model", "AIP_CHECKPOINT_DIR": "checkpoints", "AIP_TENSORBOARD_LOG_DIR": "logs"}


class StepJob(msgspec.Struct, frozen=True):
    """What a CustomJob comes to: a container, or a CustomJobSpec that says why it is none."""

    executor: ContainerSpec | CustomJobSpec
    timeout_seconds: int = 0
    warnings: tuple[str, ...] = ()


class _Refused(Exception):
    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


def step_job(job: Mapping[str, Any], *, component: str) -> StepJob:
    """`job`: a CustomJob message as JSON; texts may hold placeholders. Raises Bad for what is no CustomJob."""
    try:
        return _Reading(component).read(job)
    except _Refused as refused:
        return StepJob(CustomJobSpec(dict(job), str(refused), refused.remedy))


class _Reading:
    def __init__(self, component: str) -> None:
        self.component = component
        self.idle: list[str] = []  # what has no effect here
        self.warnings: list[str] = []

    def read(self, document: Mapping[str, Any]) -> StepJob:
        job = self._level(document, "job")
        spec = self._level(job.get("jobSpec"), "spec", "jobSpec")
        self._unused(job, _JOB)
        self._unused(spec, _SPEC)
        if _given(_camel(job.get("encryptionSpec") or {}).get("kmsKeyName")):
            self.idle.append("the encryption key")
        pool = self._only_pool(spec.get("workerPoolSpecs"))
        place = ("jobSpec", "workerPoolSpecs", "[0]")
        timeout = self._scheduling(self._level(spec.get("scheduling"), "scheduling", "jobSpec", "scheduling"))
        executor = self._container(pool, spec, *place)
        self._disk(pool.get("diskSpec"))
        if self.idle:
            self.warnings.append(f"{self.component}: these have no effect on this machine: {', '.join(self.idle)}")
        return StepJob(executor, timeout, tuple(self.warnings))

    def _level(self, value: Any, level: str, *place: str) -> dict[str, Any]:
        if not isinstance(value or {}, Mapping):
            raise Bad(f"{shown(value)} is given where a mapping is wanted", *place)
        found = _camel(value or {})
        unknown = [name for name in found if name not in _READ[level] and _given(found[name])]
        self.idle += [f"{'.'.join((*place, name))} (not known here)" for name in unknown]
        return found

    def _unused(self, level: Mapping[str, Any], names: Mapping[str, str]) -> None:
        self.idle += [text for name, text in names.items() if _given(level.get(name))]

    def _only_pool(self, value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            raise _Refused("its worker pools are known only when it runs", "write worker_pool_specs as a constant")
        pools = [pool for pool in value if pool] if isinstance(value, list) else []
        if not pools:
            raise Bad("has no worker pool", "jobSpec", "workerPoolSpecs")
        read = [
            self._level(pool, "pool", "jobSpec", "workerPoolSpecs", f"[{index}]") for index, pool in enumerate(pools)
        ]
        counts = [_replicas(pool.get("replicaCount")) for pool in read]
        if len(read) > 1 or counts[0] > 1:
            pools_text = f" in {len(read)} worker pools" if len(read) > 1 else ""
            raise _Refused(
                f"the CustomJob asks for {sum(counts)} replicas{pools_text}, and Cairn runs one replica",
                "run it with a replica count of 1",
            )
        return read[0]

    def _container(self, pool: dict[str, Any], spec: dict[str, Any], *place: str) -> ContainerSpec:
        if pool.get("pythonPackageSpec"):
            raise _Refused(
                "the CustomJob runs a Python package (pythonPackageSpec), which Cairn does not install",
                "give it a containerSpec whose command runs the package",
            )
        if not pool.get("containerSpec"):
            raise Bad("has no containerSpec", *place)
        for name in ("nfsMounts", "lustreMounts"):
            if pool.get(name):
                raise _Refused(f"the CustomJob mounts network volumes ({name}), which this machine does not have")
        given = self._level(pool["containerSpec"], "container", *place, "containerSpec")
        try:
            image = _text(given.get("imageUri") or "", "imageUri")
            if not image:
                raise Bad("has no image", "imageUri")
            found = container(
                {
                    "image": image,
                    "command": _texts(given.get("command"), "command"),
                    "args": _texts(given.get("args"), "args"),
                    "env": _variables(given.get("env")),
                }
            )
        except Bad as bad:
            raise bad.at(*place, "containerSpec") from None
        return msgspec.structs.replace(
            found,
            env={**self._output_directories(spec.get("baseOutputDirectory")), **found.env},
            resources=self._machine(pool.get("machineSpec"), *place, "machineSpec"),
        )

    def _machine(self, value: Any, *place: str) -> ResourceSpec:
        machine = self._level(value, "machine", *place)
        self._unused(machine, _MACHINE)
        name = _text(machine.get("machineType") or "", *place, "machineType")
        kind = _text(machine.get("acceleratorType") or "", *place, "acceleratorType")
        if name and "{{" not in name:
            try:
                machine_type(name)
            except UnsupportedFeature as error:
                raise _Refused(error.message, error.remedy) from None
        return ResourceSpec(
            accelerator_type="" if kind == "ACCELERATOR_TYPE_UNSPECIFIED" else kind,
            accelerator_count=_count(machine.get("acceleratorCount"), *place, "acceleratorCount"),
            machine_type=name,
        )

    def _scheduling(self, scheduling: dict[str, Any]) -> int:
        """Seconds; 0 for no time-out."""
        strategy = scheduling.get("strategy") or ""
        if strategy not in _USUAL_STRATEGIES:
            self.idle.append(f"the strategy {strategy}")
        if scheduling.get("restartJobOnWorkerRestart") in (True, "true"):
            self.idle.append("restartJobOnWorkerRestart")
        timeout = scheduling.get("timeout") or "0s"
        match = _SECONDS.match(timeout) if isinstance(timeout, str) else None
        if match is None and isinstance(timeout, str) and "{{" in timeout:
            self.warnings.append(f"{self.component}: its time-out is known only when it runs, and is not kept")
        elif match is None:
            raise Bad(f"{shown(timeout)} is no duration such as '3600s'", "jobSpec", "scheduling", "timeout")
        return math.ceil(float(match[1])) if match else 0

    def _disk(self, value: Any) -> None:
        disk = _camel(value or {})
        kind, size = disk.get("bootDiskType") or _USUAL_DISK[0], disk.get("bootDiskSizeGb") or _USUAL_DISK[1]
        if (kind, size) != _USUAL_DISK:
            self.idle.append(f"the boot disk ({kind}, {_count(size, 'bootDiskSizeGb')} GB)")

    def _output_directories(self, value: Any) -> dict[str, str]:
        """The variables by which a job on Vertex AI finds its base output directory."""
        place = ("jobSpec", "baseOutputDirectory", "outputUriPrefix")
        prefix = _text(_camel(value or {}).get("outputUriPrefix") or "", *place)
        if not _given(prefix):
            return {}
        if prefix.startswith("{{"):
            self.idle.append("the base output directory (known only when it runs)")
            return {}
        return {name: f"{prefix.rstrip('/')}/{part}/" for name, part in _OUTPUT_DIRECTORIES.items()}


def _given(value: Any) -> bool:
    """Whether it says anything: what the run itself has none of is not given either."""
    if isinstance(value, str):
        return bool(value) and value != "false" and not _OF_THE_RUN.match(value)
    if isinstance(value, Mapping):
        return any(_given(part) for part in value.values())
    return bool(value)


def _camel(value: Any) -> dict[str, Any]:
    """One level's keys in protobuf's JSON spelling."""
    if not isinstance(value, Mapping):
        return {}
    return {re.sub(r"_([a-z0-9])", lambda part: part[1].upper(), key): inner for key, inner in value.items()}


def _replicas(value: Any) -> int:
    if isinstance(value, str) and "{{" in value:
        raise _Refused("its number of replicas is known only when it runs", "write replica_count as a constant")
    text = _count(value, "jobSpec", "workerPoolSpecs", "[0]", "replicaCount")
    return int(text or 1)


def _count(value: Any, *place: str) -> str:
    """A count as it is written in JSON: 1, 1.0 (from a protobuf Struct), "1", or text with a placeholder."""
    if value in (None, "", 0, "0"):
        return ""
    if isinstance(value, str) and ("{{" in value or value.isdigit()):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 and float(value).is_integer():
        return str(int(value))
    raise Bad(f"{shown(value)} is no count", *place)


def _text(value: Any, *place: str) -> str:
    if not isinstance(value, str):
        raise Bad(f"{shown(value)} is given where text is wanted", *place)
    return value


def _texts(value: Any, name: str) -> list[str]:
    if not isinstance(value or [], list):
        raise Bad(f"{shown(value)} is given where a list is wanted", name)
    return [_text(word, name, f"[{index}]") for index, word in enumerate(value or ())]


def _variables(value: Any) -> list[dict[str, str]]:
    if not isinstance(value or [], list):
        raise Bad(f"{shown(value)} is given where a list is wanted", "env")
    found = []
    for index, variable in enumerate(value or ()):
        if not isinstance(variable, Mapping):
            raise Bad(f"{shown(variable)} is given where name and value are wanted", "env", f"[{index}]")
        found.append({key: _text(variable.get(key) or "", "env", f"[{index}]", key) for key in ("name", "value")})
    return found
