"""Hydra's config loader as Cairn uses it. Importing this module imports Hydra: only `composing` does, when it is asked.

Hydra keeps what it is at in singletons of the process. They are exchanged for ours while we compose and put back, so
that a program that is itself a Hydra application can embed Cairn.
"""

from __future__ import annotations

import base64
import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import PurePath
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository, IConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime, setup_globals
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from hydra.version import VersionBase, setbase
from omegaconf import DictConfig, OmegaConf, open_dict

from cairn.config.importing import import_all

Files = tuple[tuple[str, str], ...]

_exchanged = threading.RLock()
_STATE = (VersionBase, JobRuntime, HydraConfig)


@contextmanager
def _hydra_of_ours(job: str) -> Iterator[None]:
    """Hydra's newest behaviour, a job's name, and no configuration yet, instead of what this process has set up."""
    instances: dict[type, Any] = Singleton._instances
    with _exchanged:
        before = {kind: instances.pop(kind) for kind in _STATE if kind in instances}
        try:
            setbase(None)
            setup_globals()
            JobRuntime.instance().set("name", job)
            yield
        finally:
            for kind in _STATE:
                instances.pop(kind, None)
            instances.update(before)


class _ReadOnce(ConfigRepository):
    """Reads each file once. What is handed out is a copy: composing changes it."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        self._read: dict[tuple[str, ...], ConfigResult | None] = {}
        super().__init__(config_search_path)

    def __deepcopy__(self, memo: dict[int, Any]) -> _ReadOnce:
        """Hydra copies its repository for each composition, as `hydra.searchpath` may change the sources."""
        other = object.__new__(_ReadOnce)
        other.sources = list(self.sources)
        other._read = self._read
        return other

    def load_config(self, config_path: str) -> ConfigResult | None:
        key = (config_path, *(source.path for source in self.sources))
        if key not in self._read:
            self._read[key] = super().load_config(config_path)
        return copy.deepcopy(self._read[key])


class _Recording(ConfigLoaderImpl):
    """Remembers what it merged, so that a key's file can be named."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        self.config_search_path = config_search_path
        self.repository = _ReadOnce(config_search_path)
        self.files: Files = ()

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        self.files = tuple(_files(defaults, repo))
        return super()._compose_config_from_defaults_list(defaults, repo)


def _files(defaults: list[ResultDefault], repo: IConfigRepository) -> Iterator[tuple[str, str]]:
    for default in defaults:
        path = default.config_path or ""
        for source in repo.get_sources():
            if source.is_config(path):
                if source.scheme() == "file":
                    yield f"{source.path}/{source._normalize_file_name(path)}", default.package or ""
                elif source.scheme() == "structured" and not path.startswith("hydra/"):
                    yield f"structured config {path}", default.package or ""
                break


class Loader:
    """One directory's primary configuration, composed as often as is asked."""

    def __init__(self, directory: str, name: str) -> None:
        self.directory = directory
        self.name = name
        self.primary = f"{directory}/{name}.yaml"
        self.loader = _Recording(create_config_search_path(directory))

    @classmethod
    def opened(cls, directory: str, name: str, imports: Sequence[str]) -> Loader:
        """Raises ConfigurationError."""
        with _hydra_of_ours(name):
            import_all(imports)
            return cls(directory, name)

    def composed(
        self, overrides: Sequence[str], *, multirun: bool = False, like: DictConfig | None = None
    ) -> tuple[DictConfig, Files]:
        """With its `hydra` node, nothing resolved; and the files. Raises ConfigurationError."""
        with _hydra_of_ours(self.name):
            config = self.loader.load_configuration(
                self.name, list(overrides), RunMode.MULTIRUN if multirun else RunMode.RUN
            )
            if like is not None:
                OmegaConf.copy_cache(from_config=like, to_config=config)
            return config, self.loader.files

    def resolved(self, config: DictConfig, files: Files) -> dict[str, Any]:
        """Everything but `hydra`, as plain values. Raises ConfigurationError."""
        with _hydra_of_ours(self.name):
            HydraConfig.instance().set_config(config)
            plain: dict[str, Any] = _plain(OmegaConf.to_container(job_config(config), resolve=True))
            return plain

    def check_reserved(self, cairn: Any, files: Files) -> None:
        """Raises ConfigurationError for a `cairn` that is no mapping."""

    def written(self, config: DictConfig) -> str:
        """The job's configuration as YAML, interpolations as they are written."""
        return OmegaConf.to_yaml(job_config(config))


def job_config(config: DictConfig) -> DictConfig:
    """Without its `hydra` node, as a program gets it."""
    job = copy.deepcopy(config)
    OmegaConf.set_readonly(job, False)
    with open_dict(job):
        job.pop("hydra", None)
    return job


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_key(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, PurePath):
        return str(value)
    return value


def _key(key: Any) -> str:
    """As JSON would write it."""
    if isinstance(key, Enum):
        return key.name
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, bytes):
        return base64.b64encode(key).decode()
    return str(key)
