"""CustomJobs as steps: what real compilers wrote (see jobs/source_*.py), and every part of a job."""

import contextlib
import json
from pathlib import Path

import pytest

from cairn.spec.custom_jobs import StepJob, step_job
from cairn.spec.load import load_file
from cairn.spec.package_words import PackageRun, read_package_words
from cairn.spec.reader import Bad, joined
from cairn.spec.types import ContainerSpec, CustomJobSpec, Pipeline, PythonPackageSpec, ResourceSpec

JOBS = Path(__file__).parent / "jobs"
TRAINING = (
    "datamodule.data_dir={{$.inputs.artifacts['data_dir'].path}}",
    "trainer.max_epochs={{$.inputs.parameters['max_epochs']}}",
    "--model",
    "{{$.outputs.artifacts['model_dir'].path}}",
    "--score",
    "{{$.outputs.parameters['score'].output_file}}",
)


def container(pipeline: Pipeline, name: str) -> ContainerSpec:
    found = pipeline.components[name].executor
    assert isinstance(found, ContainerSpec)
    return found


def refusal(job: StepJob) -> CustomJobSpec:
    assert isinstance(job.executor, CustomJobSpec)
    return job.executor


def job(pool: object = None, **spec: object) -> dict[str, object]:
    """A CustomJob with one worker pool, or with what `pool` says over it."""
    usual = {"machineSpec": {"machineType": "n1-standard-4"}, "containerSpec": {"imageUri": "i", "command": ["c"]}}
    pools = pool if isinstance(pool, list) else [{**usual, **(pool or {})}]  # type: ignore[dict-item]
    return {"displayName": "shown", "jobSpec": {"workerPoolSpecs": pools, **spec}}


def package(**said: object) -> dict[str, object]:
    """A CustomJob that runs a Python package."""
    spec = {"executorImageUri": "e", "packageUris": ["gs://b/p-1.tar.gz"], "pythonModule": "trainer.task", **said}
    return job([{"pythonPackageSpec": spec, "machineSpec": {"machineType": "e2-micro"}}])


def read(document: dict[str, object]) -> StepJob:
    return step_job(document, component="train")


# --- as compilers write them ---------------------------------------------------------------------------------------


def test_an_executor_of_kfp_1_8_is_its_container() -> None:
    pipeline = load_file(JOBS / "executors_1.json")
    plain, full = container(pipeline, "comp-training"), container(pipeline, "comp-training-2")
    for found in (plain, full):
        assert (found.image, found.command, found.args) == (
            "example.com/demo/training:1",
            ("python", "main.py"),
            TRAINING,
        )
    assert plain.resources == ResourceSpec(machine_type="n1-standard-4")
    assert full.resources == ResourceSpec("", "", "", "", "NVIDIA_TESLA_T4", "1", "n1-standard-8")
    assert full.job is not None
    assert plain.job is not None
    assert (plain.job.base_output_directory, full.job.base_output_directory) == ("", "gs://bucket/out")
    assert (full.job.timeout_seconds, full.job.restart_on_worker_restart) == (3600, True)
    assert pipeline.components["comp-training"].platform.active_deadline_seconds == 0
    assert pipeline.components["comp-training-2"].platform.active_deadline_seconds == 3600
    (warning,) = pipeline.warnings
    for said in ("the network", "the service account", "pd-standard, 200 GB"):
        assert said in warning


def test_several_replicas_are_worker_pools() -> None:
    found = container(load_file(JOBS / "replicas_1.json"), "comp-training")
    assert found.job is not None
    assert [(pool.index, pool.replicas) for pool in found.job.pools] == [(0, 1), (1, 2)]
    assert {pool.container.args for pool in found.job.pools} == {found.args} == {TRAINING}


# --- part by part --------------------------------------------------------------------------------------------------


def test_empty_pools_are_none_and_the_others_keep_their_places() -> None:
    chief, server = {"containerSpec": {"imageUri": "c"}}, {"container_spec": {"image_uri": "s"}, "replica_count": 2.0}
    found = read(job([chief, {}, server, None])).executor
    assert isinstance(found, ContainerSpec)
    assert found.job is not None
    assert (found.image, [(pool.index, pool.replicas, pool.container.image) for pool in found.job.pools]) == (
        "c",
        [(0, 1, "c"), (2, 2, "s")],
    )


def test_a_first_pool_of_several_replicas_is_warned_about() -> None:
    (warning,) = read(job({"replicaCount": "2"})).warnings
    assert "2 replicas are in the first worker pool" in warning


def test_a_python_package_is_a_command_that_installs_and_runs_it() -> None:
    found = read(package(args=["--lr", "0.1"], env=[{"name": "A", "value": "b"}])).executor
    assert isinstance(found, ContainerSpec)
    assert found.job is not None
    (pool,) = found.job.pools
    assert pool.package == PythonPackageSpec(("gs://b/p-1.tar.gz",), "trainer.task", ("--lr", "0.1"))
    assert (found.image, found.env, found.resources) == ("e", {"A": "b"}, ResourceSpec(machine_type="e2-micro"))
    run = read_package_words(found.command, found.args)
    assert run == PackageRun(("/gcs/b/p-1.tar.gz",), "trainer.task", ("--lr", "0.1"))


def test_what_is_said_of_scheduling_is_kept() -> None:
    scheduling = {"timeout": "90s", "maxWaitDuration": "3600s", "restartJobOnWorkerRestart": True}
    for disabled in (False, True):
        found = read(job(scheduling={**scheduling, "disableRetries": disabled}, tensorboard="t")).executor
        assert isinstance(found, ContainerSpec)
        assert found.job is not None
        assert (found.job.timeout_seconds, found.job.max_wait_seconds) == (90, 3600)
        assert found.job.restart_on_worker_restart is not disabled
        assert found.job.tensorboard == "t"


def test_names_in_both_spellings() -> None:
    snake = {
        "job_spec": {
            "worker_pool_specs": [
                {
                    "machine_spec": {"machine_type": "a2-highgpu-1g", "accelerator_count": 1.0},
                    "replica_count": 1.0,
                    "container_spec": {"image_uri": "i", "env": [{"name": "a_b", "value": "x_y"}]},
                }
            ],
            "scheduling": {"timeout": "1.5s"},
        }
    }
    found = read(snake)
    assert isinstance(found.executor, ContainerSpec)
    assert (found.executor.image, found.executor.env, found.timeout_seconds) == ("i", {"a_b": "x_y"}, 2)
    assert found.executor.resources == ResourceSpec(accelerator_count="1", machine_type="a2-highgpu-1g")
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (job({"replicaCount": "1001"}), "1001 replicas, and"),
        (job({"replicaCount": "{{$.inputs.parameters['n']}}"}), "replicas is known only"),
        (job({"machineSpec": {"machineType": "n1-standrad-4"}}), "did you mean 'n1-standard-4'"),
        (job({"nfsMounts": [{"server": "s"}]}), "nfsMounts"),
    ],
)
def test_what_cannot_run_here_is_refused_in_words(document: dict[str, object], said: str) -> None:
    assert said in refusal(read(document)).refusal


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({}, "jobSpec.workerPoolSpecs"),
        (job([]), "jobSpec.workerPoolSpecs"),
        (job({"containerSpec": None}), "jobSpec.workerPoolSpecs[0]"),
        (job({"containerSpec": {"command": ["x"]}}), "containerSpec.imageUri"),
        (job({"containerSpec": {"imageUri": "i", "args": [3]}}), "containerSpec.args[0]"),
        (job({"containerSpec": {"imageUri": "i", "args": "x"}}), "containerSpec.args"),
        (job({"containerSpec": {"imageUri": "i", "env": [{"name": "a=b"}]}}), "env[0].name"),
        (job({"machineSpec": "n1-standard-4"}), "machineSpec"),
        (job({"machineSpec": {"machineType": 4}}), "machineType"),
        (job({"machineSpec": {"acceleratorCount": -1}}), "acceleratorCount"),
        (job({"replicaCount": 1.5}), "workerPoolSpecs[0].replicaCount"),
        (job([{}, {"containerSpec": {"imageUri": "i"}}]), "workerPoolSpecs[0]"),
        (job([{"containerSpec": {"imageUri": "i"}}, {"containerSpec": {}}]), "workerPoolSpecs[1]"),
        (job({"containerSpec": {"imageUri": "i"}, "pythonPackageSpec": {"pythonModule": "m"}}), "workerPoolSpecs[0]"),
        (package(executorImageUri=""), "pythonPackageSpec.executorImageUri"),
        (package(packageUris=[]), "pythonPackageSpec.packageUris"),
        (package(pythonModule="trainer; rm"), "pythonPackageSpec.pythonModule"),
        (package(args=[1]), "pythonPackageSpec.args[0]"),
        (job(scheduling={"maxWaitDuration": "1d"}), "maxWaitDuration"),
        (job(scheduling={"timeout": 3600}), "timeout"),
        (job(scheduling={"timeout": "1h"}), "timeout"),
    ],
)
def test_what_is_no_job_is_refused_at_its_place(document: dict[str, object], place: str) -> None:
    with pytest.raises(Bad) as bad:
        read(document)
    assert joined(bad.value.path).endswith(place)


@pytest.mark.parametrize(
    ("said", "document"),
    [
        ("the job's labels", {**job(), "labels": {"a": "b"}}),
        ("the encryption key", {**job(), "encryptionSpec": {"kmsKeyName": "k"}}),
        ("reserved IP ranges", job(reservedIpRanges=["r"])),
        ("the network", job(network="{{$.inputs.parameters['network']}}")),
        ("web access", job(enableWebAccess=True)),
        ("the persistent resource", job(persistentResourceId="p")),
        ("the PSC interface", job(pscInterfaceConfig={"networkAttachment": "n"})),
        ("the strategy SPOT", job(scheduling={"strategy": "SPOT"})),
        ("the reservation", job({"machineSpec": {"reservationAffinity": {"reservationAffinityType": "ANY"}}})),
        ("the boot disk (pd-ssd, 500 GB)", job({"diskSpec": {"bootDiskSizeGb": 500}})),
        ("jobSpec.somethingNew (not known here)", job(somethingNew=1)),
        ("time-out is known only when it runs", job(scheduling={"timeout": "{{$.inputs.parameters['t']}}"})),
    ],
)
def test_what_has_no_effect_is_said(said: str, document: dict[str, object]) -> None:
    (warning,) = read(document).warnings
    assert warning.startswith("train: ")
    assert said in warning


def test_what_every_builder_writes_is_nothing_to_warn_about() -> None:
    found = read(
        {
            **job({"diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100.0}}),
            "labels": {},
            "encryptionSpec": {"kmsKeyName": ""},
        }
    )
    assert found.warnings == ()
    usual = {
        "scheduling": {"timeout": "604800s", "strategy": "STANDARD", "maxWaitDuration": "86400s"},
        "network": "", "serviceAccount": "{{$.pipeline_service_account}}", "enableWebAccess": "false",
        "reservedIpRanges": [], "baseOutputDirectory": {"outputUriPrefix": ""}, "pscInterfaceConfig": {},
        "persistentResourceId": "{{$.pipeline_persistent_resource_id}}",
    }  # fmt: skip
    found = read(job(**usual))
    assert (found.warnings, found.timeout_seconds) == ((), 604800)


# --- whatever is in a job --------------------------------------------------------------------------------------------

FULL = {
    "displayName": "d",
    "labels": {"a": "b"},
    "encryptionSpec": {"kmsKeyName": "k"},
    "jobSpec": {
        "workerPoolSpecs": [
            {
                "machineSpec": {"machineType": "n1-standard-4", "acceleratorType": "A", "acceleratorCount": 1},
                "replicaCount": "1",
                "containerSpec": {
                    "imageUri": "i",
                    "command": ["c"],
                    "args": ["a"],
                    "env": [{"name": "A", "value": "b"}],
                },
                "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100},
            }
        ],
        "scheduling": {"timeout": "3600s", "restartJobOnWorkerRestart": False, "strategy": "STANDARD"},
        "baseOutputDirectory": {"outputUriPrefix": "gs://a/b"},
        "network": "n",
    },
}
ODD = [None, True, 0, 2, -1, 1.5, 2**70, "", "x", "{{$.inputs.parameters['n']}}", [], [None], [[1]], {}, {"a": 1}]


def places(value: object, above: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inner = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    return [above, *(place for key, one in inner for place in places(one, (*above, key)))]


@pytest.mark.parametrize("place", places(FULL)[1:], ids=lambda place: ".".join(map(str, place)))
def test_whatever_a_part_of_a_job_is_it_is_read_or_refused(place: tuple[object, ...]) -> None:
    for value in ODD:
        changed = at = json.loads(json.dumps(FULL))
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = value
        with contextlib.suppress(Bad):
            read(changed)
