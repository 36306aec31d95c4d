"""What a launch's steps are given in the run's directory: the application and the jobs' configurations, pickled."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from hydra.core.singleton import Singleton
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from cairn.errors import ConfigurationError, HomeError
from cairn.sdk.hydra import job_step
from cairn.sdk.hydra.job_keys import pickled
from cairn.sdk.hydra.job_pipeline import OUTPUT, RETURNED

SCRIPT = "job_step.py"


def launch_directory(runs: Path, run: str) -> Path:
    """Deleted with the run. Beside its tasks' directories: none of them begins with a point."""
    return runs / run / ".launch"


def step_command(runs: Path, *, keep: bool) -> tuple[str, ...]:
    """The same for every run: which one it is, the step is told. Raises ConfigurationError."""
    if not sys.executable or not os.access(sys.executable, os.X_OK):
        raise ConfigurationError("this interpreter's own path is not known", place=sys.executable or "sys.executable")
    directory = launch_directory(runs, "{{$.pipeline_job_uuid}}")
    output = f"{{{{$.outputs.artifacts['{OUTPUT}'].path}}}}" if keep else ""
    return (
        sys.executable, f"{directory}/{SCRIPT}", str(directory),
        f"{{{{$.outputs.artifacts['{RETURNED}'].path}}}}", output, "{{$.outputs.output_file}}",
    )  # fmt: skip


class Payload(msgspec.Struct, frozen=True):
    """Pickled before anything is recorded, so that what cannot be pickled is refused."""

    about: bytes
    program: bytes
    jobs: tuple[bytes, ...]

    def write(self, directory: Path) -> None:
        """Raises HomeError. What an earlier launch of the same run has left is replaced, file by file."""
        try:
            for index, job in enumerate(self.jobs):
                job_step.write_whole(directory / job_step.JOBS / f"{index}.pickle", job)
            job_step.write_whole(directory / job_step.PROGRAM, self.program)
            job_step.write_whole(directory / SCRIPT, Path(job_step.__file__).read_bytes())
            job_step.write_whole(directory / job_step.ABOUT, self.about)
        except OSError as error:
            raise HomeError(f"cannot be written: {error.strerror}", place=str(error.filename or directory)) from None

    def discard(self, directory: Path) -> None:
        """Of a run that was refused."""
        shutil.rmtree(directory.parent, ignore_errors=True)


def _main() -> dict[str, str]:
    """What the application was started as: a script, or a module (`python -m`); a notebook is neither."""
    module = sys.modules["__main__"]
    file = getattr(module, "__file__", None)
    name = getattr(getattr(module, "__spec__", None), "name", None)
    return {"file": os.path.abspath(file) if file else "", "name": name or ""}


def make_payload(
    context: HydraContext, function: TaskFunction, configs: Sequence[DictConfig], *, keep: bool
) -> Payload:
    """Raises ConfigurationError for what cannot be pickled."""
    about: dict[str, Any] = {
        "directory": os.getcwd(),
        "path": sys.path,
        "argv": sys.argv,
        "main": _main(),
        "versions": job_step.versions(),
        "keep": keep,
    }
    pickled(function, "the task function")  # alone first: what is wrong is named
    try:
        state = Singleton.get_state()
    except Exception as error:
        raise ConfigurationError(f"cannot be copied: {error}", place="what is registered with Hydra") from error
    program = {"context": context, "function": function, "singletons": state}
    return Payload(
        msgspec.json.encode(about),
        pickled(program, "what is registered with Hydra (resolvers, callbacks, configurations)"),
        tuple(pickled(config, "a job's configuration") for config in configs),
    )
