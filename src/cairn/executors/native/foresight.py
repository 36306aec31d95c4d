"""What is known of native steps before they run: whether what they start could run here, and what it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from cairn.domain.runs import RunSettings
from cairn.domain.values import Value
from cairn.engine.ports import Environments, Foreseen, NativeCall
from cairn.errors import CairnError, InputRefused, SpecError
from cairn.executors.native.launcher_words import Launch, without_empty
from cairn.jobs.document import field, job_pipeline
from cairn.spec.native_calls import is_open, known_calls, settled
from cairn.spec.native_services import CUSTOM_JOB, TUNING_JOB, TUNING_JOB_WITH_METRICS
from cairn.spec.types import Pipeline

if TYPE_CHECKING:
    from cairn.engine.runs import RunService
    from cairn.jobs.tuning_jobs import TuningJobService

_TUNING = (TUNING_JOB, TUNING_JOB_WITH_METRICS)
_UNKNOWN = Foreseen(whole=False)  # until it runs


class Foresight:
    """`engine.ports.NativeWork`."""

    def __init__(
        self,
        runs: Callable[[], RunService],
        tuning_jobs: Callable[[], TuningJobService],
        environments: Environments,
    ) -> None:
        self._runs = runs
        self._tuning_jobs = tuning_jobs
        self._environments = environments

    def check(self, pipeline: Pipeline, parameters: Mapping[str, Value], settings: RunSettings) -> Foreseen:
        warnings: list[str] = []
        pins: dict[str, str] = {}
        whole = True
        for call in known_calls(pipeline, parameters):
            if call.native.type not in (CUSTOM_JOB, *_TUNING):
                continue
            if call.problem:
                raise InputRefused(call.problem, place=call.path)
            if call.message is None:
                whole = False
                continue
            try:
                found = self._check(call.native.type, call.message, settings)
                warnings += [f"{call.path}: {one}" for one in found.warnings]
                pins |= found.pins
                whole = whole and found.whole
            except CairnError as error:
                if not isinstance(error, InputRefused):
                    raise
                error.place = f"{call.path}: {error.place}" if error.place else call.path
                raise
        return Foreseen(tuple(dict.fromkeys(warnings)), pins, whole)

    def identity(self, call: NativeCall) -> str:
        """Of the images and projects that its job names; "" where one of them has none, or nothing is known of it."""
        if call.kind not in (CUSTOM_JOB, *_TUNING):
            return ""
        settings = msgspec.convert(call.settings or {}, RunSettings)
        try:
            message = Launch.of(call).message()
            spec = field(message, "jobSpec" if call.kind == CUSTOM_JOB else "trialJobSpec") or {}
            plans = self._runs().plans(job_pipeline({"jobSpec": spec}, {}), settings)
        except CairnError:
            return ""  # it fails when it is run, and says why
        found = [self._environments.identity(plan) for plan in plans.values()]
        return ",".join(found) if found and all(found) else ""

    def _check(self, kind: str, message: dict[str, Any], settings: RunSettings) -> Foreseen:
        if kind == CUSTOM_JOB:
            spec = field(message, "jobSpec")
            return self._check_job(spec, settings) if isinstance(spec, dict) else _UNKNOWN
        study, trial = field(message, "studySpec"), field(message, "trialJobSpec")
        if isinstance(study, dict) and not is_open(study):
            self._tuning_jobs().check_study(without_empty(study), "studySpec")
        return self._check_job(trial, settings) if isinstance(trial, dict) else _UNKNOWN

    def _check_job(self, spec: dict[str, Any], settings: RunSettings) -> Foreseen:
        """Of the plan. Nothing is said where pools or images are known only when it runs."""
        pools = field(spec, "workerPoolSpecs")
        if not isinstance(pools, list) or any(is_open(image) for image in _images(pools)):
            return _UNKNOWN
        try:
            pipeline = job_pipeline({"jobSpec": settled(without_empty(spec))}, {})
        except SpecError as error:
            raise InputRefused(error.message, place=error.place, remedy=error.remedy) from None
        plans = self._runs().plans(pipeline, settings)
        warnings = (*pipeline.warnings, *(warning for plan in plans.values() for warning in plan.warnings))
        return Foreseen(warnings, self._runs().pins(plans))


def _images(pools: list[Any]) -> Iterator[Any]:
    """What has to be known of each pool, for anything to be said of it."""
    for pool in pools:
        if not isinstance(pool, dict):
            yield pool
            continue
        inner = field(pool, "containerSpec")
        if isinstance(inner, dict):
            yield field(inner, "imageUri") or ""
        elif inner is not None:
            yield inner
