"""What a sweep's jobs are made of, whoever drives it: the pipeline as read or as recorded; a job's configuration."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from cairn.config.composing import Composed
from cairn.domain.artifacts import Artifact
from cairn.domain.runs import RunSettings, Submission
from cairn.engine.configuring import ConfiguredRun, Lookups, Source, configured_run, looked_up
from cairn.engine.sources import split_source
from cairn.errors import ConfigurationError
from cairn.spec.load import load_text
from cairn.spec.types import Pipeline
from cairn.sweeps.types import Definition, Sweep


class JobConfigurer:
    """From one job's composed configuration to its run, as `cairn run` does it. `source` is read, or recorded."""

    def __init__(
        self, sweep: Sweep, source: Source, *, defaults: RunSettings, artifact: Callable[[str], Artifact]
    ) -> None:
        """`defaults`: what the home configures; `artifact` finds one by its reference."""
        self.source = source
        self._defaults = defaults
        self._flags = frozenset(sweep.flags)
        # All runs are of the sweep's experiment: the one that a job names is looked up once, when the sweep begins.
        self._lookups = Lookups(experiment=lambda *_: "", artifact=cache(artifact))
        self._first: Composed | None = None

    def __call__(self, composed: Composed, given: Submission) -> ConfiguredRun:
        self._first = self._first or composed
        run = configured_run(self.source, composed, given, defaults=self._defaults, flags=self._flags)
        if run.said.schedule is not None:
            raise ConfigurationError(
                "a sweep's runs begin now: they are on no schedule",
                place=f"{composed.primary}: cairn.schedule",
                remedy="add cairn.schedule=null, or leave out -m",
            )
        return replace(run, submission=looked_up(run, self._lookups))

    @property
    def text(self) -> str:
        return self.source.pipeline(self._first).text

    @property
    def for_each_job(self) -> bool:
        return self.source.takes_configuration


class RecordedSource:
    """The pipeline of a sweep that goes on, instead of its file."""

    takes_configuration = False

    def __init__(self, sweep: Sweep, definition: Definition) -> None:
        self.directory = Path(os.path.abspath(split_source(sweep.submission.source)[0])).parent
        self._pipeline = load_text(definition.text, origin=f"sweep {sweep.id[:8]}")

    def pipeline(self, composed: Composed | None = None) -> Pipeline:  # noqa: ARG002 - as PipelineSource has it
        return self._pipeline
