"""A home opened for one command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cairn.cli import output

if TYPE_CHECKING:
    from cairn.engine.ports import Surroundings
    from cairn.wiring import Cairn


@contextmanager
def opened(executor: str = "") -> Iterator[Cairn]:
    """The home that CAIRN_HOME names. Raises HomeError, ConfigurationError."""
    from cairn.config.settings import mistaken_variables
    from cairn.wiring import open_cairn

    for warning in mistaken_variables():
        output.warn(warning)
    cairn = open_cairn(executor=executor)
    cairn.point_steps = _at_home
    try:
        yield cairn
    finally:
        cairn.close()


def _at_home(cairn: Cairn) -> Surroundings | None:
    from cairn.api.home_steps import at_home  # for runs whose steps have something to ask

    return at_home(cairn)
