"""Which directories a run's steps log to, and which experiment each of them fills."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cairn.domain.runs import Run, RunKind
from cairn.engine.layout import attempt_layout
from cairn.engine.log_files import LOGS
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
