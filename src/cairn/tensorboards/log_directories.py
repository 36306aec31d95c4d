"""Which directories a run's steps log to, and which experiment each of them fills."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import msgspec

from cairn.domain.runs import AttemptRecord, Run, RunKind
from cairn.engine.layout import attempt_layout
from cairn.engine.log_files import LOGS
from cairn.filters.tree import Comparison, Filter
from cairn.tensorboards.filling import Experiment
from cairn.tensorboards.types import Where

_REPLICA = "replica-"
_TENSORBOARD = re.compile(r"projects/[^/]+/locations/[^/]+/tensorboards/([^/]+)")
_JOB_KINDS = (RunKind.CUSTOM_JOB, RunKind.TRAINING_PIPELINE, RunKind.TRIAL)


class LogDirectory(msgspec.Struct, frozen=True):
    path: str
    experiment: Experiment


def of_attempt(runs_directory: str, run: Run, path: str, number: int) -> list[LogDirectory]:
    """What CAIRN_LOG_DIRECTORY names, for the step and each of its replicas, whether it is there or not."""
    directory = attempt_layout(runs_directory, "", run, path, number).directory
    prefix = "" if run.kind in _JOB_KINDS else path if number == 1 else f"{path}/attempt-{number}"
    found = [LogDirectory(os.path.join(directory, LOGS), _experiment(run, prefix))]
    try:
        replicas = sorted(name for name in os.listdir(directory) if name.startswith(_REPLICA))
    except OSError:
        replicas = []
    for name in replicas:
        below = "/".join(part for part in (prefix, name.removeprefix(_REPLICA)) if part)
        found.append(LogDirectory(os.path.join(directory, name, LOGS), _experiment(run, below)))
    return found


def of_job(run: Run, path_of: Callable[[str], str | None]) -> LogDirectory | None:
    """What AIP_TENSORBOARD_LOG_DIR names, of a job that has a `tensorboard`."""
    spec = _field(run.client.get("job"), "jobSpec")
    base = _field(_field(spec, "baseOutputDirectory"), "outputUriPrefix")
    if run.kind not in _JOB_KINDS or not base or not tensorboard_of(run):
        return None
    directory = path_of(f"{str(base).rstrip('/')}/logs")
    return LogDirectory(directory, _experiment(run, "")) if directory else None


class RunRecords(Protocol):
    """What is asked of the records."""

    def attempts(self, run_uid: str) -> list[AttemptRecord]: ...

    def page_runs(
        self, *, where: Filter | None = None, kinds: Collection[RunKind] = (), token: str = "", limit: int = 100
    ) -> tuple[list[Run], str]: ...


def of_run(runs_directory: str, records: RunRecords, run: Run, path_of: Callable[[str], str | None]) -> dict[str, str]:
    """By the name that each has in a TensorBoard: those of a run's attempts that are there, and of the jobs and trials
    that it has made."""
    found: dict[str, str] = {}
    for one, below in _family(records, run):
        job = of_job(one, path_of)
        directories = [job] if job is not None else []
        for attempt in records.attempts(one.uid):
            directories += of_attempt(runs_directory, one, attempt.path, attempt.number)
        for directory in directories:
            parts = (below, directory.experiment.prefix or ("logs" if directory is job else ""))
            name = "/".join(part for part in parts if part) or one.job_id
            if os.path.isdir(directory.path):
                found.setdefault(name, directory.path)
    return found


def _family(records: RunRecords, run: Run, below: str = "") -> list[tuple[Run, str]]:
    found, token = [(run, below)], ""
    children: list[Run] = []
    while not children or token:
        where = Comparison(("parent",), "=", run.uid)
        page, token = records.page_runs(where=where, kinds=tuple(RunKind), token=token)
        children += page
        if not page:
            break
    for child in children:
        found += _family(records, child, "/".join(part for part in (below, child.display_name or child.job_id) if part))
    return found


def tensorboard_of(run: Run) -> str:
    """The id of the Tensorboard that a job names; "" for none."""
    found = _TENSORBOARD.fullmatch(str(_field(_field(run.client.get("job"), "jobSpec"), "tensorboard") or ""))
    return found[1] if found else ""


def _experiment(run: Run, prefix: str) -> Experiment:
    """As Vertex AI names them: a job's id, and of a trial its study's with the trial as a part of the run's name."""
    where = Where(run.project, run.location)
    if run.kind is RunKind.TRIAL:
        trial = re.search(r"-trial-([^-]+)$", run.display_name)
        prefix = "/".join(part for part in (trial[1] if trial else run.job_id, prefix) if part)
    id_ = run.parent if run.kind is RunKind.TRIAL and run.parent else run.job_id
    return Experiment(where, tensorboard_of(run), _id(id_), run.display_name, _source(run), prefix, run.owner)


def _source(run: Run) -> str:
    noun = "customJobs" if run.kind in _JOB_KINDS else "pipelineJobs"
    return f"projects/{run.project}/locations/{run.location}/{noun}/{run.job_id}"


def _id(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:128] or "run"


def _field(message: Any, name: str) -> Any:
    """Of a message as its client has written it: in camel case, or as protobuf names it."""
    if not isinstance(message, Mapping):
        return None
    snake = re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", name)
    return message.get(name, message.get(snake))
