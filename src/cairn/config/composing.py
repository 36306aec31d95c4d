"""Composing a configuration with Hydra's own compose API: what `--config-dir`, `--config-name` and overrides say.

Hydra is imported when something is composed, never before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from cairn.domain.configuration import Configuration


class Composed(msgspec.Struct, frozen=True):
    """One composed configuration. `values` has every interpolation resolved (a `???` that nothing asks for stays one);
    `cairn` is its `cairn` node, which is not part of `values`; `primary` the file of --config-name."""

    configuration: Configuration
    values: dict[str, Any]
    cairn: dict[str, Any]
    primary: str


def compose(
    directory: Path, name: str = "config", overrides: Sequence[str] = (), *, imports: Sequence[str] = ()
) -> Composed:
    """Compose `name` of `directory` with `overrides`, as a `@hydra.main` program would.

    `imports` are Python files or modules that register structured configs and resolvers, imported first. Raises
    ConfigurationError with Hydra's own message, the file that it is about, and the nearest names that there are.
    """
    raise NotImplementedError
