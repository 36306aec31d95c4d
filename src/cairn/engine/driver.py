"""From a task that may run to what has to happen: its inputs, its condition, an earlier result, or an attempt.

The driver reads; it never starts, stops or records anything. Source of the behaviour: kubeflow/pipelines
`backend/src/v2/driver` and the Vertex AI Pipelines documentation.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from cairn.domain.artifacts import Artifact
from cairn.domain.resources import Capacity, Resources
from cairn.domain.runs import CacheComparison, Failure, Run, TaskInputs, TaskOutputs
from cairn.domain.states import TaskState
from cairn.domain.values import Spilled, Value
from cairn.engine.cache import cache_parts, component_digest, digest, key_of
from cairn.engine.claims import claim_warnings, is_claim, settle_claim
from cairn.engine.decide import Finished, Iterate, Skip, Unfold
from cairn.engine.devices import with_devices
from cairn.engine.final_status import final_status, success_spelling
from cairn.engine.fit import fit, resources_of
from cairn.engine.gangs import (
    Gang,
    gang_of,
    job_variables,
    mentioned_buckets,
    output_directories,
    pool_key,
    processes_of,
    with_addresses,
)
from cairn.engine.importer import import_artifact
from cairn.engine.layout import HYPERTUNE_FILE, AttemptLayout, attempt_layout, workspace_directory
from cairn.engine.platform import PlatformSettings, platform_settings
from cairn.engine.ports import (
    NATIVE,
    NATIVE_ENVIRONMENT,
    Environment,
    EnvironmentPlan,
    NativeCall,
    ProcessSpec,
    StartAttempt,
    StepSurroundings,
)
from cairn.engine.resolve import failure_of, loop_items, resolve_inputs
from cairn.engine.services import Services
from cairn.engine.tree import TaskNode
from cairn.errors import CairnError, StepError, UnsupportedFeature
from cairn.spec.conditions import compile_condition
from cairn.spec.placeholders import CommandTemplate, PlaceholderContext, compile_command, resolve_value
from cairn.spec.types import ContainerSpec, ImporterSpec, NativeSpec, Pipeline

WORKSPACE_PATH = "/kfp-workspace"
_NOTHING_AROUND = StepSurroundings()


class LeafPlan:
    """What all instances of one component have in common."""

    __slots__ = (
        "container", "env", "environment", "fixed_gang", "fixed_resources", "native", "parts", "plan", "pools",
        "template",
    )  # fmt: skip

    def __init__(self, executor: ContainerSpec | NativeSpec, plan: EnvironmentPlan) -> None:
        self.native = executor if isinstance(executor, NativeSpec) else None
        self.container = container = executor.container if isinstance(executor, NativeSpec) else executor
        self.plan = plan
        words = plan.call.arguments if plan.call else plan.command or (*container.command, *container.args)
        self.template: CommandTemplate = compile_command(self.native.arguments if self.native else words)
        self.env = container.env
        self.environment: Environment | None = NATIVE_ENVIRONMENT if self.native else None
        self.parts: dict[str, str] = {}
        self.fixed_resources: Resources | None = None
        self.fixed_gang: Gang | None = None
        self.pools: dict[str, LeafPlan] = {}  # of a custom job, by the keys of their plans: its other worker pools


class Ready:
    """A leaf whose inputs are resolved."""

    __slots__ = ("comparison", "identity", "inputs", "leaf", "outputs", "task", "waited")

    def __init__(self, task: TaskNode, inputs: TaskInputs, leaf: LeafPlan) -> None:
        self.task = task
        self.inputs = inputs
        self.leaf = leaf
        self.comparison: CacheComparison | None = None
        self.waited = False  # for another run's: its record says so still
        self.identity: str | None = None  # of what a native step starts, once it was asked for


class Attempt:
    """One attempt on its way: what to start, and where its outputs will be."""

    __slots__ = ("context", "gang", "layout", "number", "output_uris", "ready", "request", "wait_until")

    def __init__(self, ready: Ready, number: int, layout: AttemptLayout, context: PlaceholderContext) -> None:
        self.ready = ready
        self.number = number
        self.layout = layout
        self.context = context
        self.output_uris: dict[str, str] = {}
        self.request: StartAttempt | None = None
        self.gang: Gang | None = None  # of a custom job
        self.wait_until = math.inf  # on the monotonic clock: not admitted by then, it fails


Outcome: TypeAlias = Skip | Unfold | Iterate | Finished | Ready


class Driver:
    """Drives the tasks of one run."""

    def __init__(
        self,
        run: Run,
        pipeline: Pipeline,
        services: Services,
        plans: Mapping[str, EnvironmentPlan],
        machine: Capacity,
    ) -> None:
        self.run = run
        self.pipeline = pipeline
        self.services = services
        self.machine = machine
        self.warnings: list[str] = list(run.warnings)
        self.leaves = {
            name: LeafPlan(component.executor, plans[name])
            for name, component in pipeline.components.items()
            if isinstance(component.executor, (ContainerSpec, NativeSpec)) and name in plans
        }
        for name, leaf in list(self.leaves.items()):
            if leaf.native is None and leaf.container.job is not None:
                for pool in leaf.container.job.pools[1:]:
                    key = pool_key(name, pool)
                    self.leaves[key] = leaf.pools[key] = LeafPlan(pool.container, plans[key])
        self.root = run.pipeline_root or pipeline.default_root or services.default_root
        self.scope = f"{run.project}/{run.location}/{run.pipeline_name}"
        self.resource_name = f"projects/{run.project}/locations/{run.location}/pipelineJobs/{run.job_id}"
        self._workspace = workspace_directory(services.runs_directory, run) if pipeline.workspace else ""
        self._identities: dict[str, str] = {}
        self._success = success_spelling(pipeline)

    # --- resolving ---------------------------------------------------------------------------------------------------

    def resolve(self, task: TaskNode) -> Outcome:
        """Inputs, condition, and what kind of task it is. A step's own faults come back as a failed Finished."""
        try:
            inputs = resolve_inputs(task, self._unspill, self._substituter(task), self._status_of)
            if task.spec.condition:
                condition = compile_condition(task.spec.condition)
                if not condition.evaluate(inputs.parameters):
                    return Skip(task, f"its condition is false: {task.spec.condition}")
            if task.kind == "loop":
                return Iterate(task, inputs, loop_items(task, inputs))
            if task.kind == "dag":
                return Unfold(task, inputs)
            task.inputs = inputs
            if isinstance(task.component.executor, ImporterSpec):
                return self._import(task, inputs)
            if is_claim(task.component):
                outputs = settle_claim(task.component, inputs, self.run, self.services.secrets)
                for warning in claim_warnings(inputs):
                    self.warn(warning)
                return Finished(task, TaskState.SUCCEEDED, outputs)
            return Ready(task, inputs, self.leaves[task.spec.component])
        except CairnError as error:
            step_error = error if isinstance(error, StepError) else StepError(error.message, remedy=error.remedy)
            return Finished(task, TaskState.FAILED, None, failure_of(step_error, task.path))

    def _unspill(self, spilled: Spilled) -> Value:
        return msgspec.json.decode(self.services.store.unspill(spilled))

    def _status_of(self, task: TaskNode) -> dict[str, Any]:
        return final_status(
            task,
            resource_name=self.resource_name,
            job_name=self.run.job_id,
            job_uuid=self.run.uid,
            success=self._success,
        )

    def _substituter(self, task: TaskNode) -> Any:
        def substitute(constant: Value, values: Mapping[str, Value]) -> Value:
            if not _holds_placeholder(constant):
                return constant
            return resolve_value(constant, self._context(task, {"inputs": {"parameterValues": dict(values)}}))

        return substitute

    def _context(self, task: TaskNode, executor_input: dict[str, Any], root: str = "") -> PlaceholderContext:
        return PlaceholderContext(
            executor_input=executor_input,
            path_of=self.services.store.step_path_of,
            job_name=self.run.job_id,
            job_uuid=self.run.uid,
            job_resource_name=self.run.job_id if self.run.project == "default" else self.resource_name,
            task_name=task.spec.name,
            task_uuid=task.uid,
            pipeline_root=root or self.root,
            create_time=self.run.create_time,
            schedule_time=self.run.schedule_time or self.run.create_time,
            workspace_path=self._workspace,
            project=self.run.project,
            location=self.run.location,
        )

    def _import(self, task: TaskNode, inputs: TaskInputs) -> Finished:
        spec = task.component.executor
        assert isinstance(spec, ImporterSpec)
        context = self._context(task, {"inputs": {"parameterValues": dict(inputs.parameters)}})
        artifact = import_artifact(task, spec, inputs, context, self.services, self.run, self._workspace)
        if artifact.create_time < self.run.create_time and self.run.settings.use_cache:
            task.cached = True  # an earlier run's artifact was taken
            task.payload = CacheComparison({}, "", "hit", f"artifact {artifact.id} of the same URI, type and content")
        key = next(iter(task.component.output_artifacts), "artifact")
        return Finished(task, TaskState.SUCCEEDED, TaskOutputs({}, {key: (artifact,)}))

    # --- identity and caching ----------------------------------------------------------------------------------------

    def identity(self, task: TaskNode) -> str:
        """Digest of the task's own definition: what `resume` with an edited pipeline compares."""
        known = self._identities.get(task.spec.component)
        if known is None:
            known = self._identities[task.spec.component] = (
                component_digest(task.component)
                if isinstance(task.component.executor, (ContainerSpec, NativeSpec))
                else digest(task.component.executor)
            )
        return known

    def wants_cache(self, ready: Ready) -> bool:
        spec = ready.task.spec
        if not self.run.settings.use_cache or not (spec.cache or spec.cache_key):
            return False
        return bool(self._environment_identity(ready)) or bool(spec.cache_key)

    def _environment_identity(self, ready: Ready) -> str:
        environment = ready.leaf.environment
        if ready.leaf.native is None or self.services.native is None:
            return environment.identity if environment else ""
        if ready.identity is None:
            attempt = self.attempt(ready, 1)
            ready.identity = self.services.native().identity(self._native_call(attempt, ""))
        return ready.identity

    def lookup(self, batch: Sequence[Ready]) -> list[Finished]:
        """Which of these have a result already. Sets `comparison` on the others."""
        keys: dict[str, Ready] = {}
        found: list[Finished] = []
        wanted: list[tuple[str, Ready]] = []
        for ready in batch:
            if not self.wants_cache(ready):
                ready.comparison = CacheComparison({}, "", "off", _why_off(self.run, ready))
                continue
            parts = cache_parts(self._static_parts(ready), ready.inputs, ready.task.spec.cache_key)
            key = key_of(parts)
            ready.comparison = CacheComparison(parts, key, "miss")
            wanted.append((key, ready))
            keys[key] = ready
        if not wanted:
            return found
        ttl = self.run.settings.cache_ttl_seconds
        oldest = self.services.clock.now() - ttl * 1_000_000 if ttl else 0
        entries = self.services.records.cached(self.scope, list(keys), not_before=oldest)
        for key, ready in wanted:
            entry = entries.get(key)
            assert ready.comparison is not None
            if entry is not None and self.intact(entry.outputs):
                reason = f"the result of {entry.path} of run {entry.run_uid}"
                ready.task.cached = True
                ready.task.payload = CacheComparison(
                    ready.comparison.parts, key, "hit", reason, entry.run_uid, entry.path
                )
                found.append(Finished(ready.task, TaskState.SUCCEEDED, entry.outputs))
            else:
                verdict = "refused" if entry is not None else "miss"
                ready.comparison = CacheComparison(ready.comparison.parts, key, verdict)
        return found

    def _static_parts(self, ready: Ready) -> dict[str, str]:
        leaf = ready.leaf
        if leaf.parts and leaf.native is None:
            return leaf.parts
        leaf.parts = {
            "component": self.identity(ready.task),
            "environment": self._environment_identity(ready) or leaf.container.image,
        }
        return leaf.parts

    def intact(self, outputs: TaskOutputs) -> bool:
        """Whether the bytes of recorded outputs still are what was recorded."""
        full = self.run.settings.verify_cache
        for artifacts in outputs.artifacts.values():
            for artifact in artifacts:
                known = artifact.fingerprint
                if known is not None and not self.services.store.unchanged(artifact.uri, known, full=full):
                    return False
        return True

    # --- attempts ----------------------------------------------------------------------------------------------------

    def executor_input(self, task: TaskNode, inputs: TaskInputs, layout: AttemptLayout) -> dict[str, Any]:
        """ml_pipelines.ExecutorInput as JSON; paths and URIs as the step sees them."""
        step_path = self.services.store.step_path_of
        outputs: dict[str, Any] = {}
        if task.component.output_parameters:
            outputs["parameters"] = {
                name: {"outputFile": f"{layout.parameters}/{name}"} for name in task.component.output_parameters
            }
        if task.component.output_artifacts:
            outputs["artifacts"] = {
                name: {
                    "artifacts": [
                        {
                            "name": name,
                            "type": _type_json(spec.type),
                            "uri": layout.artifact_uri(name),
                            "metadata": spec.metadata,
                        }
                    ]
                }
                for name, spec in task.component.output_artifacts.items()
            }
        outputs["outputFile"] = step_path(layout.output_file)
        given: dict[str, Any] = {}
        mounted = bool(self._workspace) and self._can_mount(self.leaves[task.spec.component])
        if inputs.parameters:
            given["parameterValues"] = inputs.parameters
        if inputs.artifacts:
            given["artifacts"] = {
                name: {"artifacts": [artifact_json(artifact, mounted=mounted) for artifact in artifacts]}
                for name, artifacts in inputs.artifacts.items()
            }
        return {"inputs": given, "outputs": outputs}

    def attempt(self, ready: Ready, number: int) -> Attempt:
        """Lay the attempt out; the same for an attempt that is adopted."""
        task = ready.task
        layout = attempt_layout(self.services.runs_directory, self.root, self.run, task.path, number)
        context = self._context(task, self.executor_input(task, ready.inputs, layout))
        attempt = Attempt(ready, number, layout, context)
        attempt.output_uris = {name: layout.artifact_uri(name) for name in task.component.output_artifacts}
        return attempt

    def request(self, attempt: Attempt, uid: str) -> StartAttempt:
        """What the executor is to start. Raises InputRefused for a resource that cannot be read or honoured."""
        ready, leaf, context = attempt.ready, attempt.ready.leaf, attempt.context
        assert leaf.environment is not None
        if leaf.native is not None:
            attempt.request = self._native_request(attempt, uid)
            return attempt.request
        around = self._surroundings(attempt, uid)
        settings = platform_settings(ready.task, ready.inputs, attempt.layout, uid, self.services)
        links = self._links(attempt, settings)
        directories = [*self._output_directories(attempt), *settings.directories]
        first = self._process(attempt, leaf, around, settings, links)
        processes: tuple[ProcessSpec, ...] = (first,)
        resources: Resources | None = None
        if leaf.container.job is not None:
            attempt.gang = gang = self._gang(ready, context)
            others = [self._process(attempt, pool, around, settings, links) for pool in leaf.pools.values()]
            by_pool = dict(zip((pool.index for pool in gang.job.pools), (first, *others), strict=True))
            processes, resources = processes_of(gang, by_pool), gang.total
            outputs = map(self.services.store.path_of, output_directories(gang.job, context.text))
            directories += [path for path in outputs if path is not None]
            directories.append(os.path.dirname(f"{attempt.layout.directory}/{HYPERTUNE_FILE}"))
        attempt.request = StartAttempt(
            uid=uid,
            directory=attempt.layout.directory,
            processes=processes,
            resources=resources or self.resources(ready, context),
            timeout_seconds=float(ready.task.component.platform.active_deadline_seconds),
            create_directories=tuple(directories),
            files=(*around.files, *_output_files(leaf, attempt)),
            executor=leaf.environment.executor,
            chief_decides=attempt.gang is not None,
        )
        return attempt.request

    def _process(
        self,
        attempt: Attempt,
        leaf: LeafPlan,
        around: StepSurroundings,
        settings: PlatformSettings,
        links: tuple[tuple[str, str], ...],
    ) -> ProcessSpec:
        """`leaf`: the step's own, or that of one of its worker pools."""
        ready, context = attempt.ready, attempt.context
        assert leaf.environment is not None
        words = leaf.template.resolve(context)
        variables = dict(around.variables)
        job = ready.leaf.container.job
        if job is not None:
            variables.update(job_variables(job, self.run, ready.task.uid, context.text))
            if leaf is ready.leaf:  # of the chief's pool: the file is written anew with each report
                variables["CLOUD_ML_HP_METRIC_FILE"] = f"{attempt.layout.directory}/{HYPERTUNE_FILE}"
        variables.update({name: context.text(value) for name, value in leaf.env.items()})
        variables.update(settings.variables)
        variables.setdefault("CAIRN_RUN", self.run.uid)
        variables.setdefault("CAIRN_TASK", ready.task.path)
        call = leaf.plan.call
        return ProcessSpec(
            argv=() if call else words,
            environment=leaf.environment,
            variables=variables,
            call_source=call.source if call else "",
            call_arguments=words if call else (),
            links=links,
            secret_variables={**around.secret_variables, **settings.secret_variables},
            reads=self._reads(ready) if leaf.environment.image is not None else (),
        )

    def settled(self, attempt: Attempt, devices: Sequence[int], ports: Sequence[int]) -> StartAttempt:
        """The request as it is started, once the machine has given it what it asked for. `ports`: `gang_ports` many."""
        request = attempt.request
        assert request is not None
        if attempt.gang is not None:
            request = with_addresses(request, attempt.gang, ports, self.run)
        if devices:
            request = with_devices(request, devices)
        return request

    def _gang(self, ready: Ready, context: PlaceholderContext) -> Gang:
        leaf = ready.leaf
        if leaf.fixed_gang is None:
            found = gang_of(
                leaf.container,
                lambda container: resources_of(container.resources, context.text),
                self.machine,
                strict=self.run.settings.strict,
                component=ready.task.component.name,
            )
            for warning in found.warnings:
                self.warn(warning)
            containers = [leaf.container, *(pool.container for pool in leaf.pools.values())]
            if any("{{" in "".join(msgspec.structs.astuple(each.resources)) for each in containers):
                return found
            leaf.fixed_gang = found
        return leaf.fixed_gang

    def _native_call(self, attempt: Attempt, key: str) -> NativeCall:
        ready, leaf = attempt.ready, attempt.ready.leaf
        assert leaf.native is not None
        return NativeCall(
            kind=leaf.native.type,
            arguments=leaf.template.resolve(attempt.context),
            project=self.run.project,
            location=self.run.location,
            run_uid=self.run.uid,
            task_path=ready.task.path,
            key=key,
            settings=msgspec.to_builtins(self.run.settings),
            variables={name: attempt.context.text(value) for name, value in leaf.env.items()},
        )

    def _native_request(self, attempt: Attempt, uid: str) -> StartAttempt:
        """It holds nothing of the machine: what it has started does."""
        ready = attempt.ready
        return StartAttempt(
            uid=uid,
            directory=attempt.layout.directory,
            processes=(),
            resources=Resources(cpu_millis=0),
            timeout_seconds=float(ready.task.component.platform.active_deadline_seconds),
            create_directories=tuple(self._output_directories(attempt)),
            native=self._native_call(attempt, uid),
            executor=NATIVE,
        )

    def _output_directories(self, attempt: Attempt) -> list[str]:
        directories: list[str] = []
        task_root = self.services.store.path_of(attempt.layout.task_root)
        if task_root is not None:
            directories.append(task_root)
        if attempt.ready.task.component.output_parameters:
            directories.append(attempt.layout.parameters)
        return directories

    def _reads(self, ready: Ready) -> tuple[str, ...]:
        """What a container is shown: the store, for a parameter may name anything in it, and what lies elsewhere."""
        root = self.services.store.path_of(self.root)
        paths = {self.services.default_root, root or self.services.default_root}
        for artifacts in ready.inputs.artifacts.values():
            paths.update(path for path in map(self.services.store.path_of, (a.uri for a in artifacts)) if path)
        return tuple(sorted(paths))

    def _surroundings(self, attempt: Attempt, uid: str) -> StepSurroundings:
        if self.services.surroundings is None:
            return _NOTHING_AROUND
        return self.services.surroundings.of_attempt(uid, self.run.project, attempt.layout.directory)

    def _links(self, attempt: Attempt, settings: PlatformSettings) -> tuple[tuple[str, str], ...]:
        uris = [attempt.layout.task_root]
        uris += [artifact.uri for artifacts in attempt.ready.inputs.artifacts.values() for artifact in artifacts]
        uris += [value for value in attempt.ready.leaf.env.values() if value.startswith(_BUCKET_PREFIXES)]
        uris += self._buckets_of_job(attempt)
        links = [*settings.links]
        if any("://" in uri for uri in uris) or _mentions_bucket(attempt.ready.inputs.parameters):
            links += self.services.store.mounts(uris, self.run.project)
        if links and not self._can_mount(attempt.ready.leaf):
            seen = ", ".join(path for path, _ in links)
            raise UnsupportedFeature(
                f"the step wants to see {seen}, and this machine grants no private mounts",
                place=attempt.ready.task.path,
                remedy="allow unprivileged user namespaces, or run Cairn as root",
            )
        if self._workspace:
            os.makedirs(self._workspace, exist_ok=True)
            if self._can_mount(attempt.ready.leaf):
                links.append((WORKSPACE_PATH, self._workspace))
        return tuple(links)

    def _buckets_of_job(self, attempt: Attempt) -> list[str]:
        """A job sees every bucket that it names, wherever it names it, as on Vertex AI."""
        leaf, text = attempt.ready.leaf, attempt.context.text
        if leaf.container.job is None:
            return []
        words = output_directories(leaf.container.job, text)
        for each in (leaf, *leaf.pools.values()):
            words += [*each.template.resolve(attempt.context), *map(text, each.env.values())]
            words += [*each.container.command, *each.container.args]
        return mentioned_buckets(words)

    def _can_mount(self, leaf: LeafPlan) -> bool:
        return self.services.executor.can_mount(leaf.plan.executor)

    def resources(self, ready: Ready, context: PlaceholderContext) -> Resources:
        leaf = ready.leaf
        if leaf.fixed_resources is None:
            wanted = resources_of(leaf.container.resources, context.text)
            fitted, warnings = fit(
                wanted, self.machine, strict=self.run.settings.strict, component=ready.task.component.name
            )
            for warning in warnings:
                self.warn(warning)
            if "{{" in "".join(msgspec.structs.astuple(leaf.container.resources)):
                return fitted
            leaf.fixed_resources = fitted
        return leaf.fixed_resources

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


def _output_files(leaf: LeafPlan, attempt: Attempt) -> list[tuple[str, bytes]]:
    return [
        (f"{attempt.layout.parameters}/{name}", attempt.context.text(text).encode())
        for name, text in leaf.container.output_files.items()
    ]


def artifact_json(artifact: Artifact, *, mounted: bool = False) -> dict[str, Any]:
    """ml_pipelines.RuntimeArtifact as JSON. `mounted`: the step sees the workspace under its usual path."""
    found: dict[str, Any] = {
        "name": artifact.display_name,
        "type": _type_json(artifact.type),
        "uri": artifact.uri,
        "metadata": artifact.metadata,
    }
    if artifact.custom_path:  # downloaded into the workspace
        found["customPath"] = artifact.custom_path
        if mounted:
            found["metadata"] = {**artifact.metadata, "_kfp_workspace": True}  # what kfp.dsl goes by
    return found


def _type_json(kind: Any) -> dict[str, str]:
    if kind.instance_schema:
        return {"instanceSchema": kind.instance_schema}
    if kind.schema_uri:
        return {"schemaUri": kind.schema_uri}
    return {"schemaTitle": kind.schema_title, "schemaVersion": kind.schema_version}


def _holds_placeholder(value: Value) -> bool:
    if isinstance(value, str):
        return "{{" in value or WORKSPACE_PATH in value
    if isinstance(value, list):
        return any(map(_holds_placeholder, value))
    if isinstance(value, dict):
        return any(map(_holds_placeholder, value.values())) or any(map(_holds_placeholder, value))
    return False


_BUCKET_PREFIXES = ("gs://", "s3://", "minio://", "/gcs/", "/s3/", "/minio/")


def _mentions_bucket(values: Mapping[str, Value]) -> bool:
    return any(isinstance(value, str) and value.startswith(_BUCKET_PREFIXES) for value in values.values())


def _why_off(run: Run, ready: Ready) -> str:
    if not run.settings.use_cache:
        return "caching is off for this run (--no-cache)"
    if not ready.task.spec.cache:
        return "the pipeline switches caching off for this task"
    return "a command on this machine itself is cached only on request: give the task a cache key"


def not_started(task: TaskNode, error: CairnError) -> Finished:
    """A leaf that fails before anything of it was started."""
    failure = Failure(error.message, kind=type(error).__name__, place=error.place or task.path, remedy=error.remedy)
    return Finished(task, TaskState.FAILED, None, failure)


def waited_too_long(attempt: Attempt) -> Finished:
    """A custom job that the machine had no room for in the time that it gives."""
    job = attempt.ready.leaf.container.job
    seconds = job.max_wait_seconds if job is not None else 0
    failure = Failure(
        f"the machine had no room for it within {seconds} seconds (maxWaitDuration)",
        kind="DeadlineExceeded",
        code=4,
        place=attempt.ready.task.path,
        remedy="let it wait longer, or ask for less",
    )
    return Finished(attempt.ready.task, TaskState.FAILED, None, failure)
