"""From a pipeline and a composed configuration to the run that is meant: one way for runs, sweeps and `submit`."""

from __future__ import annotations

from pathlib import Path

from cairn.config.composing import Composed
from cairn.domain.configuration import RunConfiguration
from cairn.domain.runs import Submission
from cairn.spec.types import Pipeline


def configured(
    pipeline: Pipeline, composed: Composed, said: RunConfiguration, given: Submission, *, base: Path
) -> tuple[Pipeline, Submission]:
    """The pipeline with what the configuration says of its steps, and the submission with parameters, settings, root,
    labels and the configuration itself. What `given` says (flags) wins. `base` is what relative `project:DIR` of the
    configuration start from. Experiments and artifacts are references still: the caller looks them up.

    Raises ConfigurationError, ParameterError: a step that is none, with the nearest; a parameter that does not fit.
    """
    raise NotImplementedError
