"""Executions, contexts and events in the ML-Metadata data model, as Vertex names it (aiplatform.v1 MetadataService)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class ExecutionState(StrEnum):
    UNSPECIFIED = ""
    NEW = "NEW"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    CACHED = "CACHED"
    CANCELLED = "CANCELLED"


class EventType(StrEnum):
    INPUT = "INPUT"
    OUTPUT = "OUTPUT"


class Execution(msgspec.Struct, frozen=True):
    id: str
    schema_title: str  # system.ContainerExecution | system.ImporterExecution | system.Run, the run itself
    state: ExecutionState
    display_name: str = ""
    metadata: dict[str, Any] = {}
    create_time: int = 0
    update_time: int = 0
    schema_version: str = ""
    description: str = ""
    labels: dict[str, str] = {}


class Event(msgspec.Struct, frozen=True):
    artifact_id: str
    execution_id: str
    type: EventType
    key: str = ""  # the input's or output's name; "" for one that a client has added
    index: int = 0  # within a list of artifacts
    time: int = 0
    labels: tuple[tuple[str, str], ...] = ()  # by name; an event can be a member of a set


class Context(msgspec.Struct, frozen=True):
    id: str
    schema_title: str  # system.Pipeline | system.PipelineRun | system.Experiment
    display_name: str = ""
    metadata: dict[str, Any] = {}
    parents: tuple[str, ...] = ()
    create_time: int = 0
    update_time: int = 0
    schema_version: str = ""
    description: str = ""
    labels: dict[str, str] = {}
