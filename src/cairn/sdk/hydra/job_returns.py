"""What Hydra is given back for each job, and the output directory of a job that was not run again."""

from __future__ import annotations

import os
from pathlib import Path

import cloudpickle
import msgspec
from hydra import version
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from cairn import errors
from cairn.domain.runs import TaskRecord
from cairn.domain.states import TaskState
from cairn.errors import CairnError, StepError
from cairn.sdk.hydra import job_step
from cairn.sdk.hydra.job_keys import task_configuration
from cairn.sdk.hydra.job_pipeline import OUTPUT, RETURNED
from cairn.wiring import Cairn


class Job(msgspec.Struct, frozen=True):
    """One job of a launch. `config` with its `hydra` node, `output_directory` absolute."""

    number: int  # Hydra's
    overrides: tuple[str, ...]
    config: DictConfig
    output_directory: Path


class JobTraceback(Exception):
    """Where a job's exception was raised, in its own process."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


def output_directory(config: DictConfig) -> Path:
    """Where `run_job` will have the job write. `config` is what `HydraConfig` holds meanwhile."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        subdir = str(OmegaConf.select(config, "hydra.sweep.subdir"))
        return Path(os.path.abspath(os.path.join(str(OmegaConf.select(config, "hydra.sweep.dir")), subdir)))
    finally:
        HydraConfig.instance().cfg = before


def job_return(cairn: Cairn, job: Job, index: int, record: TaskRecord | None, launch: Path) -> JobReturn:
    """The JobReturn of the launch's job `index`; its output directory holds what the job has written."""
    if record is not None and record.state is TaskState.SUCCEEDED:
        try:
            return _succeeded(cairn, job, record)
        except (OSError, CairnError) as error:
            return _failed(job, StepError(f"the result of job #{job.number} cannot be read: {error}"))
    return _unsuccessful(job, record, launch / job_step.RETURNS / f"{index}.pickle")


def _succeeded(cairn: Cairn, job: Job, record: TaskRecord) -> JobReturn:
    (returned,) = record.outputs.artifacts[RETURNED]
    result, _ = _read(Path(cairn.store.path_of(returned.uri) or returned.uri))
    assert result.hydra_cfg is not None
    written = Path(result.hydra_cfg.hydra.runtime.output_dir)
    if not record.cached and written == job.output_directory:
        return result
    kept = record.outputs.artifacts.get(OUTPUT)
    source = Path(cairn.store.path_of(kept[0].uri) or kept[0].uri) if kept else written
    if source.is_dir() and source != job.output_directory:
        job_step.copy_tree(source, job.output_directory, writable=True)
    again = _described(job)
    again.return_value, again.status = result._return_value, JobStatus.COMPLETED
    _save_configuration(again, job)
    return again


def _unsuccessful(job: Job, record: TaskRecord | None, place: Path) -> JobReturn:
    try:
        result, told = _read(place)
    except OSError:
        pass
    else:
        if result.status is JobStatus.FAILED and record is not None and record.state is TaskState.FAILED:
            error = result._return_value
            if isinstance(error, BaseException) and error.__cause__ is None:
                error.__cause__ = JobTraceback(told)
            if result.cfg is None:  # it left its interpreter
                return _failed(job, error)
            return result
    return _failed(job, _error_of(job, record))


def _error_of(job: Job, record: TaskRecord | None) -> Exception:
    if record is None or record.error is None:
        state = "not started" if record is None else str(record.state).lower()
        return StepError(f"job #{job.number} ended {state}")
    kind = getattr(errors, record.error.kind, StepError)
    made = kind if isinstance(kind, type) and issubclass(kind, CairnError) else StepError
    remedy = f"`cairn runs logs {record.run_uid[:8]} '{record.path}'` has what it printed"
    return made(f"job #{job.number}: {record.error.message}", remedy=record.error.remedy or remedy)


def _read(path: Path) -> tuple[JobReturn, str]:
    """Raises OSError, StepError for a pickle that this program cannot read."""
    content = path.read_bytes()
    try:
        result, told = cloudpickle.loads(content)
    except Exception as error:
        raise StepError(f"{type(error).__name__}: {error}", place=str(path)) from error
    return result, told


def _failed(job: Job, error: object) -> JobReturn:
    result = _described(job)
    result.return_value, result.status = error, JobStatus.FAILED
    return result


def _described(job: Job) -> JobReturn:
    """What `run_job` says of a job beside its value. Its own steps, in its own order."""
    config = job.config
    before = HydraConfig.instance().cfg
    with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
        config.hydra.runtime.output_dir = str(job.output_directory)
    HydraConfig.instance().set_config(config)
    try:
        whole = HydraConfig.instance().cfg
        changes = config.hydra.job.chdir
        if changes is None:
            changes = not version.base_at_least("1.2")
        return JobReturn(
            overrides=list(config.hydra.overrides.task),
            cfg=task_configuration(config),
            hydra_cfg=whole,  # type: ignore[arg-type]  # Hydra's own annotation names the schema
            working_dir=str(job.output_directory) if changes else os.getcwd(),
            task_name=config.hydra.job.name,
        )
    finally:
        HydraConfig.instance().cfg = before


def _save_configuration(result: JobReturn, job: Job) -> None:
    """`.hydra/` as `run_job` writes it: of this job, not of the one that was computed."""
    name = job.config.hydra.output_subdir
    if name is None:
        return
    directory = job.output_directory / name
    directory.mkdir(parents=True, exist_ok=True)
    files = {"config": result.cfg, "hydra": result.hydra_cfg, "overrides": job.config.hydra.overrides.task}
    for file, value in files.items():
        (directory / f"{file}.yaml").write_text(OmegaConf.to_yaml(value), encoding="utf-8")
