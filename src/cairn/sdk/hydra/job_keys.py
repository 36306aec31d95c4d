"""What the result of a Hydra job depends on: its configuration, its code, the packages, the function.

Left out is what differs from one start to the next and changes no result: where the output goes, and the time.
"""

from __future__ import annotations

import copy
import inspect
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec
import xxhash
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.basecontainer import BaseContainer
from omegaconf.errors import OmegaConfBaseException

from cairn.errors import ConfigurationError

_INLINE_BYTES = (
    16 << 10
)  # of a configuration that is recorded whole, as an input of the step; a longer one by its digest
_EXACT = 2**53
_HYDRA_KEYS = ("job_logging", "callbacks", "output_subdir", "verbose")
_JOB_KEYS = ("name", "chdir", "env_set")


def job_inputs(config: DictConfig) -> dict[str, Any]:
    """{config, hydra} as JSON values: the resolved configuration of a job, and what of Hydra's own a result may show.

    `config`: with its `hydra` node, as it goes to `run_job`. It is left as it is.
    """
    with _without_place_and_time(config) as still:
        written: Any = OmegaConf.to_container(still.hydra, resolve=False, enum_to_str=True)
        hydra = {name: written.get(name) for name in _HYDRA_KEYS}
        hydra["job"] = _resolved(OmegaConf.masked_copy(still.hydra.job, list(_JOB_KEYS)))
        values = _resolved(task_configuration(still))
    return {"config": _short(_plain(values)), "hydra": _short(_plain(hydra))}


def task_configuration(config: DictConfig) -> DictConfig:
    """Without the `hydra` node: what the task function is given."""
    task = copy.deepcopy(config)
    with read_write(task), open_dict(task):
        del task["hydra"]
    return task


def configuration_digest(task: DictConfig) -> str:
    """The same digest, the same values."""
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode(_plain(_resolved(task)), order="sorted"))


def _resolved(task: DictConfig) -> Any:
    """A configuration that cannot be resolved as a whole (a `???` that the job may never read) counts as written."""
    try:
        return OmegaConf.to_container(task, resolve=True, enum_to_str=True)
    except OmegaConfBaseException:
        return OmegaConf.to_container(task, resolve=False, enum_to_str=True)


@contextmanager
def _without_place_and_time(config: DictConfig) -> Iterator[DictConfig]:
    """A copy whose interpolations of output directories and of `now` give the same whenever the job is started."""
    still = copy.deepcopy(config)
    OmegaConf.clear_cache(still)
    with read_write(still.hydra), open_dict(still.hydra):
        still.hydra.runtime.output_dir = "OUTPUT"
        still.hydra.sweep.dir = still.hydra.run.dir = "SWEEP"
        still.hydra.sweep.subdir = "JOB"
    before, now = HydraConfig.instance().cfg, BaseContainer._resolvers.pop("now", None)
    OmegaConf.register_new_resolver("now", lambda pattern: f"now:{pattern}")
    HydraConfig.instance().set_config(still)
    try:
        yield still
    finally:
        HydraConfig.instance().cfg = before
        OmegaConf.clear_resolver("now")
        if now is not None:
            BaseContainer._resolvers["now"] = now


def _plain(value: Any) -> Any:
    """JSON that tells apart what JSON alone would not."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else f"<{key!r}>": _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else repr(value)
    if isinstance(value, float) and value - value == 0:
        return value
    return repr(value)


def _short(values: Any) -> Any:
    """The values themselves, or {digest} of many. A placeholder in them would be Cairn's, and is theirs."""
    text = msgspec.json.encode(values, order="sorted")
    return values if len(text) <= _INLINE_BYTES and b"{{" not in text else {"digest": xxhash.xxh3_128_hexdigest(text)}


def function_key(function: Callable[..., Any]) -> str:
    """The name of a function that a name is enough for; of another (a closure, an object) its pickle's digest too."""
    named = function if inspect.isroutine(function) else type(function)
    module = _started_as(function) if named.__module__ == "__main__" else named.__module__
    name = f"{module}:{named.__qualname__}"
    if named is function and "<" not in named.__qualname__:
        return name
    return f"{name} {xxhash.xxh3_128_hexdigest(pickled(function, 'the task function'))}"


def _started_as(function: Callable[..., Any]) -> str:
    """Which of the application's programs was started: they may all have a `main`, and be called the same."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    if not file:
        return "__main__"
    above = program_directory(function)
    return os.path.relpath(os.path.realpath(file), above) if above is not None else os.path.basename(file)


def working_directory(function: Callable[..., Any]) -> str:
    """Where relative paths start, as seen from the application: the same in each copy of it."""
    above = program_directory(function)
    return os.path.relpath(Path.cwd(), above) if above is not None else str(Path.cwd())


def pickled(value: Any, what: str) -> bytes:
    """Raises ConfigurationError: jobs run in processes of their own."""
    try:
        found: bytes = cloudpickle.dumps(value)
    except Exception as error:  # noqa: BLE001 - whatever the objects' own reducers raise
        raise ConfigurationError(
            f"cannot be pickled: {type(error).__name__}: {error}",
            place=what,
            remedy="open files, locks and connections inside of the function, not in the module that is started",
        ) from None
    return found


def program_directory(function: Callable[..., Any]) -> Path | None:
    """The directory of the application's sources: the function's module's, above its packages; None: it is installed,
    so that its version says all."""
    named = inspect.unwrap(function) if inspect.isroutine(function) else type(function)
    file = getattr(sys.modules.get(named.__module__), "__file__", None)
    if not file:  # a notebook's
        return Path.cwd()
    directory = Path(os.path.realpath(file)).parent
    if _is_installed(directory):
        return None
    while (directory / "__init__.py").exists() and directory.parent != directory:
        directory = directory.parent
    return directory


def output_roots(config: DictConfig) -> list[Path]:
    """Directories that Hydra writes to, whenever the application is started: of `multirun/${now:…}` it is `multirun`.
    The working directory itself is none."""
    raw: Any = OmegaConf.to_container(config.hydra, resolve=False)
    written = [str(raw[mode]["dir"]) for mode in ("sweep", "run")]
    roots = {
        Path(os.path.abspath(os.path.dirname(text.partition("${")[0]) if "${" in text else text)) for text in written
    }
    return sorted(root for root in roots if not Path.cwd().is_relative_to(root))


def imported_sources() -> list[Path]:
    """Sources of the modules imported so far that are part of no installed distribution, nor Cairn's."""
    found = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py") and name.partition(".")[0] not in ("cairn", "hydra_plugins"):
            path = Path(os.path.realpath(file))
            if path.is_file() and not _is_installed(path):
                found.add(path)
    return sorted(found)


def _is_installed(path: Path) -> bool:
    return any(path.is_relative_to(place) for place in _INSTALLED)


_INSTALLED = tuple(
    {
        os.path.realpath(place)
        for name, place in sysconfig.get_paths().items()
        if name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
)
