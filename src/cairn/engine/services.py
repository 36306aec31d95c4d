"""The adapters an engine works with, handed over by `wiring`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cairn.domain.clock import Clock
from cairn.engine.ports import (
    ArtifactStore,
    Environments,
    Executor,
    Journal,
    NativeWork,
    Owner,
    RunRecords,
    Secrets,
    Surroundings,
)


@dataclass(slots=True)
class Services:
    journal: Journal
    records: RunRecords
    executor: Executor
    environments: Environments
    store: ArtifactStore
    secrets: Secrets
    clock: Clock
    owner: Owner
    runs_directory: str  # attempts live in RUNS_DIRECTORY/RUN_UID/TASK/PATH/attempt-N
    default_root: str  # pipeline root when neither the run nor the pipeline names one
    surroundings: Surroundings | None = None  # set by a server, for the steps of the engine that it hosts
    native: Callable[[], NativeWork] | None = None  # asked for by pipelines with native steps
    allow_private_hosts: bool = False  # importers and webhooks may name hosts on private networks
