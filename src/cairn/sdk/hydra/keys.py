"""Which keys of a configuration a component offers, as they are asked for."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from cairn.errors import ConfigurationError

_NAME = re.compile(r"[^0-9a-zA-Z]+")


@dataclass(frozen=True)
class Key:
    """One key of the configuration, and what it is to be called in the pipeline.

    `type` of an input is int, float, str, bool, list, dict, an Enum class, or one of these in Optional; left out, the
    configuration says it. Of an artifact it is a class of kfp.dsl (dsl.Dataset). A key that the configuration does not
    have yet is written `+train.extra`, with its type, as in Hydra.
    """

    key: str = ""
    name: str = ""
    type: Any = None
    description: str = ""

    def named(self, key: str) -> Key:
        """With its key, and a name made of it: train.lr → train_lr. Raises ConfigurationError for one that is none."""
        plain = key.removeprefix("+")
        name = self.name or _NAME.sub("_", plain).strip("_")
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ConfigurationError(
                f"{name!r} cannot be the name of an input or output",
                place=key,
                remedy=f'name it yourself: cairn.hydra.Key("{key}", name="…")',
            )
        if not plain or any(not part for part in plain.split(".")):
            raise ConfigurationError(f"{key!r} is no key: write it with dots, such as train.lr")
        return replace(self, key=key, name=name)


Keys: TypeAlias = Iterable["str | Key | Mapping[str, Any]"] | Mapping[str, Any]


def is_pattern(key: str) -> bool:
    """`train.*` is every key of `train`, and `*` every one at the top."""
    return key == "*" or key.endswith(".*")


def expanded(keys: Iterable[Key], named: Iterable[Key], inside: Callable[[str], Iterable[str]]) -> list[Key]:
    """`keys` with what patterns stand for. What is named by itself, or has such a key in it, is left to that.

    `inside`: the keys of a mapping of the configuration, "" for the top.
    """
    keys = list(keys)
    said = [key.key.removeprefix("+") for key in (*keys, *named) if not is_pattern(key.key)]
    found: list[Key] = []
    for key in keys:
        if not is_pattern(key.key):
            found.append(key)
            continue
        above = key.key.removesuffix("*")
        for name in inside(above.removesuffix(".")):
            path = above + name
            if not any(one == path or one.startswith(path + ".") for one in said):
                said.append(path)
                found.append(Key().named(path))
    return found


def keys_of(asked: Keys, argument: str) -> list[Key]:
    """A list of keys, of Key, and of mappings key → type or Key. Raises ConfigurationError."""
    if isinstance(asked, str):
        raise ConfigurationError(f"{asked!r} is a text", place=argument, remedy=f'write a list: ["{asked}"]')
    entries: Iterable[Any] = [asked] if isinstance(asked, Mapping) else asked
    found: list[Key] = []
    for entry in entries:
        if isinstance(entry, Mapping):
            found += [(one if isinstance(one, Key) else Key(type=one)).named(key) for key, one in entry.items()]
        elif isinstance(entry, Key):
            found.append(entry.named(entry.key))
        elif isinstance(entry, str):
            found.append(Key(key=entry) if is_pattern(entry) else Key().named(entry))
        else:
            raise ConfigurationError(
                f"{entry!r} is no key", place=argument, remedy='write "train.lr" or {"train.lr": float}'
            )
    return found


def check_apart(keys: Iterable[Key]) -> None:
    """No two of one name, and none inside another. Raises ConfigurationError naming both."""
    seen: dict[str, Key] = {}
    for one in keys:
        other = seen.setdefault(one.name, one)
        if other is not one:
            raise ConfigurationError(
                f"{other.key} and {one.key} are both called {one.name!r}",
                remedy=f'rename one: cairn.hydra.Key("{one.key}", name="…")',
            )
    paths = sorted(one.key.removeprefix("+") for one in seen.values())
    for path in paths:
        inside = next(
            (other for other in paths if other.startswith(path + ".") or (other == path and paths.count(path) > 1)), ""
        )
        if inside:
            raise ConfigurationError(f"{inside} is part of {path}: a value of one would change the other")
