"""From a leaf whose inputs are known to what the executor is to start: its processes, what they see and ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import msgspec

from cairn.domain.resources import Capacity, Resources
from cairn.domain.runs import Run
from cairn.domain.values import Value
from cairn.engine.devices import with_devices
from cairn.engine.fit import fit, resources_of
from cairn.engine.gangs import (
    Gang,
    gang_of,
    job_variables,
    mentioned_buckets,
    output_directories,
    processes_of,
    with_addresses,
)
from cairn.engine.layout import HYPERTUNE_FILE
from cairn.engine.leaves import Attempt, LeafPlan, Ready
from cairn.engine.platform import PlatformSettings, platform_settings
from cairn.engine.ports import NATIVE, NATIVE_OUTPUTS, NativeCall, ProcessSpec, StartAttempt, StepSurroundings
from cairn.engine.services import Services
from cairn.errors import InputRefused, NotFound, UnsupportedFeature
from cairn.spec.placeholders import PlaceholderContext

WORKSPACE_PATH = "/kfp-workspace"
_NOTHING_AROUND = StepSurroundings()


class Requests:
    """Makes those of one run. `root` is its pipeline root, `workspace` the directory of its workspace or ""; `warn` is
    told what is not as it was asked for."""

    def __init__(
        self,
        run: Run,
        services: Services,
        machine: Capacity,
        root: str,
        workspace: str,
        warn: Callable[[str], None],
    ) -> None:
        self.run = run
        self.services = services
        self.machine = machine
        self.root = root
        self.warn = warn
        self._workspace = workspace

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
            uris = [self._shown(uri, ready) for uri in output_directories(gang.job, context.text)]
            outputs = map(self.services.store.path_of, uris)
            directories += [path for path in outputs if path is not None]
            directories.append(os.path.dirname(f"{attempt.layout.directory}/{HYPERTUNE_FILE}"))
            directories += self.run.client.get(NATIVE_OUTPUTS) or ()
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

    def native_call(self, attempt: Attempt, key: str) -> NativeCall:
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
            outputs=tuple(self._output_directories(attempt)),
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
            native=self.native_call(attempt, uid),
            executor=NATIVE,
        )

    def _output_directories(self, attempt: Attempt) -> list[str]:
        directories: list[str] = []
        task_root = self.services.store.path_of(self._shown(attempt.layout.task_root, attempt.ready))
        if task_root is not None:
            directories.append(task_root)
        if attempt.ready.task.component.output_parameters:
            directories.append(attempt.layout.parameters)
        return directories

    def _shown(self, uri: str, ready: Ready) -> str:
        if not self.services.store.shows(uri, self.run.project):
            words = f"there is no bucket for {uri} in project {self.run.project}"
            raise InputRefused(words, place=ready.task.path, remedy="write to a bucket of the project")
        return uri

    def _reads(self, ready: Ready) -> tuple[str, ...]:
        """What a container is shown: the store, for a parameter may name anything in it, and what lies elsewhere. Where
        projects are kept apart, only the run's own part of it."""
        store, run = self.services.store, self.run
        root = store.path_of(self.root) or self.services.default_root
        paths = (
            {f"{root}/{run.pipeline_name}/{run.uid}"} if store.projects_apart else {self.services.default_root, root}
        )
        for artifacts in ready.inputs.artifacts.values():
            for artifact in artifacts:
                path = store.path_of(artifact.uri)
                if path is None:
                    continue
                if not (store.shows(artifact.uri, run.project) and self._is_of_the_project(path)):
                    raise InputRefused(
                        f"its input {artifact.uri} is not project {run.project}'s to read",
                        place=ready.task.path,
                        remedy="import it from one of the project's buckets",
                    )
                paths.add(path)
        return tuple(sorted(paths))

    def _is_of_the_project(self, path: str) -> bool:
        """Whether it lies in the home, and in the store (ROOT/PIPELINE/RUN/…) in what a run of this project left."""
        if not self.services.store.projects_apart:
            return True
        if not self.services.store.holds(path):
            return False
        below = os.path.relpath(path, self.services.default_root).split("/")
        if below[0] == ".." or len(below) < 2:
            return True
        try:
            return self.services.records.run(below[1]).project == self.run.project
        except NotFound:
            return False

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
        if any("://" in uri for uri in uris):
            links += self.services.store.mounts(uris, self.run.project)
        if links and not self.can_mount(attempt.ready.leaf):
            seen = ", ".join(path for path, _ in links)
            raise UnsupportedFeature(
                f"the step wants to see {seen}, and this machine grants no private mounts",
                place=attempt.ready.task.path,
                remedy="allow unprivileged user namespaces, or run Cairn as root",
            )
        links += self._all_buckets(attempt, links)
        if self._workspace:
            os.makedirs(self._workspace, exist_ok=True)
            if self.can_mount(attempt.ready.leaf):
                links.append((WORKSPACE_PATH, self._workspace))
        return tuple(links)

    def _all_buckets(self, attempt: Attempt, links: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """A job sees all buckets that it may, as on Vertex AI: its code may name them where nobody looks. A step, where
        an input or its code names one."""
        leaf = attempt.ready.leaf
        if leaf.container.job is None and not _names_bucket(attempt):
            return []
        if not self.can_mount(leaf):
            return []
        seen = {path for path, _ in links}
        return [pair for pair in self.services.store.buckets_of(self.run.project) if pair[0] not in seen]

    def _buckets_of_job(self, attempt: Attempt) -> list[str]:
        """Those that it names, and that are made for it. What a text of several lines says need be none."""
        leaf, text = attempt.ready.leaf, attempt.context.text
        if leaf.container.job is None:
            return []
        words = output_directories(leaf.container.job, text)
        for each in (leaf, *leaf.pools.values()):
            words += [*each.template.resolve(attempt.context), *map(text, each.env.values())]
            words += [*each.container.command, *each.container.args]
        return mentioned_buckets([word for word in words if "\n" not in word])

    def can_mount(self, leaf: LeafPlan) -> bool:
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


def _output_files(leaf: LeafPlan, attempt: Attempt) -> list[tuple[str, bytes]]:
    return [
        (f"{attempt.layout.parameters}/{name}", attempt.context.text(text).encode())
        for name, text in leaf.container.output_files.items()
    ]


_BUCKET_PREFIXES = ("gs://", "s3://", "minio://", "/gcs/", "/s3/", "/minio/")


def _names_bucket(attempt: Attempt) -> bool:
    container = attempt.ready.leaf.container
    if any("/gcs/" in word for word in (*container.command, *container.args)):
        return True
    return any(map(_holds_uri, attempt.ready.inputs.parameters.values()))


def _holds_uri(value: Value) -> bool:
    """Also in lists and mappings."""
    if isinstance(value, str):
        return value.startswith(_BUCKET_PREFIXES)
    if isinstance(value, Mapping):
        return any(map(_holds_uri, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_holds_uri, value))
