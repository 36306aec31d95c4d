"""Runs, their tasks and attempts, as they are recorded.

All times are integers: microseconds since the Unix epoch, 0 when not yet known.
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Any

import msgspec

from cairn.domain.artifacts import Artifact
from cairn.domain.configuration import Configuration
from cairn.domain.resources import Resources
from cairn.domain.states import AttemptState, ExitReason, RunState, TaskState
from cairn.domain.values import Value

DEFAULT_PROJECT = "default"
DEFAULT_LOCATION = "local"


class Failure(msgspec.Struct, frozen=True):
    """Why something failed. `code` is a google.rpc.Code number; `kind` the name of an error class in `cairn.errors`."""

    message: str
    kind: str = "StepError"
    code: int = 13
    place: str = ""  # the task's path, or a file and line of the user's
    remedy: str = ""


class RunKind(StrEnum):
    """What a run was made for. Only pipelines are in lists of runs; the others are their nouns' own."""

    PIPELINE = "pipeline"
    CUSTOM_JOB = "customJob"
    TRAINING_PIPELINE = "trainingPipeline"  # a custom job that a TrainingPipeline asked for: it is both
    TUNING_JOB = "hyperparameterTuningJob"
    TRIAL = "trial"  # the job of one trial


class ImageMapping(msgspec.Struct, frozen=True):
    """`--image PATTERN=TARGET`: the first whose pattern matches wins; `*` matches `/` too."""

    pattern: str
    target: str  # host | project:DIR | docker

    @staticmethod
    def said(pattern: str, target: str, base: str | os.PathLike[str] = "") -> ImageMapping:
        """With DIR absolute: a relative one starts from `base` (the working directory), for the run is looked at again
        elsewhere, when it is resumed or left to the background."""
        kind, colon, directory = target.partition(":")
        if kind == "project" and directory:
            target = kind + colon + os.path.abspath(os.path.join(base, os.path.expanduser(directory)))
        return ImageMapping(pattern, target)


class RunSettings(msgspec.Struct, frozen=True):
    """How a run is to be executed; recorded with it so that `resume` does the same."""

    use_cache: bool = True  # False: --no-cache
    cache_ttl_seconds: int = 0  # 0: no limit
    verify_cache: bool = False
    failure_policy: str = "slow"  # slow | fast
    executor: str = "process"
    strict: bool = False
    images: tuple[ImageMapping, ...] = ()
    in_place: bool = False  # project:DIR runs in the directory itself
    notify: str = ""  # webhook URL or command called at the end
    detached: bool = False  # left to the home's background host
    # What was found when it was planned, which holds for all that it starts: by `project:DIR` the digest of its
    # snapshot, by `image:NAME` the image's id.
    pins: dict[str, str] = {}


class Submission(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything about a run to be but its pipeline: what `RunService.submit` takes and a schedule keeps."""

    parameters: dict[str, Value] = {}
    settings: RunSettings = RunSettings()
    project: str = DEFAULT_PROJECT
    location: str = DEFAULT_LOCATION
    job_id: str = ""  # "": made from the pipeline's name and the time
    display_name: str = ""
    description: str = ""
    labels: dict[str, str] = {}
    source: str = ""  # the file it came from, as the user named it
    request_id: str = ""
    pipeline_root: str = ""
    owner: str = ""
    input_artifacts: dict[str, tuple[Artifact, ...]] = {}
    schedule: str = ""
    schedule_time: int = 0
    uid: str = ""  # "": a new one
    experiment: str = ""
    client: dict[str, Any] = {}
    warnings: tuple[str, ...] = ()  # what the API could not honour: added to the run's own
    configuration: Configuration | None = None
    kind: RunKind = RunKind.PIPELINE
    parent: str = ""  # uid of the run whose step, or trial, this one is


class Run(msgspec.Struct, frozen=True):
    """One execution of one pipeline. `uid` is a UUID; `job_id` is unique in (project, location)."""

    uid: str
    job_id: str
    pipeline_name: str
    spec_digest: str
    state: RunState
    project: str = DEFAULT_PROJECT
    location: str = DEFAULT_LOCATION
    display_name: str = ""
    parameters: dict[str, Value] = {}
    pipeline_root: str = ""
    settings: RunSettings = RunSettings()
    source: str = ""  # the file it came from, as the user named it
    outputs: dict[str, Value] = {}
    error: Failure | None = None
    warnings: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    owner: str = ""
    etag: str = ""
    request_id: str = ""
    create_time: int = 0
    start_time: int = 0
    end_time: int = 0
    update_time: int = 0
    fence: int = 0  # grows by one with each engine that takes the run over
    description: str = ""
    input_artifacts: dict[str, tuple[Artifact, ...]] = {}  # of the pipeline itself, by input name
    schedule: str = ""  # id of the schedule that made it
    schedule_time: int = 0  # the nominal time that it was made for
    experiment: str = ""  # id of the KFP experiment it was submitted to
    archived: bool = False  # KFP's storage_state
    client: dict[str, Any] = {}  # what the client said that only it has a use for, and is told back, by API face
    configuration: Configuration | None = None  # what it was composed from
    kind: RunKind = RunKind.PIPELINE
    parent: str = ""  # uid of the run whose step, or trial, this one is


class TaskOutputs(msgspec.Struct, frozen=True):
    """What a task hands on. A value may be `Spilled`. Every artifact output is a tuple; a plain one has one member."""

    parameters: dict[str, Value] = {}
    artifacts: dict[str, tuple[Artifact, ...]] = {}


class TaskInputs(msgspec.Struct, frozen=True):
    parameters: dict[str, Value] = {}
    artifacts: dict[str, tuple[Artifact, ...]] = {}


class CacheComparison(msgspec.Struct, frozen=True):
    """What a task's cache key was made of, part by part, so that `cairn runs why` can name the part that differs."""

    parts: dict[str, str]  # part name → digest or short literal, e.g. "component", "parameter:lr", "artifact:data"
    key: str  # digest over the parts; "" when caching was off
    verdict: str = ""  # hit | miss | off | refused
    reason: str = ""  # in words: which earlier task was compared and what differed
    source_run: str = ""  # of a hit: uid of the run that made the result
    source_path: str = ""  # and the path of its task


class TaskRecord(msgspec.Struct, frozen=True):
    """One task instance: a leaf, a nested pipeline, a loop, or one iteration of a loop.

    `path` is unique in the run: `for-loop-2[0]/train`. `kind` is leaf | dag | loop | iteration.
    """

    run_uid: str
    path: str
    name: str
    component: str
    kind: str
    state: TaskState
    uid: str  # UUID of this task instance, {{$.pipeline_task_uuid}}
    cached: bool = False
    attempts: int = 0  # started, LOST ones included
    retries: int = 0  # counted against the retry policy
    inputs: TaskInputs = TaskInputs()
    outputs: TaskOutputs = TaskOutputs()
    iterations: int = 0  # of a loop, once its items are known
    comparison: CacheComparison | None = None
    identity: str = ""  # digest of the task's own definition: what `resume` with an edited pipeline compares
    execution_id: str = ""
    error: Failure | None = None
    create_time: int = 0
    start_time: int = 0
    end_time: int = 0
    not_before: int = 0  # a back-off ends then


class Exit(msgspec.Struct, frozen=True):
    """What the waiter observed of an attempt's end."""

    reason: ExitReason
    code: int | None = None  # exit status, when it exited
    signal: int | None = None
    message: str = ""
    cause: Failure | None = None  # of a native step: why what it had started failed
    limits: tuple[str, ...] = ()  # what was enforced, e.g. "memory:cgroup", "cpu:affinity"
    peak_memory_bytes: int = 0
    cpu_seconds: float = 0.0
    start_time: int = 0
    end_time: int = 0


class AttemptRecord(msgspec.Struct, frozen=True):
    """One try of one leaf task: a lease on the machine's resources, and a directory of its own."""

    run_uid: str
    path: str
    number: int  # 1, 2, … within the task
    uid: str
    state: AttemptState
    directory: str
    executor: str
    resources: Resources
    environment: str = ""  # key of its environment, or the image
    devices: tuple[int, ...] = ()  # indices of the accelerators it was given
    start_time: int = 0
    end_time: int = 0
    exit: Exit | None = None
    error: Failure | None = None


class JournalEntry(msgspec.Struct, frozen=True):
    """One line of the journal: what watchers, event streams and other processes read."""

    sequence: int
    run_uid: str
    time: int
    kind: str  # run | task | attempt | request
    path: str
    state: str
    detail: dict[str, Any] = {}
