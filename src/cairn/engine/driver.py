"""From a task that may run to what has to happen: its inputs, its condition, an earlier result, or an attempt.

The driver reads; it never starts, stops or records anything. Source of the behaviour: kubeflow/pipelines
`backend/src/v2/driver` and the Vertex AI Pipelines documentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from cairn.domain.artifacts import Artifact
from cairn.domain.resources import Capacity
from cairn.domain.runs import CacheComparison, Run, TaskInputs, TaskOutputs
from cairn.domain.states import TaskState
from cairn.domain.values import Spilled, Value
from cairn.engine.cache import cache_parts, component_digest, digest, key_of
from cairn.engine.claims import claim_warnings, is_claim, settle_claim
from cairn.engine.decide import Finished, Iterate, Skip, Unfold
from cairn.engine.final_status import final_status, success_spelling
from cairn.engine.gangs import pool_key
from cairn.engine.importer import import_artifact
from cairn.engine.layout import AttemptLayout, attempt_layout, workspace_directory
from cairn.engine.leaves import Attempt, LeafPlan, Ready, image_key
from cairn.engine.ports import EnvironmentPlan
from cairn.engine.requests import WORKSPACE_PATH, Requests
from cairn.engine.resolve import failure_of, loop_items, resolve_inputs
from cairn.engine.services import Services
from cairn.engine.tree import TaskNode
from cairn.errors import CairnError, StepError
from cairn.spec.conditions import compile_condition
from cairn.spec.placeholders import PlaceholderContext, resolve_value
from cairn.spec.types import ContainerSpec, ImporterSpec, NativeSpec, Pipeline

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
        self.requests = Requests(run, services, machine, self.root, self._workspace, self.warn)
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
            return Ready(task, inputs, self._leaf(task, inputs))
        except CairnError as error:
            step_error = error if isinstance(error, StepError) else StepError(error.message, remedy=error.remedy)
            return Finished(task, TaskState.FAILED, None, failure_of(step_error, task.path))

    def _leaf(self, task: TaskNode, inputs: TaskInputs) -> LeafPlan:
        """The component's; of an image that the task's inputs name, one of its own."""
        component = task.spec.component
        leaf = self.leaves[component]
        if leaf.native is not None or leaf.plan.executor != "docker" or "{{" not in leaf.container.image:
            return leaf
        given = {"inputs": {"parameterValues": inputs.parameters}}
        image = self._context(task, given).text(leaf.container.image)
        key = image_key(component, image)
        if key not in self.leaves:
            settings = self.run.settings
            container = msgspec.structs.replace(leaf.container, image=image)
            plan = self.services.environments.plan(
                component,
                container,
                [(mapping.pattern, mapping.target) for mapping in settings.images],
                executor=settings.executor,
                strict=settings.strict,
                in_place=settings.in_place,
                pins=settings.pins,
            )
            for warning in plan.warnings:
                self.warn(warning)
            self.leaves[key] = LeafPlan(container, plan)
            self.leaves[key].image = image
        return self.leaves[key]

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
            ready.identity = self.services.native().identity(self.requests.native_call(attempt, ""))
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
        mounted = bool(self._workspace) and self.requests.can_mount(self.leaves[task.spec.component])
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

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


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


def _why_off(run: Run, ready: Ready) -> str:
    if not run.settings.use_cache:
        return "caching is off for this run (--no-cache)"
    if not ready.task.spec.cache:
        return "the pipeline switches caching off for this task"
    return "a command on this machine itself is cached only on request: give the task a cache key"
