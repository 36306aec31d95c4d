"""Hydra's overrides as a component is given them: what they set, and which of its inputs take their place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import ConfigurationError

_DIRECTORY = ("--config-dir", "-cd")
_NAME = ("--config-name", "-cn")
_KEY = re.compile(r"\s*[+~]{0,2}([^=@:]+)")


@dataclass(frozen=True)
class Overrides:
    """`words` are the overrides themselves; flags among them are taken apart. `config_dir` is as it was written."""

    words: tuple[str, ...]
    flags: tuple[str, ...]
    config_dir: str
    directory: Path | None
    name: str | None

    def told(self, inputs: Mapping[str, str], paths: Iterable[str]) -> list[tuple[str, list[str]]]:
        """Each override with the inputs whose value takes its place: Hydra would let the override win.

        Raises ConfigurationError for one that sets more than an input.
        """
        keys = {**{key.removeprefix("+"): name for name, key in inputs.items()}}
        keys |= {key.removeprefix("+"): "" for key in paths}
        told: list[tuple[str, list[str]]] = []
        for word in self.words:
            found = _KEY.match(word)
            target = found[1].strip() if found else ""
            above = [key for key in keys if key.startswith(target + ".")]
            if above and "=" in word and word.partition("=")[2].lstrip().startswith(("{", "$", "null")):
                raise ConfigurationError(
                    f"sets {target} as a whole, and {above[0]} in it is an input",
                    place=word,
                    remedy="override its other keys one by one",
                )
            same = [key for key in keys if target == key or target.startswith(key + ".")]
            if same and keys[same[0]] == "":
                continue  # an artifact's path is always given
            told.append((word, [keys[key] for key in same]))
        return told


def read_overrides(words: Sequence[str], project: Path) -> Overrides:
    """Raises ConfigurationError for flags that are no part of a configuration, such as -m."""
    if isinstance(words, str):
        raise ConfigurationError(f"{words!r} is a text", place="overrides", remedy=f'write a list: ["{words}"]')
    plain: list[str] = []
    flags: list[str] = []
    directory = ""
    name: str | None = None
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            plain.append(word)
            continue
        option, equals, value = word.partition("=")
        if option not in (*_DIRECTORY, *_NAME):
            raise ConfigurationError(
                f"{word} is no override", place="overrides", remedy="a sweep is `cairn run -m` over the pipeline"
            )
        value = value if equals else next(rest, "")
        if option in _NAME:
            name = value
            flags += ["--config-name", value]
        else:
            directory = value
    if directory:
        raise ConfigurationError(
            "--config-dir is given by the component itself",
            place="overrides",
            remedy="use config_dir= or hydra.searchpath",
        )
    return Overrides(tuple(plain), tuple(flags), directory, None, name)
