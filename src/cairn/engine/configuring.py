"""A run of a pipeline and a composed configuration, made one way by `cairn run`, sweeps, `cairn submit` and the SDK."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

import msgspec

from cairn.config.composing import Composed
from cairn.config.mapping import run_configuration
from cairn.domain.artifacts import Artifact
from cairn.domain.configuration import RunConfiguration
from cairn.domain.runs import RunSettings, Submission
from cairn.engine.configured import configured
from cairn.errors import CairnError, ConfigurationError
from cairn.spec.types import Pipeline


class Source(Protocol):
    """A pipeline that may be made of a configuration: `sources.PipelineSource`, a function, a recorded one."""

    directory: Path  # where the configuration's relative paths start

    @property
    def takes_configuration(self) -> bool: ...  # whether what has been read was made of the configuration

    def pipeline(self, composed: Composed | None = None) -> Pipeline: ...


class ConfiguredRun(msgspec.Struct, frozen=True):
    """What would be run. `said` is all that the configuration says, what is no matter of a run (schedule, sweep,
    target) too. Nothing is recorded yet."""

    pipeline: Pipeline
    submission: Submission
    said: RunConfiguration


class Lookups(msgspec.Struct, frozen=True):
    """Where references of a configuration are looked up. Each raises NotFound or InputRefused."""

    experiment: Callable[[str, str], str]  # (name, project) → id; made when there is none
    artifact: Callable[[str], Artifact]  # id, its beginning, or URI


def configured_run(
    source: Source, composed: Composed, given: Submission, *, defaults: RunSettings, flags: Collection[str] = ()
) -> ConfiguredRun:
    """`given` is what flags say, over `defaults`, which the home configures; see `configured`.

    Raises SpecError, CompileError, ConfigurationError, ParameterError, UnsupportedFeature.
    """
    said = run_configuration(composed)
    given = msgspec.structs.replace(given, warnings=(*given.warnings, *composed.warnings))
    read = source.pipeline(composed)
    pipeline, submission = configured(
        read, composed, said, given,
        base=source.directory, defaults=defaults, flags=flags, compiled=source.takes_configuration,
    )  # fmt: skip
    return ConfiguredRun(pipeline, submission, said)


def looked_up(run: ConfiguredRun, lookups: Lookups) -> Submission:
    """The submission with its experiment and artifacts found. What flags have named already stays."""
    submission, said = run.submission, run.said
    artifacts = {
        name: tuple(_placed(lookups.artifact, one, run, f"cairn.artifacts.{name}") for one in references)
        for name, references in said.artifacts.items()
        if name not in submission.input_artifacts
    }
    experiment = submission.experiment
    if said.experiment and not experiment:
        experiment = lookups.experiment(said.experiment, submission.project)
    return msgspec.structs.replace(
        submission, experiment=experiment, input_artifacts={**artifacts, **submission.input_artifacts}
    )


def _placed(find: Callable[[str], Artifact], reference: str, run: ConfiguredRun, key: str) -> Artifact:
    try:
        return find(reference)
    except CairnError as error:
        configuration = run.submission.configuration
        file = f"{configuration.directory}/{configuration.name}.yaml: " if configuration else ""
        raise ConfigurationError(str(error.message), place=f"{file}{key}", remedy=error.remedy) from error
