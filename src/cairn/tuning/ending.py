"""When a study ends by itself: `studyStoppingConfig`.

Source: StudySpec.StudyStoppingConfig in google/cloud/aiplatform/v1/study.proto. The rules are looked at in its order,
before each new suggestion; the minima keep the others from being looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

from cairn.tuning.selection import succeeded
from cairn.tuning.types import Ending, Study, StudySpec, TimeLimit, Trial


def ended(spec: StudySpec, study: Study, trials: Sequence[Trial], now: int) -> str:
    """Why the study has come to its end; "" when it has not."""
    rule = spec.ending
    if rule is None or _too_early(rule, study, trials, now):
        return ""
    if rule.max_runtime and _passed(rule.max_runtime, study, now):
        return "its time has passed (maximumRuntimeConstraint)"
    if rule.max_trials is not None and len(trials) >= rule.max_trials:
        return f"it has {len(trials)} trials (maxNumTrials)"
    return _no_progress(rule, spec, study, trials, now)


def room(spec: StudySpec, study: Study, trials: Sequence[Trial], now: int) -> int | None:
    """How many trials may still be made; None: as many as one likes."""
    rule = spec.ending
    if rule is None or rule.max_trials is None or _too_early(rule, study, trials, now):
        return None
    return max(rule.max_trials - len(trials), 0)


def _too_early(rule: Ending, study: Study, trials: Sequence[Trial], now: int) -> bool:
    if rule.min_runtime and not _passed(rule.min_runtime, study, now):
        return True
    return rule.min_trials is not None and sum(trial.state.terminal for trial in trials) < rule.min_trials


def _passed(limit: TimeLimit, study: Study, now: int) -> bool:
    return now >= (limit.end or study.create_time + limit.duration)


def _no_progress(rule: Ending, spec: StudySpec, study: Study, trials: Sequence[Trial], now: int) -> str:
    if rule.max_trials_no_progress is None and rule.max_duration_no_progress is None:
        return ""
    gains = {trial.id: gain for trial, gain in succeeded(spec, trials)}
    best: tuple[float, ...] | None = None
    since, at = 0, study.create_time
    for trial in sorted((one for one in trials if one.state.terminal), key=lambda one: (one.end_time, one.number)):
        gain = gains.get(trial.id)
        if gain is not None and (best is None or gain > best):
            best, since, at = gain, 0, trial.end_time
        else:
            since += 1
    if rule.max_trials_no_progress is not None and since >= rule.max_trials_no_progress:
        return f"the last {since} trials were no better (maxNumTrialsNoProgress)"
    if rule.max_duration_no_progress is not None and now - at >= rule.max_duration_no_progress:
        return f"it has been no better for {(now - at) / 1e6:.0f} s (maxDurationNoProgress)"
    return ""
