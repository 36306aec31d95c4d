"""The engine's `Environments` port on uv environments, project snapshots and the machine as it is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import xxhash

from cairn.config.home import Home
from cairn.config.settings import DockerSettings, EnvironmentsSettings
from cairn.engine.ports import Environment, EnvironmentPlan, LightweightCall
from cairn.environments import compilation, interpreters, snapshots, step_variables
from cairn.environments.building import Builder
from cairn.environments.catalogue import BuiltRecord, Catalogue
from cairn.environments.command_shape import DSL_MODULE, Containerized, Install, Lightweight, added_by, recognise
from cairn.environments.holding import Holding
from cairn.environments.identities import identity
from cairn.environments.images import container_of, parse_target, target_of
from cairn.environments.projects import Project, read_project
from cairn.environments.specification import BesideSpec, HostSpec, ImageSpec, ProjectSpec, UvSpec
from cairn.environments.uv_command import Progress
from cairn.errors import ConfigurationError, InputRefused, NoContainerEngine, UnsupportedFeature
from cairn.spec.package_words import PackageRun, read_package_words
from cairn.spec.types import ContainerSpec, JobSpec

if TYPE_CHECKING:
    from cairn.domain.clock import Clock
    from cairn.environments.elsewhere import Portability
    from cairn.environments.image_environments import ImageEnvironments
    from cairn.environments.image_service import ImageRecords, ImageService
    from cairn.environments.specification import ImageFacts

PROJECT_PIN = "project:"  # keys of `RunSettings.pins`
IMAGE_PIN = "image:"


class UvEnvironments:
    """Threads: `plan` and `find` from the engine's loop, `build` from workers, all at once if need be.

    An environment that was handed out is held against collection until this process ends.
    """

    def __init__(
        self, home: Home, settings: EnvironmentsSettings | None = None, docker: DockerSettings | None = None
    ) -> None:
        self.settings = settings or EnvironmentsSettings()
        self._docker = docker or DockerSettings()
        self._home = home.root
        self._buckets = home.buckets
        self.catalogue = Catalogue(home.environments)
        self._cache = home.cache
        self.builder = Builder(self.catalogue, home.cache, self.settings)
        self._holding = Holding(self.catalogue)
        self._environments: dict[BuiltRecord, Environment] = {}
        self._inputs: str | None = None

    @cached_property
    def in_images(self) -> ImageEnvironments:
        from cairn.environments.image_environments import ImageEnvironments  # pipelines without images do not pay

        return ImageEnvironments(
            self._docker,
            self.settings,
            self.catalogue,
            self._holding,
            self._cache,
            lambda install, variables: self.specification("", install, variables),
        )

    def plan(
        self,
        component: str,
        container: ContainerSpec,
        images: Sequence[tuple[str, str]],
        *,
        executor: str = "process",
        strict: bool,
        in_place: bool,
        pins: Mapping[str, str] = MappingProxyType({}),
    ) -> EnvironmentPlan:
        shape = recognise(container.command, container.args)
        inside = container_of(container.image, images, executor)
        if inside is not None and container.job is not None:
            self._check_network(component, container.job)
        run = read_package_words(container.command, container.args) if shape is None else None
        if run is not None:
            return self._plan_packages(
                component, container, run, images, inside, pins, strict=strict, in_place=in_place
            )
        if inside is not None:
            install, words = added_by(shape) if isinstance(shape, Lightweight) else (Install(), ())
            return self.in_images.plan(component, container, inside, install, words, pins.get(IMAGE_PIN + inside, ""))
        if isinstance(shape, Lightweight):
            return self._plan_lightweight(component, container, shape, strict=strict)
        target = target_of(container.image, images)
        if target is None:
            raise NoContainerEngine(
                f"runs in the container image {container.image!r}, and this run has no container engine",
                place=component,
                remedy=f"run it in its image with --executor docker, its command on this machine with "
                f"--image '{container.image}=host', or in an environment of your sources with "
                f"--image '{container.image}=project:DIR'",
            )
        if target.kind == "host":
            return EnvironmentPlan(component, HostSpec(), None)
        return self._plan_project(component, target.directory, shape, pins, strict=strict, in_place=in_place)

    def pins(self, plans: Iterable[EnvironmentPlan]) -> dict[str, str]:
        found: dict[str, str] = {}
        for plan in plans:
            spec = plan.environment_spec
            if isinstance(spec, BesideSpec):
                spec = spec.base
            if isinstance(spec, ProjectSpec) and not spec.in_place:
                found[PROJECT_PIN + spec.directory] = spec.digest
            elif isinstance(spec, ImageSpec) and spec.facts is not None:
                found[IMAGE_PIN + spec.name] = spec.facts.id
        return found

    def pinned_projects(self, images: Sequence[tuple[str, str]]) -> dict[str, str]:
        found: dict[str, str] = {}
        for pattern, target in images:
            if not target.startswith(PROJECT_PIN):
                continue
            with suppress(InputRefused):
                directory = parse_target(target, pattern).directory
                if PROJECT_PIN + directory not in found:
                    found[PROJECT_PIN + directory] = snapshots.take(Path(directory), self.catalogue.snapshots)[1]
        return found

    def identity(self, plan: EnvironmentPlan) -> str:
        return identity(plan.environment_spec)

    def find(self, plan: EnvironmentPlan) -> Environment | None:
        spec = plan.environment_spec
        if isinstance(spec, HostSpec):
            return Environment(key="host", variables=step_variables.for_host())
        if isinstance(spec, ImageSpec):
            return self.in_images.find(spec)
        if isinstance(spec, BesideSpec):
            from cairn.environments import packaged  # jobs alone have packages of their own

            return self.find(EnvironmentPlan(plan.component, spec.base, None)) if packaged.is_beside(spec) else None
        uv_spec = spec.uv if isinstance(spec, ProjectSpec) else spec
        environment = self._find_built(uv_spec.key)
        return _in_project(environment, spec) if environment and isinstance(spec, ProjectSpec) else environment

    def build(self, plan: EnvironmentPlan, progress: Any = None) -> Environment:
        found = self.find(plan)
        if found is not None:
            return found
        spec = plan.environment_spec
        if isinstance(spec, ImageSpec):
            return self.in_images.build(spec, plan.component, progress)
        if isinstance(spec, BesideSpec):
            environment = self.build(EnvironmentPlan(plan.component, spec.base, None), progress)
            self.builder.put_beside(spec, environment.python, self.specification("", Install()), progress)
            return environment
        uv_spec = spec.uv if isinstance(spec, ProjectSpec) else spec
        environment = self._build_and_hold(uv_spec, progress)
        return _in_project(environment, spec) if isinstance(spec, ProjectSpec) else environment

    def compile_environment(
        self, directory: Path, *, packages: Sequence[str] = (), progress: Progress | None = None
    ) -> Environment:
        """A Python with kfp, for pipeline files in `directory`: the user's own if it has kfp and all that the
        directory's dependency file names beside kfp, else one built from that file, else one with the configured kfp
        and `packages`.

        Raises EnvironmentBuildError.
        """
        python = compilation.users_python(directory)
        project = compilation.project_of(directory)
        if python and not packages and not (project and compilation.lacks(python, project)):
            return Environment(key="host", python=python, variables=step_variables.for_python(python))
        install = Install() if project else Install(packages=(f"kfp=={self.settings.kfp}", *packages))
        spec = self.specification(self.settings.default_python or interpreters.default_version(), install)
        if project:
            read = read_project(project)
            spec = msgspec.structs.replace(
                spec,
                python=read.python or spec.python,
                inputs=spec.inputs + read.inputs,
                project=str(project),
                project_file=read.file,
                project_package="editable" if read.is_package else "",
                editable=read.is_package,
            )
        return self._find_built(spec.key) or self._build_and_hold(spec, progress)

    def client_environment(
        self, module: str, package: str, directory: Path, *, progress: Progress | None = None
    ) -> Environment:
        """A Python that has `module` (`google/cloud/aiplatform`): the user's own, as for a file in `directory`, else
        one built with `package`. Raises EnvironmentBuildError."""
        python = compilation.users_python(directory, module=module)
        if python:
            return Environment(key="host", python=python, variables=step_variables.for_python(python))
        version = self.settings.default_python or interpreters.default_version()
        spec = self.specification(version, Install(packages=(package,)))
        return self._find_built(spec.key) or self._build_and_hold(spec, progress)

    def tool_environment(self, packages: Sequence[str], *, progress: Progress | None = None) -> Environment:
        """One with these packages and nothing else: for programs that Cairn runs beside itself. Raises
        EnvironmentBuildError."""
        version = self.settings.default_python or interpreters.default_version()
        spec = self.specification(version, Install(packages=tuple(packages)))
        return self._find_built(spec.key) or self._build_and_hold(spec, progress)

    def image_service(self, records: ImageRecords, clock: Clock) -> ImageService:
        from cairn.environments.image_service import ImageService

        return ImageService(
            records,
            clock,
            self._docker,
            lambda directory: snapshots.take(directory, self.catalogue.snapshots)[0],
            self._install_project,
            lambda: self.settings.default_python or interpreters.default_version(),
        )

    def _install_project(
        self, snapshot: Path, project: Project, facts: ImageFacts, progress: Progress | None
    ) -> Environment:
        """A project's packages, and itself, for an image that is made of both."""
        from cairn.environments.image_making import ENVIRONMENT

        base = self.specification("", Install())
        uv = msgspec.structs.replace(
            base,
            inputs=base.inputs + project.inputs,
            project=str(snapshot),
            project_file=project.file,
            project_package=snapshot.name if project.is_package else "",
            place=ENVIRONMENT,
        )
        return self.in_images.build(ImageSpec(facts.name, facts, packages=uv), facts.name, progress)

    def portability(self, container: ContainerSpec, images: Sequence[tuple[str, str]]) -> Portability:
        """What of a step holds on this machine only. Builds nothing."""
        from cairn.environments import elsewhere

        return elsewhere.portability(container, images)

    def image_portability(self, image: str, images: Sequence[tuple[str, str]]) -> Portability:
        from cairn.environments import elsewhere

        return elsewhere.image_portability(image, images)

    def code_digest(
        self, directory: Path, patterns: Sequence[str], others: Iterable[Path], outputs: Iterable[Path]
    ) -> str:
        """Of the files that a program of the user's is made of: `program_files.code_digest`."""
        from cairn.environments import program_files

        return program_files.code_digest(directory, patterns, others, outputs=(*outputs, self._home))

    def packages_digest(self) -> str:
        """Of this interpreter and the distributions that it finds."""
        from cairn.environments import program_files

        return program_files.packages_digest()

    def specification(self, python: str, install: Install, variables: tuple[tuple[str, str], ...] = ()) -> UvSpec:
        """What the home configures, with what a component asks for over it."""
        settings = self.settings
        return UvSpec(
            python=python,
            packages=install.packages,
            bare=install.bare,
            index_url=install.index_url or settings.index_url,
            extra_index_urls=(*install.extra_index_urls, *settings.extra_index_urls),
            find_links=(*install.find_links, *(os.path.expanduser(place) for place in settings.find_links)),
            trusted_hosts=(*install.trusted_hosts, *settings.trusted_hosts),
            prerelease=install.prerelease,
            constraints=settings.constraints,
            overrides=settings.overrides,
            exclude_newer=settings.exclude_newer,
            offline=settings.offline,
            inputs=self._configured_inputs(),
            variables=variables,
        )

    def _plan_lightweight(
        self, component: str, container: ContainerSpec, shape: Lightweight, *, strict: bool
    ) -> EnvironmentPlan:
        version, warnings = self.choose_python(container.image, component, strict=strict)
        install = shape.install
        unexpanded = "$" in "".join((install.index_url, *install.extra_index_urls))
        spec = msgspec.structs.replace(
            self.specification(version, install, tuple(sorted(container.env.items())) if unexpanded else ()),
            brought=f"kfp=={self.settings.kfp}",
        )
        if not interpreters.is_plain_python(container.image):
            said = f"{component}: runs with the packages it asks for, not in image {container.image}"
            warnings = (*warnings, f"{said}; what else that image holds is missing")
        if shape.module == DSL_MODULE:
            return EnvironmentPlan(component, spec, LightweightCall(shape.source, shape.arguments), warnings)
        return EnvironmentPlan(
            component, spec, None, warnings, command=("sh", "-ec", shape.program, shape.source, *shape.arguments)
        )

    def _check_network(self, component: str, job: JobSpec) -> None:
        """Replicas find one another at addresses of this machine. Raises UnsupportedFeature."""
        network, replicas = self._docker.network, sum(pool.replicas for pool in job.pools)
        if replicas > 1 and network != "host":
            raise UnsupportedFeature(
                f"its {replicas} replicas meet on this machine's own addresses, and [docker] network is {network!r}",
                place=component,
                remedy='set network = "host" in [docker], or run one replica',
            )

    def _plan_packages(
        self,
        component: str,
        container: ContainerSpec,
        run: PackageRun,
        images: Sequence[tuple[str, str]],
        inside: str | None,
        pins: Mapping[str, str],
        *,
        strict: bool,
        in_place: bool,
    ) -> EnvironmentPlan:
        """A training job's packages: in its image, in an environment of their own, or beside what the image is mapped
        to, which then has what they depend on."""
        from cairn.environments import packaged

        archives = packaged.staged(run.packages, self._buckets, self.catalogue.snapshots, component)
        words = ("python3", "-m", run.module, *run.arguments)
        install = Install(packages=archives.requirements)
        if inside is not None:
            return self.in_images.plan(component, container, inside, install, words, pins.get(IMAGE_PIN + inside, ""))
        target = target_of(container.image, images)
        if target is None:
            version, warnings = self.choose_python(container.image, component, strict=strict)
            if not interpreters.is_plain_python(container.image):
                warnings = (*warnings, f"{component}: {packaged.missing_words(container.image)}")
            return EnvironmentPlan(component, self.specification(version, install), None, warnings, command=words)
        if target.kind == "host":
            plan = EnvironmentPlan(component, HostSpec(), None)
        else:
            plan = self._plan_project(component, target.directory, None, pins, strict=strict, in_place=in_place)
        directory = os.fspath(self.catalogue.snapshots / f"{archives.digest}-installed")
        spec = BesideSpec(plan.environment_spec, archives.requirements, directory)
        words = ("sh", "-ec", packaged.WITH_DIRECTORY, directory, *words)
        return msgspec.structs.replace(plan, environment_spec=spec, command=words)

    def choose_python(self, image: str, place: str, *, strict: bool) -> tuple[str, tuple[str, ...]]:
        """(version to build with, warnings). Raises UnsupportedFeature when strict and the machine lacks it."""
        return self._available(interpreters.version_of_image(image), f"image {image}", place, strict=strict)

    def _available(self, wanted: str, origin: str, place: str, *, strict: bool) -> tuple[str, tuple[str, ...]]:
        if not wanted:
            return self.settings.default_python or interpreters.default_version(), ()
        if wanted in interpreters.installed() or self.settings.python_downloads:
            return wanted, ()
        version = interpreters.nearest(wanted)
        said = f"{origin} wants Python {wanted}, which this machine lacks"
        if strict:
            raise UnsupportedFeature(
                said, place=place, remedy=f"install Python {wanted}, or run without --strict to use {version}"
            )
        return version, (f"{place}: {said}; {version} takes its place",)

    def _plan_project(
        self,
        component: str,
        directory: str,
        shape: Containerized | None,
        pins: Mapping[str, str],
        *,
        strict: bool,
        in_place: bool,
    ) -> EnvironmentPlan:
        root = Path(directory)
        if in_place:
            snapshot, digest = root, snapshots.digest_of(root, snapshots.files_of(root))
        else:
            snapshot, digest = self._snapshot(component, root, pins.get(PROJECT_PIN + directory, ""))
        project = read_project(snapshot)
        version, warnings = self._available(project.python, directory, component, strict=strict)
        if project.unread:
            said = f"{component}: {', '.join(project.unread)} in {directory} is not read"
            needed = "nothing else says what it needs: write a requirements.txt, or [project] in a pyproject.toml"
            needed = f"what it needs is taken from {project.file}" if project.file else needed
            warnings = (*warnings, f"{said}; {needed}")
        base = self.specification(version, Install())
        uv = msgspec.structs.replace(
            base,
            # An image made by `kfp component build` holds kfp beside the sources.
            brought=f"kfp=={self.settings.kfp}" if isinstance(shape, Containerized) else "",
            inputs=base.inputs + project.inputs,
            project=str(snapshot),
            project_file=project.file,
            project_package=("editable" if in_place else digest) if project.is_package else "",
            editable=in_place and project.is_package,
        )
        return EnvironmentPlan(component, ProjectSpec(directory, str(snapshot), digest, in_place, uv), None, warnings)

    def _snapshot(self, component: str, root: Path, pinned: str) -> tuple[Path, str]:
        """(snapshot, digest). Raises UnsupportedFeature where the one that was planned with is gone."""
        kept = self.catalogue.snapshots / pinned
        if pinned and kept.is_dir():
            os.utime(kept)  # young, for whoever collects
            return kept, pinned
        snapshot, digest = snapshots.take(root, self.catalogue.snapshots)
        if pinned and digest != pinned:
            raise UnsupportedFeature(
                f"the snapshot of {root} that the run was planned with is gone, and the directory has changed",
                place=component,
                remedy="start it anew, with the directory as it is now",
            )
        return snapshot, digest

    def _configured_inputs(self) -> str:
        if self._inputs is None:
            digest = xxhash.xxh3_128()
            for name in (self.settings.constraints, self.settings.overrides):
                if name:
                    try:
                        digest.update(Path(name).read_bytes())
                    except OSError as error:
                        raise ConfigurationError(f"cannot be read: {error.strerror}", place=name) from None
                digest.update(b"\0")
            self._inputs = digest.hexdigest() if self.settings.constraints or self.settings.overrides else ""
        return self._inputs

    def _find_built(self, spec_key: str) -> Environment | None:
        record = self._holding.find(spec_key)
        return self._environment(record) if record is not None else None

    def _build_and_hold(self, spec: UvSpec, progress: Progress | None) -> Environment:
        return self._environment(self._holding.build(lambda: self.builder.build(spec, progress)))

    def _environment(self, record: BuiltRecord) -> Environment:
        known = self._environments.get(record)
        if known is None:
            directory = str(self.catalogue.directory(record.environment_key))
            known = self._environments[record] = Environment(
                key=record.environment_key,
                python=f"{directory}/bin/python",
                variables=step_variables.for_environment(directory, self.settings.passed_variables),
                identity=record.environment_key,
                warnings=record.warnings,
            )
        return known


def _in_project(environment: Environment, spec: ProjectSpec) -> Environment:
    variables = environment.variables
    if spec.uv.project_package and not spec.in_place:
        # The package as its folder has it: an installed one lacks the files that its build leaves out, such as a
        # Hydra program's configuration. Relative, for each attempt works in a copy of its own.
        variables = {**variables, "PYTHONPATH": "src" if os.path.isdir(f"{spec.snapshot}/src") else "."}
    return Environment(
        key=environment.key,
        python=environment.python,
        variables=variables,
        working_directory=spec.snapshot,
        in_place=spec.in_place,
        identity=f"{environment.identity}:{spec.digest}",
        warnings=environment.warnings,
    )
