"""Plugins that a configuration names and this environment does not have: for logging, launchers, sweepers.

A Hydra program's own configuration says `override hydra/job_logging: colorlog` or `override hydra/launcher: submitit`.
Nothing of that has a part in composing a pipeline or describing a component, so it need not be installed where that is
done. A sweeper does have one where it is to sweep. Importing this module imports Hydra.
"""

from __future__ import annotations

from hydra._internal.config_repository import ConfigRepository
from hydra.plugins.config_source import ConfigResult
from omegaconf import ListConfig, OmegaConf

_UNUSED = ("hydra/hydra_logging/", "hydra/job_logging/", "hydra/launcher/")
_SWEEPER = "hydra/sweeper/"
PACKAGES = {  # what to install, by what an option's name begins with
    "colorlog": "hydra-colorlog",
    "optuna": "'hydra-optuna-sweeper<1.4'",
    "ax": "hydra-ax-sweeper",
    "nevergrad": "hydra-nevergrad-sweeper",
    "submitit": "hydra-submitit-launcher",
    "joblib": "hydra-joblib-launcher",
    "ray": "hydra-ray-launcher",
    "rq": "hydra-rq-launcher",
}


class ForgivingRepository(ConfigRepository):
    """An option of those groups that is nowhere is an empty one that takes any key. `sweeping`: but no sweeper's."""

    sweeping = False

    def config_exists(self, config_path: str) -> bool:
        return super().config_exists(config_path) or self._is_unused(config_path)

    def load_config(self, config_path: str) -> ConfigResult | None:
        found = super().load_config(config_path)
        if found is None and self._is_unused(config_path):
            return self._empty(config_path)
        return found

    def _is_unused(self, path: str) -> bool:
        return path.startswith(_UNUSED) or (path.startswith(_SWEEPER) and not self.sweeping)

    def _empty(self, path: str) -> ConfigResult:
        config = OmegaConf.create({})
        config._set_flag("struct", False)
        # `override /hydra/sweeper/sampler: tpe`, as Optuna's sweeper has it in its defaults list
        defaults = [{"sampler": None}] if path.startswith(_SWEEPER) and path.count("/") == 2 else []
        listed = self._create_defaults_list(path, ListConfig(defaults))
        return ConfigResult("cairn", "cairn://absent", config, {"package": None}, listed)


def package_of(option: str) -> str:
    """What brings `hydra/sweeper/optuna`; "" where that is not known, or Hydra itself does."""
    name = option.rpartition("/")[2] if option.startswith("hydra/") else ""
    return next((package for start, package in PACKAGES.items() if name.split("_")[0] == start), "")
