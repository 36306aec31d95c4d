"""A composed configuration as it is recorded with a run, and what of it is about the run itself: its `cairn` node.

The schema of that node, for users, stands in docs/hydra.md; `config.mapping` reads it.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Configuration(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run was configured with. Recorded with it."""

    directory: str  # --config-dir, absolute; "" when the configuration came over the API of another home
    name: str  # --config-name, without a suffix
    overrides: tuple[str, ...] = ()  # as they were given; of a job of a sweep: its own
    digest: str = ""  # xxh3-128 over the resolved values, as canonical JSON: the same digest, the same configuration
    text: str = ""  # the composed configuration as YAML, interpolations as they are written (they may name secrets)
    sweep: str = ""  # id of the sweep that made the run
    job: int = -1  # its number there, from 0


class StepConfiguration(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a configuration says of a step (or of all steps that a pattern matches). None: as the pipeline has it."""

    cpu: str | None = None  # request: cores or a Kubernetes quantity; also the limit where none is said
    cpu_limit: str | None = None
    memory: str | None = None
    memory_limit: str | None = None
    accelerator_type: str | None = None
    accelerator_count: int | None = None
    machine_type: str | None = None  # of Google's catalogue: its CPUs and memory are what the step requests
    replicas: int | None = None
    image: str | None = None
    environment: dict[str, str] = {}  # added to the container's own
    caching: bool | None = None
    retries: int | None = None
    backoff_seconds: float | None = None  # before the first retry
    timeout_seconds: int | None = None


class ScheduleConfiguration(msgspec.Struct, frozen=True, omit_defaults=True):
    cron: str = ""
    interval_seconds: int = 0
    time_zone: str = ""
    name: str = ""
    start: str = ""  # RFC 3339
    end: str = ""
    max_runs: int = 0
    max_concurrent: int = 1
    queue: bool = False
    catch_up: bool = False
    paused: bool = False


class SweepConfiguration(msgspec.Struct, frozen=True, omit_defaults=True):
    """`metric` names an output parameter of the pipeline or a metric of a step: `accuracy`, `train.accuracy` (any
    metrics artifact of the step), `train/metrics.accuracy`. Several are the objectives of a sweeper with several."""

    metric: tuple[str, ...] = ()
    goal: tuple[str, ...] = ()  # minimize | maximize, one for each metric
    parallel: int = 0  # runs at once; 0: as the machine allows
    experiment: str = ""  # name; "": the sweep's own
    failures: int = -1  # so many jobs may fail before no more are started; -1: any number


class TargetConfiguration(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where `cairn submit` sends the run, and as whom."""

    to: str = ""  # vertex | kfp | http(s)://HOST
    project: str = ""
    region: str = ""
    service_account: str = ""
    network: str = ""
    reserved_ip_ranges: tuple[str, ...] = ()
    encryption_key: str = ""
    host: str = ""  # of --to kfp: the API's URL
    namespace: str = ""
    credentials: str = ""  # a file: of --to http(s)://HOST what `cairn tokens` has written, of kfp a token
    staging_bucket: str = ""
    authority: str = ""  # a PEM file: of the authority to trust, of a server with TLS of its own


class RunConfiguration(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `cairn` node, read and checked. None and empty: not said."""

    name: str = ""  # the run's display name
    description: str = ""
    parameters: dict[str, Any] = {}  # by pipeline parameter; wins over what is found by name
    artifacts: dict[str, tuple[str, ...]] = {}  # by the pipeline's input artifact: references, as of --artifact
    pipeline_root: str = ""
    labels: dict[str, str] = {}
    experiment: str = ""  # by name; made when there is none
    project: str = ""
    caching: bool | None = None
    cache_ttl_seconds: int | None = None
    verify_cache: bool | None = None
    failure_policy: str = ""
    strict: bool | None = None
    executor: str = ""
    in_place: bool | None = None
    notify: str = ""
    images: tuple[tuple[str, str], ...] = ()  # (pattern, target) in order; project:DIR relative to the pipeline's file
    steps: dict[str, StepConfiguration] = {}  # by task path (`train`, `inner/train`) or pattern (`*`); the later wins
    schedule: ScheduleConfiguration | None = None
    sweep: SweepConfiguration = SweepConfiguration()
    target: TargetConfiguration = TargetConfiguration()
    warnings: tuple[str, ...] = ()  # what of the node has no effect, for the run's own warnings
