"""A custom job's replicas: what they share of the machine, and what tells each of them who and where the others are.

Sources: "Distributed training" of Vertex AI (CLUSTER_SPEC, TF_CONFIG), CustomJobSpec.base_output_directory of
`google.cloud.aiplatform.v1` (AIP_*), torch.distributed's environment variables, and torchrun's (PET_*).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from cairn.domain.ids import numeric_id
from cairn.domain.resources import Capacity, Resources
from cairn.domain.runs import Exit, Run, RunKind
from cairn.domain.states import ExitReason
from cairn.engine.fit import fit_together
from cairn.engine.ports import ProcessSpec, StartAttempt
from cairn.spec.types import ContainerSpec, JobSpec, WorkerPool

LOOPBACK = "127.0.0.1"
RESTARTS = 3  # of a whole job whose replica has failed: what Vertex AI retries
JOB = "job"  # in Run.client: the CustomJob that a run was made of
_TOLD_BYTES = 64 * 1024  # of a job, in CLUSTER_SPEC and TF_CONFIG: the kernel takes 128 KiB of a variable
_TOLD_BYTES_IN_ALL = 16 * 1024 * 1024
_TRAINING_POOLS = 2  # the chief's and the workers': parameter servers and evaluators have no rank
_ROLES = ("chief", "worker", "ps", "evaluator")  # of TensorFlow, by a pool's index
_OUTPUTS = {"AIP_MODEL_DIR": "model", "AIP_CHECKPOINT_DIR": "checkpoints", "AIP_TENSORBOARD_LOG_DIR": "logs"}
# Expressions of what few runs have are compiled when one has it.
_BUCKET = r"(?:gs://|(?<![\w.])/gcs/)([a-z0-9][a-z0-9._-]{0,221})"


class Replica(msgspec.Struct, frozen=True):
    pool: WorkerPool
    number: int  # in its pool

    @property
    def name(self) -> str:
        return f"{pool_name(self.pool)}-{self.number}"


class Gang(msgspec.Struct, frozen=True):
    """What all attempts of one step have in common. `shares` are in the order of `replicas`."""

    job: JobSpec
    replicas: tuple[Replica, ...]
    total: Resources
    shares: tuple[Resources, ...]
    warnings: tuple[str, ...] = ()

    @property
    def ports(self) -> int:
        """How many it needs: one for each replica, and one for the rendezvous of torch.distributed."""
        return len(self.replicas) + 1


def pool_name(pool: WorkerPool) -> str:
    return f"workerpool{pool.index}"


def pool_key(component: str, pool: WorkerPool) -> str:
    """What the plan of a pool is known by: of the first one, by its component's name."""
    return f"{component}/{pool_name(pool)}"


def replicas_of(job: JobSpec) -> tuple[Replica, ...]:
    """The chief first."""
    return tuple(Replica(pool, number) for pool in job.pools for number in range(pool.replicas))


def gang_of(
    container: ContainerSpec,
    wanted: Callable[[ContainerSpec], Resources],
    machine: Capacity,
    *,
    strict: bool,
    component: str,
) -> Gang:
    """The step's own container stands for that of the first pool. Raises UnsupportedFeature when it is too much and
    `strict`, InputRefused for a quantity that is none."""
    assert container.job is not None
    job = container.job
    replicas = replicas_of(job)
    by_pool = {pool.index: wanted(pool.container if at else container) for at, pool in enumerate(job.pools)}
    asked = [by_pool[replica.pool.index] for replica in replicas]
    total, shares, warnings = fit_together(asked, machine, strict=strict, component=component)
    return Gang(job, replicas, total, tuple(shares), tuple(warnings))


# --- what a replica is told ------------------------------------------------------------------------------------------


def job_variables(job: JobSpec, run: Run, task_uid: str, text: Callable[[str], str]) -> dict[str, str]:
    """The same for every replica. `text` fills in placeholders."""
    found = {
        "CLOUD_ML_JOB_ID": run.job_id if is_job(run) else numeric_id(task_uid),
        "CLOUD_ML_PROJECT_ID": run.project,
        "CLOUD_ML_REGION": run.location,
    }
    base = output_directory(job, text)
    if base:
        found.update({name: f"{base}/{part}/" for name, part in _OUTPUTS.items()})
    named = {
        "AIP_TENSORBOARD_RESOURCE_NAME": text(job.tensorboard),
        "AIP_EXPERIMENT_NAME": text(job.experiment),
        "AIP_EXPERIMENT_RUN_NAME": text(job.experiment_run),
    }
    return found | {name: value for name, value in named.items() if value}


def is_job(run: Run) -> bool:
    return run.kind in (RunKind.CUSTOM_JOB, RunKind.TRAINING_PIPELINE, RunKind.TRIAL)


def output_directory(job: JobSpec, text: Callable[[str], str]) -> str:
    return text(job.base_output_directory).rstrip("/")


def output_directories(job: JobSpec, text: Callable[[str], str]) -> list[str]:
    """URIs of what AIP_MODEL_DIR and the like name; [] without a base output directory."""
    base = output_directory(job, text)
    return [f"{base}/{part}" for part in _OUTPUTS.values()] if base else []


def cluster_variables(gang: Gang, ports: Sequence[int], message: Mapping[str, Any], trial: str) -> list[dict[str, str]]:
    """Of each replica. `ports`: one for each, and one more for the rendezvous of torch.distributed.

    `message` is the CustomJobSpec as it was given; `trial` the id of the trial that the job is of, or "".
    """
    by_pool: dict[str, list[str]] = {}
    by_role: dict[str, list[str]] = {}
    for replica, port in zip(gang.replicas, ports, strict=False):
        by_pool.setdefault(pool_name(replica.pool), []).append(f"{LOOPBACK}:{port}")
        if role(replica.pool.index) != "evaluator":
            by_role.setdefault(role(replica.pool.index), []).append(f"{LOOPBACK}:{port}")
    size = sum(replica.pool.index < _TRAINING_POOLS for replica in gang.replicas)
    uniform = size > 1 and _uniform(gang)
    told = {"job": message} if _may_be_told(message, len(gang.replicas)) else {}
    found: list[dict[str, str]] = []
    rank = 0
    for replica in gang.replicas:
        task: dict[str, Any] = {"index": replica.number, **({"trial": trial} if trial else {})}
        rest = {"environment": "cloud", **told}
        cluster = {"cluster": by_pool, "task": {"type": pool_name(replica.pool), **task}, **rest}
        variables = {"CLUSTER_SPEC": json.dumps(cluster)}
        if len(gang.replicas) > 1:  # as on Vertex AI: TensorFlow takes one that is alone for a cluster otherwise
            config = {"cluster": by_role, "task": {"type": role(replica.pool.index), **task}, **rest}
            variables["TF_CONFIG"] = json.dumps(config)
        if replica.pool.index < _TRAINING_POOLS:
            variables |= _torch_variables(rank, size, ports[-1], uniform=uniform)
            rank += 1
        found.append(variables)
    return found


def _may_be_told(message: Mapping[str, Any], replicas: int) -> bool:
    """Whether the job is told to its replicas: one with long arguments would be more than the kernel takes of a
    variable, and one of many pools is told to each of its many replicas."""
    size = len(json.dumps(message))
    return size <= _TOLD_BYTES and size * replicas <= _TOLD_BYTES_IN_ALL


def role(index: int) -> str:
    return _ROLES[index] if index < len(_ROLES) else f"workerpool{index}"


def _torch_variables(rank: int, size: int, port: int, *, uniform: bool) -> dict[str, str]:
    """Each replica is a node of one process: a script that calls init_process_group finds its rank, and torchrun, which
    reads PET_*, the other nodes."""
    found = {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(port)}
    if uniform:
        found["LOCAL_RANK"] = "0"
        found |= {"PET_NNODES": str(size), "PET_NODE_RANK": str(rank)}
        found |= {"PET_MASTER_ADDR": LOOPBACK, "PET_MASTER_PORT": str(port)}
    return found


def _uniform(gang: Gang) -> bool:
    return len({pool.container.resources.accelerator_count for pool in gang.job.pools[:_TRAINING_POOLS]}) == 1


def with_addresses(request: StartAttempt, gang: Gang, ports: Sequence[int], run: Run) -> StartAttempt:
    """The request with the variables that hold addresses; a replica's own win."""
    message = run.client.get(JOB) or {} if is_job(run) else {}
    spec = message.get("jobSpec") or message.get("job_spec") or {}
    trial = request.processes[0].variables.get("CLOUD_ML_TRIAL_ID", "")
    told = cluster_variables(gang, ports, spec, trial)
    processes = tuple(
        msgspec.structs.replace(process, variables={**variables, **process.variables})
        for process, variables in zip(request.processes, told, strict=True)
    )
    return msgspec.structs.replace(request, processes=processes)


def restarts_of(job: JobSpec | None, ended: Exit) -> int:
    """How often a job whose attempt ended like this may be started anew: when it asks for it and a replica has failed,
    not when it took too long or too much."""
    if job is None or not job.restart_on_worker_restart:
        return 0
    return RESTARTS if ended.reason in (ExitReason.EXITED, ExitReason.SIGNALLED) else 0


# --- buckets ---------------------------------------------------------------------------------------------------------


def mentioned_buckets(words: Sequence[str]) -> list[str]:
    """URIs of the buckets that a command or a variable names, as gs://BUCKET/… or /gcs/BUCKET/…, anywhere in it."""
    return [f"gs://{name}" for name in dict.fromkeys(name for word in words for name in re.findall(_BUCKET, word))]


def processes_of(gang: Gang, by_pool: Mapping[int, ProcessSpec]) -> tuple[ProcessSpec, ...]:
    """One process for each replica, from its pool's, with its share of the machine."""
    return tuple(
        msgspec.structs.replace(by_pool[replica.pool.index], replica=replica.name, resources=share)
        for replica, share in zip(gang.replicas, gang.shares, strict=True)
    )
