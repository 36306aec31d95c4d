"""A StudySpec read and checked: every field of it, each refusal with its place.

Source: google/cloud/aiplatform/v1/study.proto.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from cairn.errors import InputRefused
from cairn.tuning.parameters import every, parse_parameters
from cairn.tuning.reading import Fields, duration
from cairn.tuning.types import (
    Algorithm,
    ConvexRule,
    DecayCurveRule,
    Ending,
    MedianRule,
    Metric,
    Noise,
    ParameterKind,
    Selection,
    StoppingRule,
    StudySpec,
    TimeLimit,
)

_ALGORITHMS = {0: Algorithm.DEFAULT, 2: Algorithm.GRID, 3: Algorithm.RANDOM}
_NOISES = {0: Noise.UNSPECIFIED, 1: Noise.LOW, 2: Noise.HIGH}
_SELECTIONS = {0: "MEASUREMENT_SELECTION_TYPE_UNSPECIFIED", 1: Selection.LAST, 2: Selection.BEST}
_GOALS = {0: "GOAL_TYPE_UNSPECIFIED", 1: "MAXIMIZE", 2: "MINIMIZE"}
_SPACE = re.compile(r"\s")


def parse(message: Any, place: str = "studySpec") -> StudySpec:
    """Raises InputRefused with the place."""
    fields = Fields(message, place)
    spec = StudySpec(
        metrics=_metrics(fields),
        parameters=parse_parameters(fields),
        algorithm=fields.choice("algorithm", _ALGORITHMS),
        noise=fields.choice("observationNoise", _NOISES),
        selection=Selection.BEST
        if fields.choice("measurementSelectionType", _SELECTIONS) == Selection.BEST
        else Selection.LAST,
        stopping=_stopping(fields),
        ending=_ending(fields),
    )
    fields.done()
    _check(spec, fields)
    return spec


def _check(spec: StudySpec, fields: Fields) -> None:
    if not spec.objectives:
        raise fields.refuse("a metric without safetyConfig is needed: the objective", "metrics")
    several = len(spec.objectives) > 1
    if several and spec.stopping is not None:
        raise fields.refuse("trials are stopped early only where there is one objective", "metrics")
    if spec.ending and several:
        for name, given in (
            ("maxNumTrialsNoProgress", spec.ending.max_trials_no_progress),
            ("maxDurationNoProgress", spec.ending.max_duration_no_progress),
        ):
            if given is not None:
                raise fields.refuse("is for studies of one objective", f"studyStoppingConfig.{name}")
    if spec.algorithm is Algorithm.GRID:
        for parameter in (one.id for one in every(spec) if one.kind is ParameterKind.DOUBLE):
            raise fields.refuse(
                f"a grid has no {ParameterKind.DOUBLE} parameters, and {parameter!r} is one",
                "algorithm",
                "list the values that are to be tried in a discreteValueSpec",
            )
    rate = spec.stopping.learning_rate if isinstance(spec.stopping, ConvexRule) else ""
    if rate and rate not in {parameter.id for parameter in every(spec)}:
        name = "convexAutomatedStoppingSpec.learningRateParameterName"
        raise fields.refuse(f"there is no parameter {rate!r}", name)


def _metrics(fields: Fields) -> tuple[Metric, ...]:
    found: list[Metric] = []
    for number, message in enumerate(fields.list("metrics")):
        one = Fields(message, f"{fields.at('metrics')}[{number}]")
        id_ = one.text("metricId", required=True)
        if _SPACE.search(id_):
            raise one.refuse(f"{id_!r} has white space in it", "metricId")
        if id_ in {metric.id for metric in found}:
            raise one.refuse(f"there are two metrics {id_!r}", "metricId")
        minimize = one.choice("goal", _GOALS) == "MINIMIZE"
        safety = one.message("safetyConfig")
        one.done()
        found.append(_safety(safety, id_, minimize) if safety else Metric(id_, minimize))
    if not found:
        raise fields.refuse("at least one is needed", "metrics")
    return tuple(found)


def _safety(safety: Fields, id_: str, minimize: bool) -> Metric:
    fraction = safety.number("desiredMinSafeTrialsFraction")
    if fraction is not None and not 0 <= fraction <= 1:
        raise safety.refuse(f"{fraction} is not between 0 and 1", "desiredMinSafeTrialsFraction")
    threshold = safety.number("safetyThreshold") or 0.0
    safety.done()
    return Metric(id_, minimize, threshold, fraction)


def _stopping(fields: Fields) -> StoppingRule | None:
    found = fields.one_of("decayCurveStoppingSpec", "medianAutomatedStoppingSpec", "convexAutomatedStoppingSpec")
    if found is None:
        return None
    name, below = found
    by_time = below.flag("useElapsedDuration")
    rule: StoppingRule
    if name == "convexAutomatedStoppingSpec":
        rule = _convex(below, by_time)
    else:
        rule = MedianRule(by_time) if name == "medianAutomatedStoppingSpec" else DecayCurveRule(by_time)
    below.done()
    return rule


def _convex(below: Fields, by_time: bool) -> ConvexRule:
    counts = {name: below.integer(name) for name in ("maxStepCount", "minStepCount", "minMeasurementCount")}
    for name, count in counts.items():
        if count is not None and count < 0:
            raise below.refuse(f"{count} is negative", name)
    return ConvexRule(
        max_steps=counts["maxStepCount"] or 0,
        min_steps=counts["minStepCount"],
        min_measurements=counts["minMeasurementCount"] or 5,
        learning_rate=below.text("learningRateParameterName"),
        by_time=by_time,
        update_all=below.flag("updateAllStoppedTrials"),
    )


def _ending(fields: Fields) -> Ending | None:
    below = fields.message("studyStoppingConfig")
    if below is None:
        return None
    no_progress = below.get("maxDurationNoProgress")
    ending = Ending(
        as_soon_as_possible=below.flag("shouldStopAsap"),
        min_runtime=_limit(below, "minimumRuntimeConstraint"),
        max_runtime=_limit(below, "maximumRuntimeConstraint"),
        min_trials=_count(below, "minNumTrials", 0),
        max_trials=_count(below, "maxNumTrials", 1),
        max_trials_no_progress=_count(below, "maxNumTrialsNoProgress", 1),
        max_duration_no_progress=None
        if no_progress is None
        else duration(no_progress, below.at("maxDurationNoProgress")),
    )
    below.done()
    if ending.max_trials is not None and (ending.min_trials or 0) > ending.max_trials:
        raise below.refuse(f"{ending.min_trials} is more than maxNumTrials", "minNumTrials")
    return ending


def _count(fields: Fields, name: str, least: int) -> int | None:
    found = fields.integer(name)
    if found is not None and not least <= found < 1 << 31:
        raise fields.refuse(f"{found} is too {'few' if found < least else 'many'}", name)
    return found


def _limit(fields: Fields, name: str) -> TimeLimit | None:
    below = fields.message(name)
    if below is None:
        return None
    length, end = below.get("maxDuration"), below.get("endTime")
    below.done()
    if length is not None and end is not None:
        raise below.refuse("maxDuration and endTime cannot both be set")
    if end is not None:
        return TimeLimit(end=_instant(end, below.at("endTime")))
    return None if length is None else TimeLimit(duration=duration(length, below.at("maxDuration")))


def _instant(text: Any, place: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError(text)
    except (TypeError, ValueError):
        raise InputRefused(f"{text!r} is no time of RFC 3339", place=place) from None
    return round(moment.timestamp() * 1_000_000)


def warnings_of(spec: StudySpec) -> tuple[str, ...]:
    """What is taken, but does not do here what it does on Vertex AI."""
    found = []
    rule = spec.stopping
    if isinstance(rule, ConvexRule) and rule.learning_rate:
        found.append(
            "convexAutomatedStoppingSpec.learningRateParameterName: curves are judged without the learning rate"
        )
    if isinstance(rule, ConvexRule) and rule.update_all:
        found.append(
            "convexAutomatedStoppingSpec.updateAllStoppedTrials: a measurement that was made is not changed later"
        )
    if spec.constraints and spec.algorithm is not Algorithm.DEFAULT:
        found.append(f"safetyConfig: {spec.algorithm} does not keep away from what is unsafe; it is no optimal trial")
    if spec.noise is Noise.HIGH and spec.algorithm is Algorithm.GRID:
        found.append("observationNoise HIGH: a grid tries each of its points once")
    return tuple(found)
