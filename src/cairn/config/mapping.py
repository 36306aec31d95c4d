"""The `cairn` node of a composed configuration, read and held to its schema (docs/hydra.md)."""

from __future__ import annotations

from cairn.config.composing import Composed
from cairn.domain.configuration import RunConfiguration


def run_configuration(composed: Composed) -> RunConfiguration:
    """Raises ConfigurationError with file, key and the nearest key for what is unknown or of another type."""
    raise NotImplementedError
