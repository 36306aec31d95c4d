"""Values with something in them that only the run knows: another step's output, a parameter, the job's name.

KFP puts those in as text: in a mapping 0.5 of a parameter arrives as "0.5". So the bootstrap is told of each such hole
where it is, and whether its text is JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cairn.errors import ConfigurationError
from cairn.sdk.hydra.exactness import has_placeholder

_TEXT_TYPES = ("String", "STRING", "str", "Text")
Path = tuple["str | int", ...]


def has_holes(value: Any) -> bool:
    """Of a list or mapping: whether anything in it comes from elsewhere."""
    return isinstance(value, list | tuple | dict) and next(_found(value, (), ""), None) is not None


def take_out(value: Any, place: str) -> tuple[Any, list[tuple[Path, bool]]]:
    """(the value with null in the place of each hole, [(where, whether its text is JSON)]).

    Raises ConfigurationError for an artifact, and for a key that comes from elsewhere.
    """
    holes = list(_found(value, (), place))
    return _without(value, {where for where, _ in holes}, ()), holes


def _found(value: Any, above: Path, place: str) -> Iterator[tuple[Path, bool]]:
    from kfp.dsl import pipeline_channel

    if isinstance(value, pipeline_channel.PipelineChannel):
        if not isinstance(value, pipeline_channel.PipelineParameterChannel):
            raise ConfigurationError(
                "an artifact cannot be part of a value", place=place, remedy="make its key one of input_artifacts"
            )
        yield above, value.channel_type not in _TEXT_TYPES
    elif isinstance(value, str):
        if has_placeholder(value):
            yield above, False
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _found(inner, (*above, index), place)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if has_placeholder(key) or isinstance(key, pipeline_channel.PipelineChannel):
                raise ConfigurationError("a key cannot come from another step or a parameter", place=place)
            yield from _found(inner, (*above, key), place)


def _without(value: Any, holes: set[Path], above: Path) -> Any:
    if above in holes:
        return None
    if isinstance(value, list | tuple):
        return [_without(inner, holes, (*above, index)) for index, inner in enumerate(value)]
    if isinstance(value, dict):
        return {key: _without(inner, holes, (*above, key)) for key, inner in value.items()}
    return value
