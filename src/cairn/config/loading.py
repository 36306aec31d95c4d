"""Hydra's config loader as Cairn uses it. Importing this module imports Hydra: only `composing` does, when it is asked.

Hydra keeps what it is at in singletons of the process. They are exchanged for ours while we compose and put back, so
that a program that is itself a Hydra application can embed Cairn.
"""

from __future__ import annotations

import base64
import copy
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import PurePath
from typing import Any

from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime, setup_globals
from hydra.errors import MissingConfigException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from hydra.version import VersionBase, setbase
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from cairn.config.absent import ForgivingRepository
from cairn.config.importing import import_all
from cairn.config.templates import TemplateLoader
from cairn.errors import CairnError

Files = tuple[tuple[str, str], ...]

_exchanged = threading.RLock()
_STATE = (VersionBase, JobRuntime, HydraConfig)


@contextmanager
def hydra_of_ours(job: str, directory: str = "") -> Iterator[None]:
    """Hydra's newest behaviour, a job's name, and no configuration yet, instead of what this process has set up.

    `directory`: what `${cairn.config_dir:}` is."""
    instances: dict[type, Any] = Singleton._instances
    with _exchanged:
        before: dict[type, Any] = {kind: instances.pop(kind) for kind in _STATE if kind in instances}
        try:
            setbase(None)
            setup_globals()
            JobRuntime.instance().set("name", job)
            if directory:
                OmegaConf.register_new_resolver("cairn.config_dir", lambda: directory, replace=True)
            yield
        finally:
            for kind in _STATE:
                instances.pop(kind, None)
            instances.update(before)


class _ReadOnce(ForgivingRepository):
    """Reads each file once. What is handed out is a copy, as composing changes it, unless nothing is composed again."""

    def __init__(self, config_search_path: ConfigSearchPath, *, again: bool) -> None:
        self._read: dict[tuple[str, ...], ConfigResult | None] | None = {} if again else None
        self.reading = ""  # as Hydra names it
        self.origin = self
        super().__init__(config_search_path)

    def __deepcopy__(self, memo: dict[int, Any]) -> _ReadOnce:
        """Hydra copies its repository for each composition, as `hydra.searchpath` may change the sources."""
        other = object.__new__(_ReadOnce)
        other.sources = list(self.sources)
        other._read = self._read
        other.origin = self.origin
        other.sweeping = self.sweeping
        return other

    def load_config(self, config_path: str) -> ConfigResult | None:
        self.origin.reading = config_path
        if self._read is None:
            return super().load_config(config_path)
        key = (config_path, str(self.sweeping), *(source.path for source in self.sources))
        if key not in self._read:
            self._read[key] = super().load_config(config_path)
        return copy.deepcopy(self._read[key])


class _Recording(TemplateLoader):
    """Remembers what it merged, so that a key's file can be named."""

    def __init__(self, config_search_path: ConfigSearchPath, *, again: bool) -> None:
        self.config_search_path = config_search_path
        self.once = _ReadOnce(config_search_path, again=again)
        self.repository = self.once
        self.again = again
        self.searched: IConfigRepository = self.once  # with what `hydra.searchpath` adds

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        parsed, repo = super()._parse_overrides_and_create_caching_repo(config_name, overrides)
        self.searched = repo
        return parsed, repo

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        self.files = tuple(_files(defaults, repo))
        return super()._compose_config_from_defaults_list(defaults, repo)


def _files(defaults: list[ResultDefault], repo: IConfigRepository) -> Iterator[tuple[str, str]]:
    for default in defaults:
        for file in _files_of(default.config_path or "", repo):
            yield file, default.package or ""


def _files_of(config: str, repo: IConfigRepository) -> Iterator[str]:
    """The file, if it is in one, or a word for it; nothing for what Hydra brings."""
    source = next((source for source in repo.get_sources() if source.is_config(config)), None)
    if source is None or source.provider == "hydra":
        return
    if source.scheme() == "file":
        yield f"{source.path}/{source._normalize_file_name(config)}"
    elif not config.startswith("hydra/"):
        yield f"{source.path}{config}"


class Loader:
    """One directory's primary configuration, composed as often as is asked.

    `files`, `reading` and `latest` tell of the last composition: what was merged, which file was read last, and the
    config itself. `loader` is Hydra's own ConfigLoader.
    """

    def __init__(self, directory: str, name: str, *, again: bool = True) -> None:
        self.directory = directory
        self.name = name
        self.latest: DictConfig | None = None
        self.warnings: tuple[str, ...] = ()
        self.loader = _Recording(create_config_search_path(directory), again=again)
        self.primary = self.file_of(name) or f"{directory}/{name}.yaml"

    @classmethod
    def opened(cls, directory: str, name: str, imports: Sequence[str], *, again: bool = True) -> Loader:
        """`again`: for more than one composition. Raises ConfigurationError."""
        with hydra_of_ours(name, directory):
            import_all(imports)
            return cls(directory, name, again=again)

    @property
    def files(self) -> Files:
        return self.loader.files

    @property
    def reading(self) -> str:
        return self.file_of(self.loader.once.reading)

    def composed(
        self, overrides: Sequence[str], *, multirun: bool = False, like: DictConfig | None = None
    ) -> DictConfig:
        """With its `hydra` node, nothing resolved. Raises ConfigurationError."""
        with self.telling(overrides), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            config = self.latest = self.loaded(overrides, multirun=multirun)
            self.warnings = tuple(dict.fromkeys(str(one.message) for one in warned))
            if not multirun:
                self._refuse_passed_over(config, overrides)
            if like is not None:
                OmegaConf.copy_cache(from_config=like, to_config=config)
            return config

    def _refuse_passed_over(self, config: DictConfig, overrides: Sequence[str]) -> None:
        """An override of an `optional` group by an option that there is not: Hydra says nothing of it."""
        choices = config.hydra.runtime.choices
        for override in overrides:
            key = override.lstrip("+").partition("=")[0]
            chosen = choices.get(key) if not override.startswith("~") else None
            group = key.partition("@")[0]
            for option in [chosen] if isinstance(chosen, str) else chosen or ():
                if not self.loader.searched.config_exists(f"{group}/{option}"):
                    told = f"Could not find '{group}/{option}', which Hydra passes over, as the group is optional"
                    options = self.loader.searched.get_group_options(group)
                    raise MissingConfigException(told, f"{group}/{option}", options)

    def loaded(self, overrides: Sequence[str], *, multirun: bool = False) -> DictConfig:
        """Raises what Hydra raises."""
        with hydra_of_ours(self.name, self.directory):
            self.loader.files, self.loader.once.reading, self.latest = (), "", None
            mode = RunMode.MULTIRUN if multirun else RunMode.RUN
            self.loader.once.sweeping = multirun
            return self.loader.load_configuration(self.name, list(overrides), mode)

    def resolved(self, config: DictConfig, overrides: Sequence[str]) -> tuple[dict[str, Any], str]:
        """Everything but `hydra`: as plain values, and as YAML with interpolations as they are written.

        Raises ConfigurationError."""
        with self.telling(overrides), hydra_of_ours(self.name, self.directory):
            job = job_config(config)
            text = OmegaConf.to_yaml(_plain(OmegaConf.to_container(job)))  # without tags of Python's: anybody reads it
            HydraConfig.instance().set_config(config)
            with self._unknown_told():
                plain: dict[str, Any] = _plain(OmegaConf.to_container(job, resolve=True))
            return plain, text

    @contextmanager
    def _unknown_told(self) -> Iterator[None]:
        """Hydra gives null for what it knows only where a program runs, such as `${hydra:runtime.output_dir}`."""
        unknown: dict[str, None] = {}

        def of_hydra(path: str) -> Any:
            node: Any = HydraConfig.get()
            try:
                return OmegaConf.select(node, path, throw_on_missing=True)
            except MissingMandatoryValue:
                unknown[path] = None
                return None

        OmegaConf.register_new_resolver("hydra", of_hydra, replace=True)
        try:
            yield
        finally:
            setup_globals()
        self.warnings += tuple(
            f"${{hydra:{path}}} is null here: Hydra knows it only where a program runs" for path in unknown
        )

    def shown(self, config: DictConfig, part: str, overrides: Sequence[str], *, resolve: bool) -> tuple[str, Any]:
        """What `--cfg job|hydra|all` shows. Raises ConfigurationError."""
        with self.telling(overrides), hydra_of_ours(self.name, self.directory):
            HydraConfig.instance().set_config(config)
            OmegaConf.set_readonly(config.hydra, None)
            chosen = config
            if part == "job":
                chosen = job_config(config)
            elif part == "hydra":
                chosen = OmegaConf.masked_copy(config, ["hydra"])
                chosen.hydra._set_parent(config)
            if resolve:
                OmegaConf.resolve(chosen)
            return OmegaConf.to_yaml(chosen), _plain(OmegaConf.to_container(chosen))

    @contextmanager
    def telling(self, overrides: Sequence[str]) -> Iterator[None]:
        """Whatever Hydra raises, told with its place. Raises ConfigurationError."""
        try:
            yield
        except CairnError:
            raise
        except Exception as error:  # Hydra lets Python's own through: of asserts, resolvers, plugins, unreadable files
            from cairn.config.refusing import refused

            files, reading, latest = self.files, self.loader.once.reading, self.latest
            told = refused(error, self, list(overrides))
            self.loader.files, self.loader.once.reading, self.latest = files, reading, latest
            raise told from error

    def file_of(self, config: str) -> str:
        """The file of a configuration named as Hydra does (`model/small`); "" for one that is in none."""
        return next(_files_of(config, self.loader.repository), "")

    def options(self, group: str, kind: ObjectType = ObjectType.CONFIG, *, in_files: bool = False) -> list[str]:
        """Of the user's own: what Hydra itself brings is left out."""
        found: list[str] = []
        with hydra_of_ours(self.name):
            for source in self.loader.repository.get_sources():
                own = source.provider != "hydra" and not (in_files and source.scheme() != "file")
                if own and source.is_group(group):
                    found += source.list(group, kind)
        return sorted(one for one in set(found) if not one.startswith("_"))


def job_config(config: DictConfig) -> DictConfig:
    """Without its `hydra` node, as a program gets it."""
    keys: list[Any] = [key for key in config if key != "hydra"]
    job = OmegaConf.masked_copy(config, keys)
    OmegaConf.copy_cache(from_config=config, to_config=job)
    return job


def resolved_text(text: str, name: str, directory: str) -> dict[str, Any]:
    """A job's configuration, as YAML, resolved; what it takes from `hydra` is null. Raises what OmegaConf raises."""
    with hydra_of_ours(name, directory):
        config = OmegaConf.create(text)
        OmegaConf.register_new_resolver("hydra", lambda path: None, replace=True)  # noqa: ARG005 - called by name
        try:
            plain: dict[str, Any] = _plain(OmegaConf.to_container(config, resolve=True))
        finally:
            setup_globals()
        return plain


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
