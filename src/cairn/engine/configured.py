"""From a pipeline and a composed configuration to the run that is meant: one way for runs, sweeps and `submit`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec

from cairn.config.composing import Composed
from cairn.config.nodes import Place
from cairn.domain.configuration import RunConfiguration
from cairn.domain.runs import DEFAULT_PROJECT, ImageMapping, RunSettings, Submission
from cairn.engine.configured_parameters import found_parameters
from cairn.engine.unheeded import unheeded
from cairn.errors import ConfigurationError, InputRefused
from cairn.spec.stepping import with_steps
from cairn.spec.types import Pipeline

NOT_CONFIGURED = RunSettings()


def configured(
    pipeline: Pipeline,
    composed: Composed,
    said: RunConfiguration,
    given: Submission,
    *,
    base: Path,
    defaults: RunSettings = NOT_CONFIGURED,
    flags: Collection[str] = (),
    compiled: bool = False,
) -> tuple[Pipeline, Submission]:
    """The pipeline with what the configuration says of its steps, and the submission with parameters, settings, root,
    labels and the configuration itself. What `given` says (flags) wins. `base` is what relative `project:DIR` of the
    configuration start from. Experiments and artifacts are references still: the caller looks them up.

    `defaults` is what the home configures, which the configuration wins over; of `given.settings` a field counts as
    said by a flag when it differs from that, or is named in `flags`. What has no effect becomes a warning,
    overrides too, unless the pipeline was `compiled` with the configuration, when they may have done their work there.

    Raises ConfigurationError, UnsupportedFeature: a step that is none, with the nearest; a parameter that does not fit.
    """
    found = found_parameters(pipeline, composed, said, given.parameters)
    parameters = {name: one.value for name, one in found.items() if one.value is not None}
    astray = () if compiled else unheeded(composed, [one.key for one in found.values()])
    submission = msgspec.structs.replace(
        given,
        parameters={**parameters, **given.parameters},
        settings=_settings(said, given.settings, base, defaults, flags),
        project=given.project if given.project != DEFAULT_PROJECT else said.project or given.project,
        display_name=given.display_name or said.name,
        description=given.description or said.description,
        labels={**said.labels, **given.labels},
        pipeline_root=given.pipeline_root or said.pipeline_root,
        warnings=(*given.warnings, *said.warnings, *astray),
        configuration=composed.configuration,
    )
    return _stepped(pipeline, composed, said), submission


def _stepped(pipeline: Pipeline, composed: Composed, said: RunConfiguration) -> Pipeline:
    try:
        return with_steps(pipeline, said.steps)
    except InputRefused as error:
        place = str(Place(composed, error.place)) if isinstance(error, ConfigurationError) else error.place
        raise ConfigurationError(error.message, place=place, remedy=error.remedy) from None


def _settings(
    said: RunConfiguration, given: RunSettings, base: Path, defaults: RunSettings, flags: Collection[str]
) -> RunSettings:
    wanted = {
        "use_cache": said.caching,
        "cache_ttl_seconds": said.cache_ttl_seconds,
        "verify_cache": said.verify_cache,
        "failure_policy": said.failure_policy or None,
        "executor": said.executor or None,
        "strict": said.strict,
        "in_place": said.in_place,
        "notify": said.notify or None,
    }
    taken = {
        name: value
        for name, value in wanted.items()
        if value is not None and name not in flags and getattr(given, name) == getattr(defaults, name)
    }
    images = tuple(ImageMapping.said(pattern, target, base) for pattern, target in said.images)
    by_flags = len(given.images) - len(defaults.images)
    if by_flags < 0 or given.images[by_flags:] != defaults.images:
        by_flags = len(given.images)
    return msgspec.structs.replace(given, images=(*given.images[:by_flags], *images, *given.images[by_flags:]), **taken)
