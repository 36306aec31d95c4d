"""The composition root: a home and its configuration in, working services out. The only module that names adapters.

Everything is made when it is first asked for: `cairn runs list` starts no executor.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cairn.config.home import Home
from cairn.config.settings import Settings, load_settings
from cairn.domain.clock import SystemClock
from cairn.domain.resources import Capacity
from cairn.errors import InputRefused, NotFound, UnsupportedFeature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from cairn.artifacts.blobs import ObjectBlobs
    from cairn.artifacts.object_writing import Partial as Partial  # noqa: PLC0414 - types that the API names are handed on
    from cairn.artifacts.objects import LocalObjects
    from cairn.artifacts.objects import OpenObject as OpenObject  # noqa: PLC0414
    from cairn.artifacts.part_uploads import PartUploads
    from cairn.artifacts.real_objects import RealObjects
    from cairn.artifacts.real_objects import RealOpenObject as RealOpenObject  # noqa: PLC0414
    from cairn.artifacts.secrets import LocalSecrets
    from cairn.artifacts.store import LocalStore
    from cairn.artifacts.uploads import Session as Session  # noqa: PLC0414
    from cairn.artifacts.uploads import UploadSessions
    from cairn.domain.objects import Bucket
    from cairn.domain.runs import Run, RunSettings
    from cairn.engine.configuring import Lookups
    from cairn.engine.loop import Engine, Observer
    from cairn.engine.ports import Executor, NativeWork, Surroundings
    from cairn.engine.runs import RunService
    from cairn.engine.services import Services
    from cairn.engine.upkeep import Manifest, Upkeep
    from cairn.environments.image_service import ImageService
    from cairn.environments.service import UvEnvironments
    from cairn.executors.native.executor import NativeExecutor
    from cairn.experiments.service import ExperimentService
    from cairn.jobs.service import JobService
    from cairn.jobs.tuning_jobs import TuningJobService
    from cairn.metadata.editing import MetadataEditor
    from cairn.metadata.schemas import SchemaRegistry
    from cairn.metadata.service import MetadataService
    from cairn.pipelines.service import PipelineService
    from cairn.records import Records
    from cairn.schedules.service import ScheduleService
    from cairn.schedules.types import PipelineReference, Schedule
    from cairn.spec.types import Pipeline
    from cairn.sweeps.service import SweepService
    from cairn.tensorboards.service import TensorboardService
    from cairn.tensorboards.types import Where
    from cairn.tensorboards.viewing import Viewers
    from cairn.tensorboards.watching import LogWatch
    from cairn.tuning.service import StudyService


EXECUTORS = ("process", "docker")  # what --executor takes


class Cairn:
    """One home, opened. Close it when done; attempts that run go on."""

    def __init__(self, home: Home, settings: Settings, *, executor: str = "") -> None:
        self.home = home
        self.settings = settings
        self.executor_name = executor or settings.run.executor
        self.clock = SystemClock()
        self._engine: Engine | None = None  # the latest
        self._native: NativeExecutor | None = None
        # Of who opens a home and hosts no server: what points steps at one, asked for once there is something to ask.
        self.point_steps: Callable[[Cairn], Surroundings | None] | None = None

    @cached_property
    def capacity(self) -> Capacity:
        from cairn.config import machine
        from cairn.spec.quantities import parse_memory

        configured = self.settings.machine
        memory = configured.memory
        return Capacity(
            cpu_millis=round(configured.cpu * 1000) or machine.cpu_millis(),
            memory_bytes=(parse_memory(memory) if isinstance(memory, str) else memory) or machine.memory_bytes(),
            accelerators=configured.accelerators if configured.accelerators >= 0 else machine.accelerators(),
        )

    @cached_property
    def records(self) -> Records:
        from cairn.records import open_records

        return open_records(self.settings.records.url or self.home.database, capacity=self.capacity)

    @cached_property
    def store(self) -> LocalStore:
        from cairn.artifacts.store import LocalStore

        return LocalStore(self.home, self.settings.artifacts, self.settings.buckets)

    @cached_property
    def objects(self) -> LocalObjects:
        """What the storage API reads and writes: the buckets of the home."""
        from cairn.artifacts.buckets import LocalBuckets
        from cairn.artifacts.object_index import ObjectIndex
        from cairn.artifacts.objects import LocalObjects
        from cairn.artifacts.real_buckets import real_buckets

        buckets = LocalBuckets(self.home, elsewhere=real_buckets(self.settings.buckets))
        return LocalObjects(buckets, ObjectIndex(buckets.index))

    @cached_property
    def _real_objects(self) -> dict[str, RealObjects]:
        from cairn.artifacts.real_buckets import real_buckets
        from cairn.artifacts.real_objects import RealObjects

        return {name: RealObjects(name, self.objects) for name in real_buckets(self.settings.buckets)}

    def objects_of(self, bucket: str) -> LocalObjects | RealObjects:
        """The objects of a bucket, wherever it is kept."""
        return self._real_objects.get(bucket, self.objects) if self.settings.buckets else self.objects

    def bucket_of(self, uri: str) -> Bucket | None:
        """The bucket that a URI lies in; None for one in no bucket, or one that is not there. Raises InputRefused."""
        from cairn.artifacts import locations
        from cairn.artifacts.buckets import LocalBuckets

        if (scheme := locations.scheme_of(uri)) not in locations.MOUNTS:
            return None
        buckets = self.objects.buckets if scheme == "gs" else LocalBuckets(self.home, scheme)
        try:
            return buckets.find(locations.split_bucket(uri)[1])
        except NotFound:
            return None

    @cached_property
    def uploads(self) -> UploadSessions:
        from cairn.artifacts.uploads import UploadSessions

        return UploadSessions(self.objects, self.objects_of)

    @cached_property
    def part_uploads(self) -> PartUploads:
        from cairn.artifacts.part_uploads import PartUploads

        return PartUploads(self.objects, self.objects_of)

    @cached_property
    def secrets(self) -> LocalSecrets:
        from cairn.artifacts.secrets import LocalSecrets

        return LocalSecrets(self.home, self.settings.directories)

    @cached_property
    def environments(self) -> UvEnvironments:
        from cairn.environments.service import UvEnvironments

        return UvEnvironments(self.home, self.settings.environments, self.settings.docker)

    @cached_property
    def images(self) -> ImageService:
        """Container images that are made here."""
        return self.environments.image_service(self.records, self.clock)

    @cached_property
    def executor(self) -> Executor:
        from cairn.engine.ports import NATIVE
        from cairn.executors.native import MARK
        from cairn.executors.process import ProcessExecutor
        from cairn.executors.together import ExecutorsTogether
        from cairn.launcher.waiting import CONTAINER_NAME

        if self.executor_name not in EXECUTORS:
            known = ", ".join(EXECUTORS)
            raise UnsupportedFeature(f"there is no executor {self.executor_name!r}", remedy=f"there are {known}")
        makers = {"process": ProcessExecutor, "docker": self._docker_executor, NATIVE: self._native_executor}
        return ExecutorsTogether(makers, {"docker": CONTAINER_NAME, NATIVE: MARK})

    def _docker_executor(self) -> Executor:
        from cairn.config.container_engine import socket_of
        from cairn.executors.docker import DockerExecutor

        return DockerExecutor(socket_of(self.settings.docker), self.settings.docker, home=os.fspath(self.home.root))

    def _native_executor(self) -> Executor:
        from cairn.executors.native.executor import NativeExecutor
        from cairn.executors.native.registry import operations
        from cairn.executors.native.services import NativeServices

        services = NativeServices(
            records=self.records,
            runs=lambda: self.runs,
            jobs=lambda: self.jobs,
            tuning_jobs=lambda: self.tuning_jobs,
            studies=lambda: self.studies,
            bring=self._bring,
            path_of=self.store.path_of,
        )
        if self.point_steps is not None and self.services.surroundings is None:
            self.services.surroundings = self.point_steps(self)
        self._native = NativeExecutor(operations(services))
        return self._native

    def _bring(self, run: Run, pipeline: Pipeline | None) -> None:
        """A run that a native step has started, to the engine whose step it is."""
        if self._engine is not None:
            self._engine.bring(run, pipeline)

    def _run_ended(self, run: Run) -> None:  # noqa: ARG002 - what the engine tells
        if self._native is not None:
            self._native.wake()

    @cached_property
    def services(self) -> Services:
        from cairn.engine.services import Services
        from cairn.records.owners import this_process

        return Services(
            journal=self.records,
            records=self.records,
            executor=self.executor,
            environments=self.environments,
            store=self.store,
            secrets=self.secrets,
            clock=self.clock,
            owner=this_process(),
            runs_directory=os.fspath(self.home.runs),
            default_root=os.fspath(self.home.store),
            native=lambda: self._native_work,
            allow_private_hosts=self.settings.artifacts.allow_private_hosts,
        )

    @cached_property
    def _native_work(self) -> NativeWork:
        from cairn.executors.native.foresight import Foresight

        return Foresight(lambda: self.runs, lambda: self.tuning_jobs, self.environments)

    def run_settings(self) -> RunSettings:
        """How a run is executed where nobody says otherwise: what the home configures."""
        from cairn.domain.runs import ImageMapping, RunSettings

        defaults = self.settings.run
        return RunSettings(
            use_cache=defaults.cache,
            cache_ttl_seconds=defaults.cache_ttl,
            failure_policy=defaults.failure_policy,
            executor=self.executor_name,
            strict=defaults.strict,
            images=tuple(
                ImageMapping.said(pattern, target, self.home.root) for pattern, target in self.settings.images.items()
            ),
            notify=defaults.notify,
        )

    @cached_property
    def runs(self) -> RunService:
        from cairn.engine.runs import RunService

        return RunService(self.services, self.capacity)

    @cached_property
    def jobs(self) -> JobService:
        from cairn.jobs.service import JobService

        return JobService(self.records, lambda: self.runs, lambda: self.upkeep, self.run_settings)

    @cached_property
    def tuning_jobs(self) -> TuningJobService:
        from cairn.jobs.tuning_jobs import TuningJobService

        def check_study(spec: Mapping[str, Any], place: str) -> tuple[str, ...]:
            from cairn.tuning.sampling import name_of
            from cairn.tuning.study_spec import parse, warnings_of

            read = parse(spec, place)
            name_of(read)  # refuses what cannot decide, before anything is recorded
            return tuple(warnings_of(read))

        return TuningJobService(self.jobs, lambda: self.runs, self.run_settings, check_study)

    @cached_property
    def metadata(self) -> MetadataService:
        from cairn.metadata.service import MetadataService

        return MetadataService(self.records)

    @cached_property
    def metadata_editor(self) -> MetadataEditor:
        from cairn.metadata.editing import MetadataEditor

        return MetadataEditor(self.records)

    @cached_property
    def metadata_schemas(self) -> SchemaRegistry:
        from cairn.metadata.schemas import SchemaRegistry

        return SchemaRegistry(self.records)

    @cached_property
    def pipelines(self) -> PipelineService:
        from cairn.pipelines.service import PipelineService

        return PipelineService(self.records, self.clock)

    @cached_property
    def schedules(self) -> ScheduleService:
        from cairn.schedules.service import ScheduleService

        return ScheduleService(self.records, lambda: self.runs, self.clock, self._uploaded_text)

    def _uploaded_text(self, reference: PipelineReference) -> str:
        if reference.version_id:
            return self.pipelines.version(reference.pipeline_id, reference.version_id).text
        return self.pipelines.latest(reference.pipeline_id).text

    @cached_property
    def experiments(self) -> ExperimentService:
        from cairn.experiments.service import ExperimentService

        return ExperimentService(self.records, self.clock, self._pause_schedules)

    @property
    def lookups(self) -> Lookups:
        """Where what a configuration names is looked up."""
        from cairn.engine.configuring import Lookups
        from cairn.experiments.types import Experiment
        from cairn.metadata.references import find_artifact

        return Lookups(
            experiment=lambda name, project: self.experiments.create(Experiment("", name, project=project)).id,
            artifact=lambda reference: find_artifact(self.metadata, reference),
        )

    @cached_property
    def sweeps(self) -> SweepService:
        from cairn.sweeps.service import SweepService

        return SweepService(self.records, self.clock, self.home.sweeps)

    @cached_property
    def tensorboards(self) -> TensorboardService:
        from cairn.tensorboards.service import TensorboardService

        return TensorboardService(self.records, self.clock, lambda: self._blobs)

    def log_watch(self) -> LogWatch:
        """Fills Tensorboards while runs train; a server starts and closes it."""
        from cairn.tensorboards.watching import LogWatch

        lock = self.home.tensorboards / "filling.lock"
        return LogWatch(self.records, self.tensorboards, str(self.home.runs), self.store.path_of, lock)

    @cached_property
    def viewers(self) -> Viewers:
        """Real TensorBoards that this process shows."""
        from cairn.tensorboards.viewing import Viewers

        return Viewers(self.tensorboard_python, self.settings.server.tensorboard_idle_seconds)

    def tensorboard_python(self, progress: Callable[[str], None] | None = None) -> str:
        """An interpreter that has TensorBoard, in an environment that is built if it is not there. Raises
        EnvironmentBuildError."""
        packages = ("tensorboard>=2.16", "setuptools<81")  # which has pkg_resources
        return self.environments.tool_environment(packages, progress=progress).python

    def run_logs(self, run: Run) -> dict[str, str]:
        """The log directories of a run and of the jobs that it made, by the name they have in a TensorBoard."""
        from cairn.tensorboards.log_directories import of_run

        return of_run(str(self.home.runs), self.records, run, self.store.path_of)

    def experiment_logs(self, where: Where, path: tuple[str, ...]) -> dict[str, str]:
        """What a Tensorboard's experiment holds now, written as event files; as `run_logs`. Raises NotFound."""
        from cairn.tensorboards.exporting import export
        from cairn.tensorboards.filling import run_id

        directory = self.home.tensorboards / "exported" / run_id("/".join((where.project, where.location, *path)))
        names = export(self.tensorboards, path, where, directory)
        tops = dict.fromkeys(name.partition("/")[0] for name in names)
        return {top: str(directory / top) for top in tops}

    @cached_property
    def _blobs(self) -> ObjectBlobs:
        from cairn.artifacts.blobs import ObjectBlobs

        return ObjectBlobs(self.objects)

    @cached_property
    def studies(self) -> StudyService:
        from cairn.tuning.service import StudyService

        return StudyService(self.records, self.clock)

    def _pause_schedules(self, experiment: str, project: str) -> None:
        from cairn.filters.tree import And, Comparison

        parts = (Comparison(("experiment",), "=", experiment), Comparison(("state",), "=", "ACTIVE"))
        while found := self.schedules.page(projects=(project,), where=And(parts))[0]:
            for schedule in found:
                self.schedules.pause(schedule)

    @cached_property
    def upkeep(self) -> Upkeep:
        from cairn.artifacts import upkeep
        from cairn.engine.upkeep import Upkeep
        from cairn.environments import collection

        return Upkeep(self.home, self.records, self.store, upkeep, collection, self.environments.catalogue, self._parts)

    def _parts(self, run: Run) -> int:
        """Delete what a tuning job has besides its run; the bytes freed. Raises InputRefused while an engine runs it,
        or one of its trials."""
        from cairn.domain.runs import RunKind

        if run.kind is not RunKind.TUNING_JOB:
            return 0
        from cairn.jobs.tuning_jobs import STUDY

        trials = self.tuning_jobs.trials_of(run)
        for one in (run, *trials):
            if (owner := self.records.claimed(one.uid)) is not None:
                raise InputRefused(f"run {one.uid} is being run by process {owner.pid}", remedy="cancel it first")
        freed = sum(self.upkeep.delete(one) for one in trials)
        with suppress(NotFound):  # it had not begun, or has been deleted by itself
            study = self.studies.get(run.client.get(STUDY, ""), project=run.project, location=run.location)
            self.studies.delete(study)
        return freed

    @property
    def environment_collection(self) -> ModuleType:
        """`cairn.environments.collection`; its functions take `self.environments.catalogue`."""
        from cairn.environments import collection

        return collection

    def engine(self, observer: Observer | None = None) -> Engine:
        from cairn.engine.loop import Engine

        engine = Engine(self.services, self.capacity, observer=observer)
        engine.taker = lambda engine, run, pipeline: self.runs.take(engine, run, pipeline=pipeline)
        engine.ended.append(self._run_ended)
        self._engine = engine
        return engine

    def __enter__(self) -> Cairn:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        made = self.__dict__
        if "executor" in made:
            self.executor.close()
        if "services" in made and (surroundings := self.services.surroundings) is not None:
            surroundings.close()
        if "viewers" in made:
            self.viewers.close()
        if "objects" in made:
            self.objects.index.close()
        if "records" in made:
            self.records.close()


def restore_home(source: Path, path: str | None = None) -> tuple[Manifest, list[Schedule]]:
    """Bring a backup back into a home that holds no runs. Raises InputRefused, HomeError.

    Active schedules are paused, and given back: what has fallen due since the backup was made may have run already,
    and the home that it was made of may still live.
    """
    import tempfile

    from cairn.artifacts.upkeep import copy_buckets, copy_store
    from cairn.engine.upkeep import moved_records, read_manifest, trees_of
    from cairn.records import restore_records

    manifest = read_manifest(source)
    home = Home.open(path)
    location = load_settings(home).records.url or home.database
    with tempfile.TemporaryDirectory(prefix="cairn-restore-", dir=home.root) as scratch:
        records = moved_records(source, manifest, home, Path(scratch) / "records")
        for tree in trees_of(source):
            if tree == "buckets":
                copy_buckets(source / tree, home.root / tree, restoring=True)
            else:
                copy_store(source / tree, home.root / tree)
        restore_records(location, records)
    with open_cairn(path) as cairn:
        return manifest, cairn.schedules.pause_all()


def open_cairn(home: str | None = None, *, executor: str = "") -> Cairn:
    """Open a home (default: CAIRN_HOME, else ~/.cairn). Raises HomeError, ConfigurationError."""
    place = Home.open(home)
    return Cairn(place, load_settings(place), executor=executor)
