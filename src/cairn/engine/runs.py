"""Runs as a service: hand one in, take it up, end it. The command line, the API and the SDK all come through here."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from cairn.domain.ids import random_uid
from cairn.domain.lineage import Context
from cairn.domain.resources import Capacity
from cairn.domain.runs import Failure, Run, RunKind, RunSettings, Submission
from cairn.domain.states import RunState
from cairn.domain.values import Value
from cairn.engine.claims import is_claim
from cairn.engine.faultpoints import point
from cairn.engine.fit import fit, resources_of
from cairn.engine.gangs import gang_of, pool_key
from cairn.engine.loop import LEASE_SECONDS, Engine
from cairn.engine.machine import RunMachine
from cairn.engine.ports import NATIVE, Batch, EnvironmentPlan
from cairn.engine.services import Services
from cairn.errors import CairnError, InputRefused, UnsupportedFeature
from cairn.spec.load import load_text
from cairn.spec.parameters import check_artifacts, resolve_parameters
from cairn.spec.types import ComponentSpec, ContainerSpec, CustomJobSpec, ImporterSpec, NativeSpec, Pipeline

MAX_NAME = 300  # characters of a display name, a request id, and of a label and its value
MAX_JOB_ID = 256


class RunService:
    def __init__(self, services: Services, machine: Capacity) -> None:
        self.services = services
        self.machine = machine

    def submit(
        self,
        pipeline: Pipeline,
        submission: Submission,
    ) -> Run:
        """Check everything, then record the run: when this returns, it will not be lost.

        Raises InputRefused (ParameterError, UnsupportedFeature, …) before anything is written.
        """
        _check_names(submission)
        settings = submission.settings
        if pipeline.failure_policy and settings.failure_policy == RunSettings().failure_policy:
            settings = msgspec.structs.replace(settings, failure_policy=pipeline.failure_policy)
        values = resolve_parameters(pipeline, {**pipeline.parameters, **submission.parameters})
        check_artifacts(pipeline, submission.input_artifacts)
        self._check_places(pipeline, submission)
        plans = self.plans(pipeline, settings)
        foreseen, settings = self._foreseen(pipeline, values, settings, plans)
        now = self.services.clock.now()
        uid = submission.uid or random_uid()
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(now // 1_000_000))
        run = Run(
            uid=uid,
            job_id=submission.job_id or f"{pipeline.name}-{stamp}-{uid[:6]}",
            pipeline_name=pipeline.name,
            spec_digest=pipeline.digest,
            state=RunState.PENDING,
            project=submission.project,
            location=submission.location,
            display_name=submission.display_name or submission.job_id or pipeline.display_name,
            description=submission.description,
            parameters=values,
            pipeline_root=submission.pipeline_root or pipeline.default_root,
            settings=settings,
            source=submission.source,
            warnings=tuple(
                dict.fromkeys(
                    (
                        *submission.warnings,
                        *pipeline.warnings,
                        *(w for plan in plans.values() for w in plan.warnings),
                        *foreseen,
                    )
                )
            ),
            labels=submission.labels,
            owner=submission.owner,
            request_id=submission.request_id,
            input_artifacts=submission.input_artifacts,
            schedule=submission.schedule,
            schedule_time=submission.schedule_time,
            experiment=submission.experiment,
            client=submission.client,
            configuration=submission.configuration,
            kind=submission.kind,
            parent=submission.parent,
            create_time=now,
            update_time=now,
        )
        point("before:run.pending")
        contexts = (
            Context(pipeline.name, "system.Pipeline", pipeline.display_name, create_time=now),
            Context(run.job_id, "system.PipelineRun", run.job_id, parents=(pipeline.name,), create_time=now),
        )
        run = self.services.journal.create_run(run, pipeline.text, contexts)
        point("after:run.pending")
        return run

    def plans(self, pipeline: Pipeline, settings: RunSettings) -> dict[str, EnvironmentPlan]:
        """Where each container component will run, by component. Raises UnsupportedFeature for one that cannot."""
        images = [(mapping.pattern, mapping.target) for mapping in settings.images]
        plans: dict[str, EnvironmentPlan] = {}
        for name in used_components(pipeline):
            component = pipeline.components[name]
            if isinstance(component.executor, CustomJobSpec):
                refused = component.executor
                raise UnsupportedFeature(refused.refusal, place=f"components.{name}", remedy=refused.remedy)
            if isinstance(component.executor, NativeSpec):
                if component.executor.refusal:
                    raise UnsupportedFeature(
                        component.executor.refusal, place=f"components.{name}", remedy=component.executor.remedy
                    )
                plans[name] = EnvironmentPlan(name, None, None, executor=NATIVE)
            if isinstance(component.executor, ContainerSpec) and not is_claim(component):
                plans.update(self._container_plans(component, component.executor, settings, images))
        return plans

    def _foreseen(
        self, pipeline: Pipeline, values: dict[str, Value], settings: RunSettings, plans: dict[str, EnvironmentPlan]
    ) -> tuple[tuple[str, ...], RunSettings]:
        """Warnings about what native steps are going to start, and the settings with what it is to run in: the same
        code and images as the pipeline's own, whatever becomes of them meanwhile. Raises InputRefused for what could
        not run."""
        if self.services.native is None or not any(plan.executor == NATIVE for plan in plans.values()):
            return (), settings
        pins = {**self.pins(plans), **settings.pins}
        foreseen = self.services.native().check(pipeline, values, msgspec.structs.replace(settings, pins=pins))
        pins |= foreseen.pins
        if not foreseen.whole and not settings.in_place:
            images = [(mapping.pattern, mapping.target) for mapping in settings.images]
            pins = {**self.services.environments.pinned_projects(images), **pins}
        return foreseen.warnings, msgspec.structs.replace(settings, pins=pins)

    def pins(self, plans: Mapping[str, EnvironmentPlan]) -> dict[str, str]:
        """`RunSettings.pins` of what was planned."""
        return self.services.environments.pins(plans.values())

    def _container_plans(
        self, component: ComponentSpec, container: ContainerSpec, settings: RunSettings, images: list[tuple[str, str]]
    ) -> dict[str, EnvironmentPlan]:
        """Of a step, and of every worker pool of a custom job."""
        name, job = component.name, container.job
        wanted = {name: container}
        wanted.update({pool_key(name, pool): pool.container for pool in (job.pools[1:] if job else ())})
        plans = {
            key: self.services.environments.plan(
                key,
                each,
                images,
                executor=settings.executor,
                strict=settings.strict,
                in_place=settings.in_place,
                pins=settings.pins,
            )
            for key, each in wanted.items()
        }
        for plan in plans.values():
            self._check_mounts(component, plan)
            if plan.executor != plans[name].executor:
                raise UnsupportedFeature(
                    "the worker pools of one job run by one executor, and these would run by "
                    + " and ".join(sorted({plan.executor for plan in plans.values()})),
                    place=f"components.{name}",
                    remedy="give their images the same target with --image",
                )
        if settings.strict and "{{" not in "".join(
            part for each in wanted.values() for part in msgspec.structs.astuple(each.resources)
        ):
            self._check_fit(name, container)
        return plans

    def _check_fit(self, name: str, container: ContainerSpec) -> None:
        """Raises UnsupportedFeature for what exceeds the machine."""
        if container.job is None:
            fit(resources_of(container.resources, str), self.machine, strict=True, component=name)
            return
        gang_of(container, lambda each: resources_of(each.resources, str), self.machine, strict=True, component=name)

    def _check_places(self, pipeline: Pipeline, submission: Submission) -> None:
        """What the engine is to read and write, as far as it is known now."""
        check = self.services.store.check
        root = submission.pipeline_root or pipeline.default_root
        check(root, "pipeline_root")
        if root and "{{" not in root and self.services.store.path_of(root) is None:
            raise InputRefused(
                f"steps cannot write to {root!r}",
                place="pipeline_root",
                remedy="write gs://BUCKET/… or an absolute path",
            )
        for name, artifacts in submission.input_artifacts.items():
            for artifact in artifacts:
                check(artifact.uri, f"input_artifacts.{name}")
        for name in used_components(pipeline):
            executor = pipeline.components[name].executor
            if isinstance(executor, ImporterSpec) and executor.uri and "{{" not in executor.uri:
                check(executor.uri, f"components.{name}")
            if self.services.store.projects_apart and isinstance(executor, ContainerSpec):
                self._check_packages(executor, submission.project, f"components.{name}")

    def _check_packages(self, container: ContainerSpec, project: str, place: str) -> None:
        """Packages are read and installed for the step, which sees its project's buckets alone."""
        from cairn.spec.package_words import read_package_words  # no run on its own needs it

        pools = container.job.pools[1:] if container.job else ()
        for each in (container, *(pool.container for pool in pools)):
            found = read_package_words(each.command, each.args)
            for package in found.packages if found is not None else ():
                uri = package.replace("/gcs/", "gs://", 1) if package.startswith("/gcs/") else package
                if uri.startswith(("/", "file:")) or not self.services.store.shows(uri, project):
                    raise InputRefused(f"there is no object {package!r} in project {project}", place=place)

    def _check_mounts(self, component: ComponentSpec, plan: EnvironmentPlan) -> None:
        platform = component.platform
        paths = [
            mount.mount_path for mount in (*platform.secret_volumes, *platform.config_map_volumes, *platform.volumes)
        ]
        paths += [volume.mount_path for volume in (*platform.empty_dirs, *platform.generic_ephemeral)]
        if paths and not self.services.executor.can_mount(plan.executor):
            raise UnsupportedFeature(
                f"wants to see {', '.join(paths)}, and this machine grants no private mounts",
                place=f"components.{component.name}",
                remedy="allow unprivileged user namespaces, or run Cairn as root",
            )

    def pipeline_of(self, run: Run) -> Pipeline:
        return load_text(self.services.records.spec_text(run.spec_digest), origin=f"run {run.job_id}")

    def take(self, engine: Engine, run: Run, *, renewed: bool = False, pipeline: Pipeline | None = None) -> RunMachine:
        """Let `engine` have the run. `renewed`: it ended and is to go on from what did not succeed, with `pipeline` in
        place of its own if one is given. Raises InputRefused when another engine has it, or when it has ended."""
        if run.state.terminal and not renewed:
            raise InputRefused(
                f"run {run.job_id} has ended: {run.state}",
                remedy=f"`cairn runs resume {run.uid[:8]}` takes it up again",
            )
        edited = pipeline is not None and pipeline.digest != run.spec_digest
        pipeline = pipeline or self.pipeline_of(run)
        if edited:
            if pipeline.name != run.pipeline_name:
                raise InputRefused(f"run {run.job_id} is of pipeline {run.pipeline_name!r}, not {pipeline.name!r}")
            values = resolve_parameters(pipeline, run.parameters)
            check_artifacts(pipeline, run.input_artifacts)
            run = msgspec.structs.replace(run, spec_digest=pipeline.digest, parameters=values)
            self.services.journal.add_spec(pipeline.digest, pipeline.text)
        if renewed and run.kind is RunKind.PIPELINE and run.settings.pins:  # as whoever resumes it has it now
            settings = msgspec.structs.replace(run.settings, pins={})
            found = self._foreseen(pipeline, run.parameters, settings, self.plans(pipeline, settings))
            run = msgspec.structs.replace(run, settings=found[1])
        plans = self.plans(pipeline, run.settings)
        return engine.take(run, pipeline, plans, renewed=renewed)

    def give_up(self, run: Run, error: CairnError | None = None) -> None:
        """Record the end of what never began and cannot: as failed, or as cancelled where there is no `error`. Raises
        InputRefused when an engine has it, or it has begun."""
        journal, now = self.services.journal, self.services.clock.now()
        fence = journal.claim(run.uid, self.services.owner, lease_seconds=LEASE_SECONDS)
        try:
            stored = self.services.records.run(run.uid)
            if stored.state is not RunState.PENDING:
                raise InputRefused(f"run {run.job_id} has begun: {stored.state}")
            state, failure = RunState.CANCELLED, None
            if error is not None:
                state = RunState.FAILED
                failure = Failure(error.message, kind=type(error).__name__, place=error.place, remedy=error.remedy)
            ended = msgspec.structs.replace(stored, state=state, error=failure, end_time=now, update_time=now)
            journal.commit(Batch(fences={run.uid: fence}, runs=[ended]))
        finally:
            journal.release(fence)

    def cancel(self, run: Run, *, kill: bool = False) -> None:
        """Ask whichever engine has the run to end it."""
        if run.state.terminal:
            raise InputRefused(f"run {run.job_id} has ended already: {run.state}")
        self.services.journal.request(run.uid, "kill" if kill else "cancel", {})


def _check_names(submission: Submission) -> None:
    """What lists are looked up by: PostgreSQL takes no NUL, and 2704 bytes in an index. Raises InputRefused."""
    texts = [("display_name", submission.display_name), ("request_id", submission.request_id)]
    texts += [(f"labels.{name[:40]}", part) for name, value in submission.labels.items() for part in (name, value)]
    for place, text in texts:
        if len(text) > MAX_NAME or "\x00" in text:
            raise InputRefused(f"must be up to {MAX_NAME} characters, without NUL", place=place)
    job_id = submission.job_id
    if len(job_id) > MAX_JOB_ID or not job_id.isprintable() or "/" in job_id:
        raise InputRefused(f"must be up to {MAX_JOB_ID} printable characters, without /", place="job_id")


def used_components(pipeline: Pipeline) -> list[str]:
    """Components that a task refers to, directly or through nested pipelines."""
    found: dict[str, None] = {}
    queue = [pipeline.root]
    while queue:
        dag = queue.pop().dag
        for task in dag.tasks.values() if dag else ():
            if task.component not in found:
                found[task.component] = None
                queue.append(pipeline.components[task.component])
    return list(found)
