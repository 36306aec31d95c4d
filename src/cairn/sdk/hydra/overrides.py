"""Hydra's overrides as a component is given them: what they set, and which of its inputs take their place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cairn.errors import ConfigurationError

_NAME = ("--config-name", "-cn")
_KEY = re.compile(r"\s*[+~]{0,2}([^=@:]+)")


@dataclass(frozen=True)
class Overrides:
    """`words` are the overrides themselves; `name` is what a --config-name among them says."""

    words: tuple[str, ...]
    name: str | None

    def told(self, inputs: Mapping[str, str], paths: Iterable[str]) -> list[tuple[str, list[str]]]:
        """Each override with the inputs (name → key) whose value takes its place: Hydra would let the override win.

        Raises ConfigurationError for one that sets more than an input.
        """
        keys = {key.removeprefix("+"): name for name, key in inputs.items()}
        fixed = {key.removeprefix("+") for key in paths}
        told: list[tuple[str, list[str]]] = []
        for word in self.words:
            found = _KEY.match(word)
            target = found[1].strip() if found else ""
            inside = [key for key in (*keys, *fixed) if key.startswith(target + ".")]
            if inside and not _chooses(word):
                raise ConfigurationError(
                    f"sets {target} as a whole, and {inside[0]} in it is an input or output of the component",
                    place=word,
                    remedy="override its other keys one by one",
                )
            if not any(target == key or target.startswith(key + ".") for key in fixed):  # a path is always given
                told.append((word, [keys[key] for key in keys if target == key or target.startswith(key + ".")]))
        return told


def _chooses(word: str) -> bool:
    """Whether it may choose of a config group (`optimizer=adam`), whose name may be that of the node: not a value."""
    _, equals, value = word.partition("=")
    return bool(equals) and not word.startswith("~") and re.fullmatch(r"\s*\[?[\w./,\s-]*\]?\s*", value) is not None


def read_overrides(words: Sequence[str]) -> Overrides:
    """Raises ConfigurationError for flags that are no part of a configuration, such as -m."""
    if isinstance(words, str):
        raise ConfigurationError(f"{words!r} is a text", place="overrides", remedy=f'write a list: ["{words}"]')
    plain: list[str] = []
    name: str | None = None
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if not word.startswith("-"):
            plain.append(word)
        elif option in _NAME:
            name = value if equals else next(rest, "")
        else:
            remedy = (
                "config_dir= names the directory" if "-c" in option else "a sweep is `cairn run -m` of the pipeline"
            )
            raise ConfigurationError(f"{word} is no override", place="overrides", remedy=remedy)
    return Overrides(tuple(plain), name)
