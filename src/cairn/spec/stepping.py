"""What a configuration says of steps, written into a pipeline's document: that is what is run, recorded, submitted."""

from __future__ import annotations

from collections.abc import Mapping

from cairn.domain.configuration import StepConfiguration
from cairn.spec.types import Pipeline


def with_steps(pipeline: Pipeline, steps: Mapping[str, StepConfiguration], *, file: str) -> Pipeline:
    """`file` is what errors name."""
    if not steps:
        return pipeline
    raise NotImplementedError(file)
