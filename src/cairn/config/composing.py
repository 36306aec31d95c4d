"""Composing a configuration with Hydra's own compose API: what `--config-dir`, `--config-name` and overrides say.

Hydra is imported when something is composed, never before: this module itself is light.

    composed = compose(Path("conf"), "config", ["train.lr=0.1"])      # one
    with Composer(Path("conf")) as composer:                          # many: each file is read once
        jobs = [composer.compose(overrides) for overrides in combinations]
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cairn.domain.configuration import Configuration
from cairn.errors import ConfigurationError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cairn.config.loading import Loader

RESERVED = "cairn"  # the node of a configuration that is about the run itself
HYDRA = "hydra"


class Composed(msgspec.Struct, frozen=True):
    """One composed configuration. `values` has every interpolation resolved (a `???` that nothing asks for stays one);
    `cairn` is its `cairn` node, which is not part of `values`; `primary` the file of --config-name. Both hold plain
    JSON values: an Enum is its name, a path its text, bytes their base64.

    `files` are what was merged, in that order: (file, the package it went to); `places.place_of` finds a key in them.
    `warnings` are Hydra's own, and of `${hydra:…}` that has no value here. `sweeping`: the configuration itself says
    hydra.mode=MULTIRUN.
    """

    configuration: Configuration
    values: dict[str, Any]
    cairn: dict[str, Any]
    primary: str
    files: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    sweeping: bool = False

    @property
    def whole(self) -> dict[str, Any]:
        """All of it, as a function that makes a pipeline of it is given."""
        return {**self.values, RESERVED: self.cairn}


def compose(
    directory: Path, name: str = "config", overrides: Sequence[str] = (), *, imports: Sequence[str] = ()
) -> Composed:
    """Compose `name` of `directory` with `overrides`, as a `@hydra.main` program would.

    `imports` are Python files or modules that register structured configs and resolvers, imported first. Raises
    ConfigurationError with Hydra's own message, the file that it is about, and the nearest names that there are.
    """
    with Composer(directory, name, imports=imports, again=False) as composer:
        return composer.compose(overrides)


def recomposed(configuration: Configuration) -> Composed:
    """What a run was configured with, of what is recorded with it: nothing is read again, whoever edited the files.

    Raises ConfigurationError where a resolver is not at hand.
    """
    from cairn.config import loading

    primary = f"{configuration.directory}/{configuration.name}.yaml"
    try:
        values = loading.resolved_text(configuration.text, configuration.name, configuration.directory)
    except Exception as error:  # of a resolver that an import registered, or a variable that is gone
        raise ConfigurationError(
            f"what is recorded cannot be resolved again: {str(error).splitlines()[0]}", place=primary
        ) from error
    cairn = values.pop(RESERVED, None) or {}
    return Composed(configuration, values, cairn, primary)


class Composer:
    """A configuration directory, opened: every file is read once and what was read is what every composition gets.

    So the jobs of a sweep see the same files, whoever edits them meanwhile. Threads: any, one composition at a time.
    Hydra's own state in this process (an embedding program's `@hydra.main` or `initialize`) is as it was, before and
    after. `loader.loader` is Hydra's own ConfigLoader, for what drives sweepers within `loading.hydra_of_ours`.
    A first composition takes 45 to 75 ms, one that differs from it only in values about 10 (`config.templates`).
    """

    def __init__(
        self, directory: Path, name: str = "config", *, imports: Sequence[str] = (), again: bool = True
    ) -> None:
        """`again`: more than one composition is to come."""
        self.directory = os.path.abspath(os.path.expanduser(directory))
        self.name = _without_suffix(name)
        self.imports = tuple(imports)
        self._again = again

    def __enter__(self) -> Composer:
        """Raises ConfigurationError for a directory, name or import that is none."""
        from cairn.config.loading import Loader

        self.loader: Loader = Loader.opened(self.directory, self.name, self.imports, again=self._again)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def config(self, overrides: Sequence[str] = (), *, multirun: bool = False) -> DictConfig:
        """As Hydra composes it, with its `hydra` node, nothing resolved. `multirun`: overrides may sweep, and a
        group may still lack its option. Raises ConfigurationError."""
        return self.loader.composed(overrides, multirun=multirun)

    def shown(self, part: str, overrides: Sequence[str] = (), *, resolve: bool = False) -> tuple[str, Any]:
        """`--cfg job|hydra|all`: as YAML, and as plain values. Raises ConfigurationError."""
        return self.loader.shown(self.config(overrides), part, overrides, resolve=resolve)

    def compose(
        self, overrides: Sequence[str] = (), *, like: DictConfig | None = None, sweep: str = "", job: int = -1
    ) -> Composed:
        """`like`: the sweep's own config, whose cached resolvers (`${now:…}`) count for its jobs too.

        Raises ConfigurationError."""
        config = self.loader.composed(overrides, like=like)
        values, text = self.loader.resolved(config, overrides)
        cairn = values.pop(RESERVED, None)
        if cairn is not None and not isinstance(cairn, dict):
            from cairn.config.places import place_of

            raise ConfigurationError(
                f"`{RESERVED}` holds what is said of the run, so it is a mapping, not {cairn!r}",
                place=place_of(self.loader.files, RESERVED) or self.loader.primary,
            )
        recorded = Configuration(
            directory=self.directory,
            name=self.name,
            overrides=tuple(overrides),
            digest=digest_of(values, cairn or {}),
            text=text,
            sweep=sweep,
            job=job,
        )
        return Composed(
            recorded,
            values,
            cairn or {},
            self.loader.primary,
            self.loader.files,
            self.loader.warnings,
            sweeping=str(config.hydra.mode) == "RunMode.MULTIRUN",
        )


def digest_of(values: dict[str, Any], cairn: dict[str, Any]) -> str:
    """xxh3-128 over canonical JSON: of two configurations that resolve to the same, the same."""
    import xxhash

    text = json.dumps([values, cairn], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))


def _without_suffix(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    return stem if suffix == ".yaml" else name
