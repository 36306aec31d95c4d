"""A program's configuration composed where the pipeline is written, and what it says of one key.

Hydra's own compose does the work. Nothing of it is left in the process: the registry of structured configs, resolvers
and GlobalHydra are as they were before, so that two programs may both register a `config`.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any

from cairn.errors import ConfigurationError

_STRUCTURED = "structured"


@dataclass(frozen=True)
class Node:
    """What the composed configuration holds at a key.

    `value` is plain (dict, list, str …) and means nothing where `missing` (`???`) or `dynamic`: it holds interpolation,
    so only the program itself knows what it will be. `type` is None where neither declaration nor value tells it.
    `replaced` are the paths below the key of mappings that a value given there replaces.
    """

    value: Any
    type: Any
    optional: bool
    missing: bool
    dynamic: bool
    replaced: tuple[tuple[str, ...], ...]
    text: str = ""  # of a dynamic one: as it is written


class Composition:
    """A composed configuration. Lives inside `composing` only."""

    def __init__(self, config: Any, place: str) -> None:
        self.config = config
        self.place = place

    def node(self, key: str) -> Node | None:
        """None when there is no such key. Raises ConfigurationError for one inside a list."""
        from omegaconf import DictConfig, ListConfig

        at = self.config
        *above, last = key.split(".")
        for part in above:
            at = at._get_node(part, validate_access=False) if isinstance(at, DictConfig) and not _closed(at) else None
            if isinstance(at, ListConfig):
                raise ConfigurationError(f"{key} lies inside a list", place=self.place, remedy="offer the whole list")
        found = at._get_node(last, validate_access=False) if isinstance(at, DictConfig) and not _closed(at) else None
        return None if found is None else _read(found, at, last)

    def inside(self, key: str) -> list[str]:
        """The keys of the mapping at `key`, "" for all of it. Raises ConfigurationError for what is none."""
        from omegaconf import DictConfig

        at = self.config
        for part in key.split(".") if key else ():
            at = at._get_node(part, validate_access=False) if isinstance(at, DictConfig) and not _closed(at) else None
        if at is None:
            raise self.unknown(key)
        if not isinstance(at, DictConfig) or _closed(at):
            raise ConfigurationError(f"{key} is no mapping, so {key}.* is nothing", place=self.place)
        return [str(name) for name in at]

    def unknown(self, key: str) -> ConfigurationError:
        known = sorted(_paths(self.config))
        near = get_close_matches(key, known, n=3, cutoff=0.5) or [
            path for path in known if path.rpartition(".")[2] == key.rpartition(".")[2]
        ]
        said = f"; the nearest are {', '.join(near)}" if near else f"; it has {', '.join(known[:12])}"
        return ConfigurationError(
            f"the configuration has no key {key}{said}",
            place=self.place,
            remedy=f"a key that the program takes beyond it is written +{key}, with its type",
        )


def _closed(node: Any) -> bool:
    return bool(node._is_none() or node._is_missing() or node._is_interpolation())


@contextlib.contextmanager
def composing(
    directory: Path | None, name: str | None, overrides: Sequence[str], imports: Sequence[str], project: Path
) -> Iterator[Composition]:
    """Compose `name` of `directory` as the program would. Raises ConfigurationError with Hydra's own words."""
    place = str(directory / name if directory and name else directory or project)
    if directory is not None and not directory.is_dir():
        raise ConfigurationError("there is no such directory", place=str(directory), remedy="give config_dir=")
    with _isolated(), _modules_of(project):
        for one in imports:
            _register(one, project)
        from hydra import compose, initialize_config_dir

        try:
            with initialize_config_dir(str(directory or project), job_name="component", version_base=None):
                _forgive_absent_plugins()
                config = compose(name, list(overrides))
        except Exception as error:  # Hydra lets Python's own through: of types, resolvers, unreadable files
            raise ConfigurationError(_said(error), place=place, remedy=_remedy(error, imports)) from error
        yield Composition(config, place)


def _forgive_absent_plugins() -> None:
    """What the program logs, launches and sweeps with need not be installed where the pipeline is written."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.global_hydra import GlobalHydra

    from cairn.config.absent import ForgivingRepository

    loader = GlobalHydra.instance().config_loader()
    if isinstance(loader, ConfigLoaderImpl):
        loader.repository = ForgivingRepository(loader.config_search_path)


def _said(error: Exception) -> str:
    known = type(error).__module__.partition(".")[0] in {"hydra", "omegaconf", "yaml"}
    cause = f": {error.__cause__}" if error.__cause__ and known else ""
    return f"{error}{cause}" if known else f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _remedy(error: Exception, imports: Sequence[str]) -> str:
    if imports or "Cannot find primary config" not in str(error):
        return ""
    return 'if the program registers it in its ConfigStore, say where: imports=["main.py"]; else give config_dir='


@contextlib.contextmanager
def _isolated() -> Iterator[None]:
    """Registries of Hydra and OmegaConf of our own."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.singleton import Singleton
    from omegaconf.basecontainer import BaseContainer

    instances: dict[Any, Any] = Singleton._instances
    resolvers = BaseContainer._resolvers
    before, before_resolvers = dict(instances), dict(resolvers)
    instances[ConfigStore] = copy.deepcopy(ConfigStore.instance())
    instances.pop(GlobalHydra, None)
    try:
        yield
    finally:
        instances.clear()
        instances.update(before)
        resolvers.clear()
        resolvers.update(before_resolvers)


def _register(source: str, project: Path) -> None:
    """Import a file or module of the project that registers structured configs or resolvers; each time afresh."""
    file = (project / source) if source.endswith(".py") else None
    path = list(sys.path)
    sys.path[:0] = [str(project), *([str(file.parent)] if file else [])]
    try:
        if file is None:
            importlib.import_module(source)
            return
        spec = importlib.util.spec_from_file_location(f"cairn_hydra_import_{file.stem}", file)
        if not file.is_file() or spec is None or spec.loader is None:
            raise ConfigurationError("there is no such file", place=str(file), remedy="imports start from the project")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    except ImportError as error:
        raise ConfigurationError(f"cannot be imported: {error}", place=source) from error
    finally:
        sys.path[:] = path


@contextlib.contextmanager
def _modules_of(project: Path) -> Iterator[None]:
    """What is imported of the project within stays until the end, as annotations that are text are looked up there, and
    no longer: two projects may each have a conf.py."""
    modules = set(sys.modules)
    try:
        yield
    finally:
        for name in set(sys.modules) - modules:
            origin = getattr(sys.modules[name], "__file__", None)
            if origin and Path(origin).is_relative_to(project):
                del sys.modules[name]


def _paths(config: Any, prefix: str = "") -> Iterator[str]:
    from omegaconf import DictConfig

    for key in config:
        path = f"{prefix}{key}"
        yield path
        inner = config._get_node(key)
        if isinstance(inner, DictConfig) and not _closed(inner):
            yield from _paths(inner, path + ".")


# --- one node --------------------------------------------------------------------------------------------------------


def _read(found: Any, parent: Any, key: Any) -> Node:
    from omegaconf import Container, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    optional = bool(found._is_optional())
    missing = bool(found._is_missing())
    dynamic = _is_dynamic(found)
    value: Any = None
    if not missing:
        try:
            value = OmegaConf.select(parent, str(key)) if "." not in str(key) else parent[key]
        except OmegaConfBaseException:
            value = None  # what it refers to is not there yet: the program will see
        if isinstance(value, Container):
            value = OmegaConf.to_container(value, resolve=False)
        value = _plain(value)
    kind = _declared(found) or _kind_of(value)
    return Node(value, kind, optional, missing, dynamic, tuple(_replaced(found)), _text(found) if dynamic else "")


def _is_dynamic(node: Any) -> bool:
    """Whether it is interpolation, or holds any, or a `???`."""
    from omegaconf import DictConfig, ListConfig

    if node._is_interpolation():
        return True
    if not isinstance(node, DictConfig | ListConfig) or _closed(node):
        return False
    keys: Any = node if isinstance(node, DictConfig) else range(len(node))
    below: list[Any] = [node._get_node(key) for key in keys]
    return any(inner._is_missing() or _is_dynamic(inner) for inner in below)


def _text(node: Any) -> str:
    from omegaconf import Container, OmegaConf

    value = node._value()
    return str(
        value if isinstance(value, str) else OmegaConf.to_container(node) if isinstance(node, Container) else value
    )


def _plain(value: Any) -> Any:
    """As JSON has it: an Enum's name, a path's text; keys as texts."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(inner) for key, inner in value.items()}
    return value


def _declared(node: Any) -> Any:
    """The type that a structured config declares; None for Any."""
    from omegaconf import (
        BooleanNode,
        BytesNode,
        DictConfig,
        EnumNode,
        FloatNode,
        IntegerNode,
        ListConfig,
        PathNode,
        StringNode,
    )

    if isinstance(node, DictConfig):
        return dict
    if isinstance(node, ListConfig):
        return list
    if isinstance(node, EnumNode):
        return node.enum_type
    if isinstance(node, BytesNode):
        raise ConfigurationError("bytes are no value of a pipeline", remedy="hand them on as an artifact")
    kinds: tuple[tuple[type, type], ...] = (
        (BooleanNode, bool), (IntegerNode, int), (FloatNode, float), (PathNode, str), (StringNode, str),
    )  # fmt: skip
    return next((kind for wanted, kind in kinds if isinstance(node, wanted)), None)


def _kind_of(value: Any) -> Any:
    return next((kind for kind in (bool, int, float, str, list, dict) if isinstance(value, kind)), None)


def _replaced(node: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Mappings of any keys are replaced by a value; a dataclass's fields are set one by one."""
    from omegaconf import DictConfig, OmegaConf

    structured = isinstance(node, DictConfig) and _is_structured(OmegaConf.get_type(node), node)
    if not structured:
        if not above or isinstance(node, DictConfig):
            yield above
        return
    for key in node if not _closed(node) else ():
        inner = node._get_node(key)
        if isinstance(inner, DictConfig):
            yield from _replaced(inner, (*above, str(key)))


def _is_structured(kind: Any, node: Any) -> bool:
    from dataclasses import is_dataclass

    declared = node._metadata.ref_type
    return any(is_dataclass(one) or hasattr(one, "__attrs_attrs__") for one in (kind, declared))
