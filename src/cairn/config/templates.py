"""Compositions that differ only in values share one template: what Hydra makes of the same choices of groups.

Hydra reads its defaults list, merges some twenty files of its own, and only then applies the overrides that give values
(`lr=0.1`, `+a.b=c`, `~d`). So for a sweep's jobs all but the last is the same work, and most of the time. Importing
this module imports Hydra. `ConfigLoaderImpl._load_configuration_impl` is what is divided here; a property test compares
the two.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import IConfigRepository
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

KEPT = 16  # templates: a sweep over many groups changes one after another
_NUMBERS = ("hydra.job.num", "hydra.job.id")  # of Hydra's own values the ones that differ from job to job
_SEARCH_PATH = "hydra.searchpath"


class Template:
    """`config` is not changed any more."""

    def __init__(self, config: DictConfig, files: tuple[tuple[str, str], ...], warned: list[Any]) -> None:
        self.config = config
        self.files = files
        self.warned = warned


class TemplateLoader(ConfigLoaderImpl):
    """Hydra's loader; `again` says that more than one composition is to come. `files`: what the last one has merged."""

    again = False
    files: tuple[tuple[str, str], ...] = ()

    def _load_configuration_impl(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        def whole(given: list[str]) -> DictConfig:
            return ConfigLoaderImpl._load_configuration_impl(
                self, config_name, given, run_mode, from_shell, validate_sweep_overrides
            )

        if not self.again or run_mode is not RunMode.RUN:
            return whole(overrides)
        parsed: list[Override] = OverridesParser.create().parse_overrides(overrides)
        if any(one.is_sweep_override() or one.get_key_element() == _SEARCH_PATH for one in parsed):
            return whole(overrides)
        values = [one for one in parsed if self._is_value(one, config_name)]
        try:
            template = self._template([one.input_line or "" for one in parsed if one not in values], whole)
            config = copy.deepcopy(template.config)
            self._apply_overrides_to_config(values, config)
        except Exception:  # noqa: BLE001 - raised again by Hydra itself, in its order and with all that it then knows
            return whole(overrides)
        _finish(config, parsed)
        self.files = template.files
        for one in template.warned:
            warnings.warn(str(one.message), one.category, stacklevel=2)
        return config

    def _template(self, overrides: list[str], whole: Callable[[list[str]], DictConfig]) -> Template:
        templates: dict[tuple[str, ...], Template] = self.__dict__.setdefault("_templates", {})
        key = tuple(overrides)
        if key not in templates:
            while len(templates) >= KEPT:
                del templates[next(iter(templates))]
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                config = whole(overrides)
            templates[key] = Template(config, self.files, warned)
        return templates[key]

    def _is_value(self, override: Override, config_name: str | None) -> bool:
        """Whether it is applied after everything is merged, and to the job's own part."""
        key = override.key_or_group
        if key == "hydra" or key.startswith(("hydra.", "hydra/")):
            return key in _NUMBERS and not override.is_delete()
        return isinstance(override.value(), dict) or not self._groups(config_name).group_exists(key)

    def _groups(self, config_name: str | None) -> IConfigRepository:
        """The files there are; `hydra.searchpath` of the primary one is heeded."""
        if "_known" not in self.__dict__:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # told by the composition itself
                _, self._known = self._parse_overrides_and_create_caching_repo(config_name, [])
        known: IConfigRepository = self._known
        return known


def _finish(config: DictConfig, parsed: list[Override]) -> None:
    """What Hydra notes of the overrides, of all of them now."""
    hydra = config.hydra
    own = [one for one in parsed if not one.is_hydra_override()]
    hydra.overrides.hydra = [one.input_line for one in parsed if one.is_hydra_override()]
    hydra.overrides.task = [one.input_line for one in own]
    how = hydra.job.config.override_dirname
    hydra.job.override_dirname = get_overrides_dirname(
        overrides=own, kv_sep=how.kv_sep, item_sep=how.item_sep, exclude_keys=how.exclude_keys
    )
    OmegaConf.set_readonly(hydra, False)
