"""A pipeline as the engine reads it: PipelineSpec with every name resolved and every default filled in.

Made by `cairn.spec.load`, which refuses what is wrong; so the engine trusts these values and checks nothing again.
Source of the shapes: kubeflow/pipelines `api/v2alpha1/pipeline_spec.proto`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from cairn.domain.artifacts import ArtifactType
from cairn.domain.values import ParameterType, Value


class ParameterInput(msgspec.Struct, frozen=True):
    type: ParameterType
    optional: bool = False  # true also where a default is given
    has_default: bool = False
    default: Value = None
    literals: tuple[Value, ...] = ()  # when not empty, the only values allowed
    description: str = ""


class ArtifactInput(msgspec.Struct, frozen=True):
    type: ArtifactType
    is_list: bool = False
    optional: bool = False
    description: str = ""


class ParameterOutput(msgspec.Struct, frozen=True):
    type: ParameterType
    description: str = ""


class ArtifactOutput(msgspec.Struct, frozen=True):
    type: ArtifactType
    is_list: bool = False
    metadata: dict[str, Any] = {}
    description: str = ""


# Where a task's input comes from. `selector` is a parameterExpressionSelector, CEL over `string_value`
# (e.g. `parseJson(string_value)["p_a"]`), applied to the value found; "" for none.


class Constant(msgspec.Struct, frozen=True, tag=True, tag_field="kind"):
    value: Value  # strings in it may hold placeholders
    selector: str = ""


class ComponentInput(msgspec.Struct, frozen=True, tag=True, tag_field="kind"):
    """A parameter or artifact of the enclosing DAG."""

    name: str
    selector: str = ""


class TaskOutput(msgspec.Struct, frozen=True, tag=True, tag_field="kind"):
    """A parameter or artifact that a task of the same DAG puts out."""

    producer: str
    key: str
    selector: str = ""


class FinalStatus(msgspec.Struct, frozen=True, tag=True, tag_field="kind"):
    """PipelineTaskFinalStatus of a task of the same DAG."""

    producer: str
    selector: str = ""


ParameterBinding: TypeAlias = Constant | ComponentInput | TaskOutput | FinalStatus
ArtifactBinding: TypeAlias = ComponentInput | TaskOutput


class TriggerStrategy(StrEnum):
    ALL_SUCCEEDED = "ALL_UPSTREAM_TASKS_SUCCEEDED"
    ALL_COMPLETED = "ALL_UPSTREAM_TASKS_COMPLETED"


class ParameterIterator(msgspec.Struct, frozen=True, tag=True, tag_field="kind"):
    """Items are a constant list or the value of one of the *task's own* inputs; each goes to input `item_input`."""

    item_input: str
    raw: tuple[Value, ...] | None = None
    input_name: str = ""


class ArtifactIterator(msgspec.Struct, frozen=True, tag=True, tag_field="kind"):
    item_input: str
    input_name: str


class RetryPolicy(msgspec.Struct, frozen=True):
    """`backoff_seconds * factor**(n-1)`, at most `max_seconds`, before retry n."""

    max_retries: int
    backoff_seconds: float = 0.0
    factor: float = 2.0
    max_seconds: float = 3600.0


class TaskSpec(msgspec.Struct, frozen=True):
    name: str  # its key in the DAG
    display_name: str
    component: str  # key in Pipeline.components
    parameters: dict[str, ParameterBinding] = {}
    artifacts: dict[str, ArtifactBinding] = {}
    upstream: tuple[str, ...] = ()  # dependentTasks and every producer named by an input, without duplicates
    condition: str = ""  # CEL; "" for none
    strategy: TriggerStrategy = TriggerStrategy.ALL_SUCCEEDED
    iterator: ParameterIterator | ArtifactIterator | None = None
    parallelism: int = 0  # of the loop's iterations; 0: no limit
    retry: RetryPolicy | None = None
    cache: bool = False
    cache_key: str = ""  # the user's


class Selector(msgspec.Struct, frozen=True):
    producer: str
    key: str


class DagSpec(msgspec.Struct, frozen=True):
    """`parameter_outputs`: one selector, or several of a OneOf (the first whose producer succeeded gives the value).

    `artifact_outputs`: several selectors are a OneOf as well (an untaken branch gives nothing). A DAG that is the body
    of a loop gives, seen from outside, the list over its iterations in order.
    """

    tasks: dict[str, TaskSpec]
    parameter_outputs: dict[str, tuple[Selector, ...]] = {}
    artifact_outputs: dict[str, tuple[Selector, ...]] = {}


class ResourceSpec(msgspec.Struct, frozen=True):
    """As written: each a number, a Kubernetes quantity ('500m', '4Gi'), or a string with placeholders; "" for none."""

    cpu_request: str = ""
    cpu_limit: str = ""
    memory_request: str = ""
    memory_limit: str = ""
    accelerator_type: str = ""
    accelerator_count: str = ""
    machine_type: str = ""  # of Google's catalogue: what it has is requested where the others say nothing


class ContainerSpec(msgspec.Struct, frozen=True, tag=True, tag_field="kind"):
    image: str
    command: tuple[str, ...] = ()  # may hold placeholders, Concat and IfPresent JSON
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    resources: ResourceSpec = ResourceSpec()
    output_files: dict[str, str] = {}  # by output parameter: text that is there before the command runs
    job: JobSpec | None = None  # of a custom job: its worker pools, the first of which is this container


class PythonPackageSpec(msgspec.Struct, frozen=True):
    """A Python package that a worker pool runs: `python -m MODULE`, with these packages installed."""

    package_uris: tuple[str, ...]  # gs://… or paths of sdists and wheels
    module: str
    args: tuple[str, ...] = ()


class WorkerPool(msgspec.Struct, frozen=True):
    """Replicas of one container. On Vertex AI pool 0 is the chief, 1 workers, 2 parameter servers, 3 evaluators."""

    container: ContainerSpec  # its `image` is the executor image where a package is run
    replicas: int = 1
    index: int = 0  # among the pools as they were written: workerpool0, workerpool1, …
    package: PythonPackageSpec | None = None


class JobSpec(msgspec.Struct, frozen=True):
    """What a custom job says beyond its containers. Durations are seconds, 0 for none."""

    pools: tuple[WorkerPool, ...]  # without empty ones
    base_output_directory: str = ""  # gs://… or a path; may hold placeholders
    timeout_seconds: int = 0
    max_wait_seconds: int = 0  # before all replicas have started
    restart_on_worker_restart: bool = False
    tensorboard: str = ""  # resource name
    experiment: str = ""  # resource names of contexts
    experiment_run: str = ""


class NativeSpec(msgspec.Struct, frozen=True, tag=True, tag_field="kind"):
    """A step that a service of Cairn does in its own process: what a launcher of google-cloud-pipeline-components asks
    Vertex AI for. `spec.native_steps` recognises them."""

    type: str  # the launcher's --type: CustomJob, HyperparameterTuningJob, UploadModel, Wait, …
    arguments: tuple[str, ...]  # the launcher's words, which may hold placeholders, Concat and IfPresent JSON
    container: ContainerSpec  # as it is written
    refusal: str = ""  # why it cannot run here: it loads, and is refused when it is to run
    remedy: str = ""


class ImporterSpec(msgspec.Struct, frozen=True, tag=True, tag_field="kind"):
    uri: str  # constant; "" when it comes from `uri_parameter`
    uri_parameter: str  # name of the component's input parameter
    type: ArtifactType
    metadata: dict[str, Any] = {}  # strings in keys and values may hold placeholders
    reimport: bool = False
    download_to_workspace: bool = False


class CustomJobSpec(msgspec.Struct, frozen=True, tag=True, tag_field="kind"):
    """A Vertex CustomJob that does not come to one container: `spec.custom_jobs` makes a ContainerSpec of all others.

    It loads, and is refused when it is to run."""

    custom_job: dict[str, Any]
    refusal: str
    remedy: str = ""


ExecutorSpec: TypeAlias = ContainerSpec | ImporterSpec | CustomJobSpec | NativeSpec


# Platform configuration: what `kfp.kubernetes` writes into the second YAML document. A name that may come from a
# parameter is a ParameterBinding resolved against the task's own inputs (or producers in the same DAG).


class SecretEnv(msgspec.Struct, frozen=True):
    source: ParameterBinding  # name of the secret or config map
    keys: dict[str, str]  # key in it → environment variable
    optional: bool = False


class FileMount(msgspec.Struct, frozen=True):
    source: ParameterBinding
    mount_path: str
    optional: bool = False
    sub_path: str = ""
    read_only: bool = False


class FieldPathEnv(msgspec.Struct, frozen=True):
    name: str
    field_path: str


class EmptyDir(msgspec.Struct, frozen=True):
    volume_name: str
    mount_path: str
    size_limit: str = ""
    medium: str = ""


class PlatformSpec(msgspec.Struct, frozen=True):
    """The honoured part. What is only warned about stands in `Pipeline.warnings`; the rest was refused."""

    secret_env: tuple[SecretEnv, ...] = ()
    config_map_env: tuple[SecretEnv, ...] = ()
    secret_volumes: tuple[FileMount, ...] = ()
    config_map_volumes: tuple[FileMount, ...] = ()
    volumes: tuple[FileMount, ...] = ()  # persistent volume claims, as local directories
    empty_dirs: tuple[EmptyDir, ...] = ()
    generic_ephemeral: tuple[EmptyDir, ...] = ()
    field_path_env: tuple[FieldPathEnv, ...] = ()
    active_deadline_seconds: int = 0  # the task's time-out


class ComponentSpec(msgspec.Struct, frozen=True):
    name: str
    input_parameters: dict[str, ParameterInput] = {}
    input_artifacts: dict[str, ArtifactInput] = {}
    output_parameters: dict[str, ParameterOutput] = {}
    output_artifacts: dict[str, ArtifactOutput] = {}
    dag: DagSpec | None = None  # exactly one of dag and executor
    executor: ContainerSpec | ImporterSpec | CustomJobSpec | NativeSpec | None = None
    platform: PlatformSpec = PlatformSpec()
    task_config_inputs: tuple[str, ...] = ()  # inputs of type TASK_CONFIG


class Workspace(msgspec.Struct, frozen=True):
    size: str = ""


class Pipeline(msgspec.Struct, frozen=True):
    """A checked pipeline. `text` is the canonical JSON of the IR it came from; `digest` is over it (xxh3)."""

    name: str
    display_name: str
    components: dict[str, ComponentSpec]
    root: ComponentSpec  # its `dag` is never None
    digest: str
    text: str
    default_root: str = ""
    workspace: Workspace | None = None
    warnings: tuple[str, ...] = ()
    parameters: dict[str, Value] = {}  # runtimeConfig of a PipelineJob file
    active_deadline_seconds: int = 0
    failure_policy: str = ""  # a PipelineJob's runtimeConfig.failurePolicy: slow | fast; "" when not given
