"""Vertex AI's CustomJob as a step: its worker pools as replicas of containers.

Source: `google.cloud.aiplatform.v1` CustomJob, CustomJobSpec, WorkerPoolSpec and Scheduling. Names are read in both
spellings (`workerPoolSpecs`, `worker_pool_specs`), as protobuf's JSON does. What a job asks for beyond its containers
is honoured (machines, accelerators, packages, time-outs, restarts, output directory), warned about, or the reason why
it is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from cairn.errors import UnsupportedFeature
from cairn.spec.custom_job_fields import FIELDS, JOB, MACHINE, SPEC, camel
from cairn.spec.definitions import container
from cairn.spec.machine_types import machine_type
from cairn.spec.package_words import package_words
from cairn.spec.reader import Bad, shown
from cairn.spec.types import ContainerSpec, CustomJobSpec, JobSpec, PythonPackageSpec, ResourceSpec, WorkerPool

_USUAL_DISK = ("pd-ssd", 100)  # what every builder of such jobs writes
_USUAL_STRATEGIES = ("", "STRATEGY_UNSPECIFIED", "STANDARD", "ON_DEMAND")
_SECONDS = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)s$")
_OF_THE_RUN = re.compile(r"\{\{\$\.pipeline_(persistent_resource_id|service_account|network|encryption_key_name)\}\}$")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")
MAX_REPLICAS = 1000


class StepJob(msgspec.Struct, frozen=True):
    """What a CustomJob comes to: a container with its job, or a CustomJobSpec that says why it is none."""

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
        self.idle: dict[str, None] = {}  # what has no effect here
        self.warnings: list[str] = []

    def read(self, document: Mapping[str, Any]) -> StepJob:
        job = self._level(document, "job")
        spec = self._level(job.get("jobSpec"), "spec", "jobSpec")
        self._unused(job, JOB)
        self._unused(spec, SPEC)
        if _given(_camel(job.get("encryptionSpec") or {}).get("kmsKeyName")):
            self.idle["the encryption key"] = None
        pools = self._pools(spec.get("workerPoolSpecs"))
        scheduling = self._level(spec.get("scheduling"), "scheduling", "jobSpec", "scheduling")
        timeout = self._seconds(scheduling, "timeout", "its time-out")
        found = JobSpec(
            pools=tuple(pools),
            base_output_directory=self._output_directory(spec.get("baseOutputDirectory")),
            timeout_seconds=timeout,
            max_wait_seconds=self._seconds(scheduling, "maxWaitDuration", "how long it may wait"),
            restart_on_worker_restart=self._restarts(scheduling),
            tensorboard=_text(spec.get("tensorboard") or "", "jobSpec", "tensorboard"),
            experiment=_text(spec.get("experiment") or "", "jobSpec", "experiment"),
            experiment_run=_text(spec.get("experimentRun") or "", "jobSpec", "experimentRun"),
        )
        if self.idle:
            self.warnings.append(f"{self.component}: these have no effect on this machine: {', '.join(self.idle)}")
        return StepJob(msgspec.structs.replace(pools[0].container, job=found), timeout, tuple(self.warnings))

    def _level(self, value: Any, level: str, *place: str) -> dict[str, Any]:
        if not isinstance(value or {}, Mapping):
            raise Bad(f"{shown(value)} is given where a mapping is wanted", *place)
        found = _camel(value or {})
        unknown = [name for name in found if name not in FIELDS[level] and _given(found[name])]
        self.idle.update((f"{'.'.join((*place, name))} (not known here)", None) for name in unknown)
        return found

    def _unused(self, level: Mapping[str, Any], names: Mapping[str, str]) -> None:
        self.idle.update((text, None) for name, text in names.items() if _given(level.get(name)))

    def _pools(self, value: Any) -> list[WorkerPool]:
        """Those that are not empty. "All worker pools except the first one are optional and can be skipped"."""
        if isinstance(value, str):
            raise _Refused("its worker pools are known only when it runs", "write worker_pool_specs as a constant")
        given = value if isinstance(value, list) else []
        place = ("jobSpec", "workerPoolSpecs")
        if not any(given):
            raise Bad("has no worker pool", *place)
        if not given[0]:
            raise Bad("is empty, and holds the chief of the job", *place, "[0]")
        pools = [self._pool(pool, index, *place, f"[{index}]") for index, pool in enumerate(given) if pool]
        if (total := sum(pool.replicas for pool in pools)) > MAX_REPLICAS:
            raise _Refused(f"the CustomJob asks for {total} replicas, and {MAX_REPLICAS} are the most")
        if pools[0].replicas > 1:
            self.warnings.append(
                f"{self.component}: {pools[0].replicas} replicas are in the first worker pool; on Vertex AI it has one,"
                " the chief, and the others are in the second"
            )
        return pools

    def _pool(self, value: Any, index: int, *place: str) -> WorkerPool:
        pool = self._level(value, "pool", *place)
        replicas = _replicas(pool.get("replicaCount"), *place, "replicaCount")
        for name in ("nfsMounts", "lustreMounts"):
            if pool.get(name):
                raise _Refused(f"the CustomJob mounts network volumes ({name}), which this machine does not have")
        if not pool.get("containerSpec") and not pool.get("pythonPackageSpec"):
            raise Bad("has no containerSpec", *place)
        if pool.get("containerSpec") and pool.get("pythonPackageSpec"):
            raise Bad("has both a containerSpec and a pythonPackageSpec", *place)
        package = self._package(pool["pythonPackageSpec"], *place) if pool.get("pythonPackageSpec") else None
        found = package[0] if package else self._container(pool["containerSpec"], *place, "containerSpec")
        resources = self._machine(pool.get("machineSpec"), *place, "machineSpec")
        self._disk(pool.get("diskSpec"), *place, "diskSpec")
        return WorkerPool(
            msgspec.structs.replace(found, resources=resources), replicas, index, package[1] if package else None
        )

    def _container(self, value: Any, *place: str) -> ContainerSpec:
        given = self._level(value, "container", *place)
        try:
            image = _text(given.get("imageUri") or "", "imageUri")
            if not image:
                raise Bad("has no image", "imageUri")
            return container(
                {
                    "image": image,
                    "command": _texts(given.get("command"), "command"),
                    "args": _texts(given.get("args"), "args"),
                    "env": _variables(given.get("env")),
                }
            )
        except Bad as bad:
            raise bad.at(*place) from None

    def _package(self, value: Any, *place: str) -> tuple[ContainerSpec, PythonPackageSpec]:
        """The package, and a container whose command installs and runs it: what an image is given."""
        place = (*place, "pythonPackageSpec")
        given = self._level(value, "package", *place)
        try:
            image = _text(given.get("executorImageUri") or "", "executorImageUri")
            module = _text(given.get("pythonModule") or "", "pythonModule")
            uris = _texts(given.get("packageUris"), "packageUris")
            if not image:
                raise Bad("has no image", "executorImageUri")
            if not _MODULE.match(module) and "{{" not in module:
                raise Bad(f"{shown(module)} is no Python module", "pythonModule")
            if not uris:
                raise Bad("names no package", "packageUris")
            found = PythonPackageSpec(tuple(uris), module, tuple(_texts(given.get("args"), "args")))
            words = package_words(found.package_uris, module)
            spec = {"image": image, "command": words, "args": [*found.args], "env": _variables(given.get("env"))}
            return container(spec), found
        except Bad as bad:
            raise bad.at(*place) from None

    def _machine(self, value: Any, *place: str) -> ResourceSpec:
        machine = self._level(value, "machine", *place)
        self._unused(machine, MACHINE)
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

    def _restarts(self, scheduling: dict[str, Any]) -> bool:
        strategy = scheduling.get("strategy") or ""
        if strategy not in _USUAL_STRATEGIES:
            self.idle[f"the strategy {strategy}"] = None
        wanted = _flag(scheduling.get("restartJobOnWorkerRestart"))
        return wanted and not _flag(scheduling.get("disableRetries"))

    def _seconds(self, scheduling: dict[str, Any], name: str, words: str) -> int:
        """0 for none."""
        given = scheduling.get(name) or "0s"
        match = _SECONDS.match(given) if isinstance(given, str) else None
        if match is None and isinstance(given, str) and "{{" in given:
            self.warnings.append(f"{self.component}: {words} is known only when it runs, and is not kept")
        elif match is None:
            raise Bad(f"{shown(given)} is no duration such as '3600s'", "jobSpec", "scheduling", name)
        return math.ceil(float(match[1])) if match else 0

    def _disk(self, value: Any, *place: str) -> None:
        disk = _camel(value or {})
        kind, size = disk.get("bootDiskType") or _USUAL_DISK[0], disk.get("bootDiskSizeGb") or _USUAL_DISK[1]
        if (kind, size) != _USUAL_DISK:
            self.idle[f"the boot disk ({kind}, {_count(size, *place, 'bootDiskSizeGb')} GB)"] = None

    def _output_directory(self, value: Any) -> str:
        place = ("jobSpec", "baseOutputDirectory", "outputUriPrefix")
        prefix = _text(_camel(value or {}).get("outputUriPrefix") or "", *place)
        return prefix.rstrip("/") if _given(prefix) else ""


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
    return {camel(key): inner for key, inner in value.items()}


def _flag(value: Any) -> bool:
    return value is True or value == "true"


def _replicas(value: Any, *place: str) -> int:
    if isinstance(value, str) and "{{" in value:
        raise _Refused("its number of replicas is known only when it runs", "write replica_count as a constant")
    return int(_count(value, *place) or 1)


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
