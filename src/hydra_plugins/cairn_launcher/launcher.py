"""Each job of a Hydra application's multirun as a recorded, cached, resumable Cairn step.

Hydra imports every plugin module in every Hydra program of the environment, so what does the work is imported by
`launch`. docs/hydra_launcher.md is the page for users. No postponed annotations: OmegaConf reads them while the module
is still being imported, outside of `sys.modules`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class CairnLauncherConf:
    """What `hydra.launcher` holds."""

    _target_: str = "hydra_plugins.cairn_launcher.launcher.CairnLauncher"

    # Of the machine, for each job: cores or a Kubernetes quantity ("500m"), memory ("4Gi"), accelerators.
    cpus: Any = 1
    memory: str | None = None
    gpus: int = 0
    # Jobs at once; 0: as many as the machine has room for.
    parallel: int = 0
    # Refuse a job that asks for more than the machine has; false: give it what there is, and warn.
    strict: bool = True

    # Take the result of an earlier job of the same configuration, code, packages and interpreter.
    cache: bool = True
    # Go on with the run that the same command left behind when it was killed.
    resume: bool = True
    # Which files are the code: paths and patterns relative to the application's directory, `!pattern` leaves out.
    # Empty: what git tracks or does not ignore there (outside of git: all), but for Hydra's output directories.
    code: list[str] = field(default_factory=list)
    # Set for each job, and part of what its cached result depends on.
    environment: dict[str, str] = field(default_factory=dict)

    # Seconds that one try of a job may take; how often a failed one is tried again.
    timeout: float | None = None
    retries: int = 0

    # Cairn's home (default: CAIRN_HOME, else ~/.cairn), and what the run is filed under there.
    home: str | None = None
    project: str = "default"
    name: str | None = None
    experiment: str | None = None
    labels: dict[str, str] = field(default_factory=dict)

    # What jobs print is shown here too, each line with the job's number.
    echo: bool = True


ConfigStore.instance().store(group="hydra/launcher", name="cairn", node=CairnLauncherConf, provider="cairn")


class CairnLauncher(Launcher):
    """One `launch` is one Cairn run: a step for each job."""

    def __init__(self, **params: Any) -> None:
        self.params = params
        self.config: DictConfig | None = None
        self.task_function: TaskFunction | None = None
        self.hydra_context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.hydra_context = hydra_context
        self.task_function = task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Jobs' returns in the order of `job_overrides`. Raises CompactHydraException for what Cairn refuses."""
        from cairn.sdk.hydra.jobs import launch

        assert self.config is not None
        assert self.task_function is not None
        assert self.hydra_context is not None
        return launch(self.hydra_context, self.task_function, self.config, self.params, job_overrides, initial_job_idx)
