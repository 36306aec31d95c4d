"""Hydra's own sweeper of a composed multirun configuration, made as Hydra makes it, with our launcher below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
from hydra._internal.callbacks import Callbacks
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from cairn.config.composing import Composed, Composer
from cairn.config.loading import hydra_of_ours
from cairn.config.mapping import run_configuration
from cairn.domain.configuration import Configuration, SweepConfiguration
from cairn.errors import CairnError, ConfigurationError, StepError
from cairn.sweeps.ranking import parse_overrides

LAUNCHER = "hydra_plugins.cairn_pipelines.PipelineLauncher"
_BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
_BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
_HYDRAS_DIRECTORY = "multirun/${now:%Y-%m-%d}/${now:%H-%M-%S}"
_SEEDS = ("seed", "random_seed")
_USERS = ("params", "search_space")  # of a sweeper: what stands there are the user's keys


class Runner(Protocol):
    """What a batch of jobs is handed to."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]: ...

    @property
    def begun(self) -> bool:
        """Whether anything was recorded."""


class Decider:
    """One sweeper and the configuration it was composed from. Raises ConfigurationError, as composing does."""

    def __init__(self, composer: Composer, overrides: Sequence[str], directory: Path) -> None:
        """`directory` is where the sweeper writes, unless the configuration names another."""
        self.composer = composer
        self.config: DictConfig = composer.config(overrides, multirun=True)
        hydra = self.config.hydra
        self.own_overrides = _texts(hydra.overrides.task)
        self.hydra_overrides = _texts(hydra.overrides.hydra)
        self.other_launcher = ""
        self.sweeper: Any = None
        if hydra.launcher.get("_target_") != _BASIC_LAUNCHER:
            self.other_launcher = str(hydra.runtime.choices.get("hydra/launcher") or hydra.launcher.get("_target_"))
        with read_write(self.config), open_dict(self.config):
            hydra.launcher = {"_target_": LAUNCHER}
            if OmegaConf.to_container(hydra.sweep, resolve=False)["dir"] == _HYDRAS_DIRECTORY:  # type: ignore[call-overload, index]
                hydra.sweep.dir = str(directory)

    @property
    def sweeper_name(self) -> str:
        return str(self.config.hydra.sweeper.get("_target_", "?")).rpartition(".")[2]

    @property
    def is_basic(self) -> bool:
        return bool(self.config.hydra.sweeper.get("_target_") == _BASIC_SWEEPER)

    def configuration(self) -> SweepConfiguration:
        """`cairn.sweep`, with a goal for each metric; the sweeper's `direction` follows. Raises ConfigurationError."""
        said = self._said()
        directions = self._directions()
        if directions and not said.metric:
            raise ConfigurationError(
                f"{self.sweeper_name} decides by a metric, and none is named",
                place="cairn.sweep.metric",
                remedy="name an output parameter of the pipeline, or STEP.METRIC",
            )
        if not said.metric:
            return said
        directed = any(one.startswith("hydra.sweeper.direction=") for one in self.hydra_overrides)
        if said.goal and directions and directed and said.goal != directions:
            told = f"is {', '.join(said.goal)}, and hydra.sweeper.direction {', '.join(directions)}"
            raise ConfigurationError(told, place="cairn.sweep.goal", remedy="say it once")
        goal = said.goal or directions or ("minimize",) * len(said.metric)
        if len(goal) != len(said.metric):
            raise ConfigurationError(
                f"the sweeper has {len(goal)} directions, and there are {len(said.metric)} metrics",
                place="cairn.sweep.metric",
                remedy="give cairn.sweep.goal for each of them",
            )
        if directions:
            with read_write(self.config), open_dict(self.config):
                self.config.hydra.sweeper.direction = goal[0] if len(goal) == 1 else list(goal)
        return msgspec.structs.replace(said, goal=tuple(goal))

    def seed(self, number: int) -> int:
        """Give a sampler that has no seed this one, so that it decides the same again; 0 when none wants one."""
        taken = 0
        with read_write(self.config), open_dict(self.config):
            for node, key in list(_unseeded(self.config.hydra.sweeper)):
                node[key] = number
                taken = number
        return taken

    def keys(self, job: Sequence[str]) -> tuple[str, ...]:
        """What the sweeper varies: all that it gives a job but what was said once and for all."""
        node = self.config.hydra.sweeper.get("params")
        params: Any = OmegaConf.to_container(node, resolve=False) if node else {}
        texts = [*self.own_overrides, *(f"{key}={value}" for key, value in params.items())]
        parsed = OverridesParser.create().parse_overrides(texts)
        fixed = {one.get_key_element().lstrip("+~") for one in parsed if not one.is_sweep_override()}
        fixed -= {one.get_key_element().lstrip("+~") for one in parsed if one.is_sweep_override()}
        return tuple(key for key in parse_overrides(job) if key.lstrip("~") not in fixed)

    def planned(self) -> int:
        """How many jobs there will be, where the sweeper lets it be known; else 0."""
        batches = getattr(self.sweeper, "overrides", None)
        if batches is not None:
            return sum(len(batch) for batch in batches)
        trials = self.config.hydra.sweeper.get("n_trials")
        return trials if isinstance(trials, int) else 0

    def compose(self, job: Sequence[str], *, sweep: str, number: int) -> Composed:
        """Raises ConfigurationError."""
        numbered = (f"hydra.job.num={number}", f"hydra.job.id={number}")  # as Hydra's own launchers number them
        overrides = (*self.hydra_overrides, *numbered, *job)
        composed = self.composer.compose(overrides, like=self.config, sweep=sweep, job=number)
        recorded = msgspec.structs.replace(composed.configuration, overrides=tuple(job))
        return msgspec.structs.replace(composed, configuration=recorded)

    def drive(self, runner: Runner) -> None:
        """With Hydra's own state in this process set aside: see `_drive`."""
        with hydra_of_ours(self.composer.name):
            self._drive(runner)

    def _drive(self, runner: Runner) -> None:
        """Until the sweeper is done. Raises what the runner raises, and ConfigurationError or StepError (once jobs have
        run) in the sweeper's own words."""
        from hydra_plugins import cairn_pipelines

        loader = self.composer.loader.loader
        callbacks = Callbacks(self.config)
        try:
            plugins = Plugins.instance()
            plugins.register(cairn_pipelines.PipelineLauncher)
            callbacks.on_multirun_start(config=self.config, config_name=self.composer.name)
            self.sweeper = plugins.instantiate_sweeper(
                hydra_context=HydraContext(config_loader=loader, callbacks=callbacks),
                task_function=runner,  # type: ignore[arg-type]
                config=self.config,
            )
            # The launcher composes every job of a batch before it starts one: once is enough.
            self.sweeper.validate_batch_is_legal = lambda batch: None  # noqa: ARG005
            self.sweeper.sweep(arguments=list(self.own_overrides))
            callbacks.on_multirun_end(config=self.config, config_name=self.composer.name)
        except CairnError:
            raise
        except Exception as error:  # a sweeper is anybody's code
            raise self._in_its_words(error, begun=runner.begun) from error

    def _in_its_words(self, error: Exception, *, begun: bool) -> CairnError:
        kinds = (HydraException, OmegaConfBaseException)
        told = str(error) if isinstance(error, kinds) else f"{type(error).__name__}: {error}"
        remedy = ""
        if "does not support sweep type" in told:
            remedy = "choice(…), range(…) or glob(…); an interval needs a sweeper that samples: hydra/sweeper=optuna"
        kind = StepError if begun else ConfigurationError
        return kind(told.strip(), place=f"hydra.sweeper ({self.sweeper_name})", remedy=remedy)

    def _said(self) -> SweepConfiguration:
        try:
            node = OmegaConf.select(self.config, "cairn.sweep")
            said = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        except OmegaConfBaseException as error:
            raise ConfigurationError(str(error).strip(), place="cairn.sweep") from error
        name = Configuration(self.composer.directory, self.composer.name)
        cairn = {} if said is None else {"sweep": said}
        return run_configuration(Composed(name, {}, cairn, self.composer.loader.primary)).sweep

    def _directions(self) -> tuple[str, ...]:
        if "direction" not in self.config.hydra.sweeper:
            return ()
        found = OmegaConf.to_container(self.config.hydra.sweeper, resolve=True, enum_to_str=True)["direction"]  # type: ignore[call-overload, index]
        return tuple(map(str, found)) if isinstance(found, list) else (str(found),)


def _texts(overrides: Any) -> tuple[str, ...]:
    """As they were written: an interpolation in them is for the job to resolve."""
    written: Any = OmegaConf.to_container(overrides, resolve=False)
    return tuple(map(str, written))


def _unseeded(node: Any) -> Iterator[tuple[DictConfig, str]]:
    if not isinstance(node, DictConfig) or node._is_none() or node._is_missing() or node._is_interpolation():
        return
    for key in list(node):
        if OmegaConf.is_missing(node, key):
            continue
        value = node._get_node(key)
        if key in _SEEDS and node.get(key) is None:
            yield node, str(key)
        elif isinstance(value, DictConfig) and key not in _USERS:
            yield from _unseeded(value)
