"""Specifications in short."""

from typing import Any

import pytest

from cairn.tuning.study_spec import parse
from cairn.tuning.types import Measurement, StudySpec, Trial, TrialState


def message_of(*parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    metrics = [{"metricId": "score", "goal": "MAXIMIZE"}]
    return {"metrics": metrics, "parameters": list(parameters) or [double("x")], **more}


def double(name: str, low: float = 0.0, high: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"parameterId": name, "doubleValueSpec": {"minValue": low, "maxValue": high}, **more}


def trial_of(number: int, curve: list[float], final: float | None = None, **more: Any) -> Trial:
    """Completed, if it has a final value. Steps count from 1, seconds by tens."""
    measurements = tuple(Measurement({"score": value}, step, step * 10_000_000) for step, value in enumerate(curve, 1))
    state = TrialState.ACTIVE if final is None else TrialState.SUCCEEDED
    last = None if final is None else Measurement({"score": final})
    return Trial(str(number), "1", state=state, measurements=measurements, final=last, **more)


@pytest.fixture
def spec_of():
    """`spec_of(double("x"), algorithm="GRID_SEARCH")`, read."""

    def build(*parameters: dict[str, Any], **more: Any) -> StudySpec:
        return parse(message_of(*parameters, **more))

    return build
