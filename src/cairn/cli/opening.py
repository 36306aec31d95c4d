"""A home opened for one command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cairn.cli import output

if TYPE_CHECKING:
    from cairn.wiring import Cairn


@contextmanager
def opened(executor: str = "") -> Iterator[Cairn]:
    """The home that CAIRN_HOME names. Raises HomeError, ConfigurationError."""
    from cairn.config.settings import mistaken_variables
    from cairn.wiring import open_cairn

    for warning in mistaken_variables():
        output.warn(warning)
    cairn = open_cairn(executor=executor)
    try:
        yield cairn
    finally:
        cairn.close()
