"""The launcher that Hydra's sweepers call in `cairn run -m`: each job is a run of a pipeline.

Hydra imports everything in `hydra_plugins` in every Hydra program of the installation: this imports nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class PipelineLauncher(Launcher):
    """Hands each batch to what `cairn run -m` gave the sweeper for its task function."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:  # noqa: ARG002 - Hydra's signature
        self._runner: Any = task_function
        self._config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        if not hasattr(self._runner, "launch"):
            raise RuntimeError("this launcher is `cairn run -m`'s own; a Hydra program takes hydra/launcher=cairn")
        returned: Sequence[JobReturn] = self._runner.launch(job_overrides, initial_job_idx)
        os.makedirs(self._config.hydra.sweep.dir, exist_ok=True)  # sweepers take it that the launcher has made it
        return returned
