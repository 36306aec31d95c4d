"""What Cairn's own API takes and gives: the source of its OpenAPI description.

Times are microseconds since the Unix epoch, 0 when not yet known; ids of runs are UUIDs.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Failure(msgspec.Struct):
    message: str
    kind: str
    code: int
    place: str
    remedy: str


class RunSummary(msgspec.Struct):
    run_id: str
    job_id: str
    project: str
    location: str
    pipeline: str
    display_name: str
    state: str
    labels: dict[str, str]
    create_time: int
    start_time: int
    end_time: int
    error: Failure | None


class RunList(msgspec.Struct):
    runs: list[RunSummary]
    next_page_token: str  # "" on the last page


class TaskSummary(msgspec.Struct, omit_defaults=True):
    name: str
    component: str
    path: str
    state: str
    cached: bool
    attempts: int
    seconds: float
    outputs: dict[str, Any]
    error: Failure | None
    reason: str = ""


class RunDetail(msgspec.Struct):
    """The object that `cairn run --json` prints."""

    run_id: str
    job_id: str
    pipeline: str
    state: str
    outputs: dict[str, Any]
    tasks: list[TaskSummary]
    warnings: list[str]
    error: Failure | None
    seconds: float


class NewRun(msgspec.Struct, forbid_unknown_fields=True):
    """`pipeline`: a PipelineSpec or PipelineJob as JSON, or its YAML text."""

    pipeline: dict[str, Any] | str
    parameters: dict[str, Any] = {}
    project: str = "default"
    location: str = "local"
    job_id: str = ""
    display_name: str = ""
    labels: dict[str, str] = {}
    pipeline_root: str = ""
    request_id: str = ""
    cache: bool | None = None
    failure_policy: Literal["", "slow", "fast"] = ""


class Resumption(msgspec.Struct, forbid_unknown_fields=True):
    """`pipeline`: another text to go on with; what has not changed keeps its results."""

    pipeline: dict[str, Any] | str | None = None


class Cancellation(msgspec.Struct, forbid_unknown_fields=True):
    kill: bool = False  # end the steps at once instead of letting them clean up


class ComparedPart(msgspec.Struct):
    name: str
    now: str | None
    then: str | None
    same: bool | None


class ComparedWith(msgspec.Struct):
    run_id: str
    task: str


class Why(msgspec.Struct):
    task: str
    verdict: str
    reason: str
    key: str
    compared_with: ComparedWith | None
    parts: list[ComparedPart]


class Difference(msgspec.Struct):
    name: str
    a: Any
    b: Any


class Differences(msgspec.Struct):
    a: str
    b: str
    parameters: list[Difference]
    settings: list[Difference]
    pipeline: list[Difference]
    outputs: list[Difference]
    tasks: list[Difference]


class ServerStatus(msgspec.Struct):
    version: str
    url: str
    started: float
    ready: bool
    draining: bool
    runs: int  # that the engine has at the moment


class Health(msgspec.Struct):
    status: str


class ErrorDetail(msgspec.Struct):
    code: int
    message: str
    status: str


class Error(msgspec.Struct):
    """google.rpc.Status as Google's REST APIs word it."""

    error: ErrorDetail
