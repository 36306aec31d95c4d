"""`hydra.launcher` of `hydra/launcher=cairn`, read and checked. What each means: the plugin's CairnLauncherConf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cairn.domain.runs import DEFAULT_PROJECT
from cairn.errors import ConfigurationError, InputRefused
from cairn.spec.quantities import parse_cpu, parse_memory

PLACE = "hydra.launcher"


class JobOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cpus: float | str = 1
    memory: str | int | None = None
    gpus: int = 0
    parallel: int = 0
    strict: bool = True
    cache: bool = True
    resume: bool = True
    code: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    timeout: float | None = None
    retries: int = 0
    home: str | None = None
    project: str = DEFAULT_PROJECT
    name: str | None = None
    experiment: str | None = None
    labels: dict[str, str] = {}
    echo: bool = True


def read_options(params: Mapping[str, Any]) -> JobOptions:
    """Raises ConfigurationError, naming the key."""
    from omegaconf import OmegaConf

    plain = {
        name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for name, value in params.items()
    }
    try:
        options = msgspec.convert(plain, JobOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(str(error), place=PLACE) from None
    _check(options)
    return options


def _check(options: JobOptions) -> None:
    for name in ("gpus", "parallel", "retries"):
        if getattr(options, name) < 0:
            raise ConfigurationError(f"{getattr(options, name)} is negative", place=f"{PLACE}.{name}")
    if options.timeout is not None and options.timeout < 1:
        raise ConfigurationError(f"{options.timeout:g} is less than a second", place=f"{PLACE}.timeout")
    for name, parse in (("cpus", parse_cpu), ("memory", parse_memory)):
        value = getattr(options, name)
        try:
            if value is not None and not parse(str(value)):
                raise ConfigurationError(f"{value!r} is nothing", place=f"{PLACE}.{name}")
        except InputRefused as error:
            raise ConfigurationError(error.message, place=f"{PLACE}.{name}", remedy=error.remedy) from None
