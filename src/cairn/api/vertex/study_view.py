"""A study's trials as aiplatform.v1 `Trial` and `Measurement`, canonical JSON."""

from __future__ import annotations

from typing import Any

from cairn.api.vertex.names import Place
from cairn.api.vertex.times import put
from cairn.tuning.types import Measurement, Trial, TrialState


def trial_view(trial: Trial) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": f"{Place(trial.project, trial.location)}/studies/{trial.study}/trials/{trial.id}",
        "id": trial.id,
        "state": str(trial.state),
        "parameters": [{"parameterId": name, "value": value} for name, value in trial.parameters.items()],
        "measurements": [measurement_view(one) for one in trial.measurements],
        "clientId": trial.client_id,
        "customJob": trial.custom_job,
        "webAccessUris": trial.web_access_uris,
    }
    if trial.final is not None:
        found["finalMeasurement"] = measurement_view(trial.final)
    if trial.state is TrialState.INFEASIBLE:
        found["infeasibleReason"] = trial.infeasible_reason
    found = {name: value for name, value in found.items() if value}
    put(found, startTime=trial.start_time, endTime=trial.end_time)
    return found


def measurement_view(measurement: Measurement) -> dict[str, Any]:
    found: dict[str, Any] = {
        "metrics": [
            {"metricId": name, "value": value} if value else {"metricId": name}
            for name, value in measurement.metrics.items()
        ]
    }
    if measurement.step:
        found["stepCount"] = str(measurement.step)
    if measurement.elapsed:
        found["elapsedDuration"] = duration(measurement.elapsed)
    return found


def duration(microseconds: int) -> str:
    """google.protobuf.Duration, with as many digits as protobuf writes: none, three or six."""
    seconds, rest = divmod(microseconds, 1_000_000)
    fraction = f".{rest:06}" if rest % 1000 else f".{rest // 1000:03}" if rest else ""
    return f"{seconds}{fraction}s"
