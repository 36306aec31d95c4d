"""`cairn.report(accuracy=0.93, step=3)`: what a trial says of itself while it trains.

One line of JSON per call, as cloudml-hypertune writes them, is added to the file that CLOUD_ML_HP_METRIC_FILE names.
Standard library only, Python 3.8 or newer: this file may be copied to where Cairn is not installed.
"""

from __future__ import annotations

import json
import os
import time
from typing import Mapping, Optional  # noqa: UP035

DEFAULT_PATH = "/tmp/hypertune/output.metrics"  # cloudml-hypertune's own
_TAKEN = frozenset(("timestamp", "trial", "global_step", "checkpoint_path"))


def report(
    metrics: Optional[Mapping[str, float]] = None,  # noqa: UP045
    *,
    step: int = 0,
    checkpoint_path: str = "",
    **more: float,
) -> None:
    """Report metrics of a step (an epoch, a number of batches), by name, or in `metrics` for names that Python does not
    allow. What is no number raises TypeError or ValueError; so does a report without any."""
    values = {**(metrics or {}), **more}
    if not values:
        raise ValueError("a report needs a metric: report(accuracy=0.93, step=3)")
    for name in sorted(_TAKEN.intersection(values)):
        raise ValueError(f"a metric cannot be called {name!r}")
    line = {
        "timestamp": time.time(),
        "trial": os.environ.get("CLOUD_ML_TRIAL_ID", "0"),
        "global_step": str(int(step)),
        "checkpoint_path": checkpoint_path,
        **{name: str(float(value)) for name, value in values.items()},
    }
    path = os.environ.get("CLOUD_ML_HP_METRIC_FILE") or DEFAULT_PATH
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    # One write at the end of the file: lines of several threads and processes do not mix.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, (json.dumps(line, sort_keys=True) + "\n").encode())
    finally:
        os.close(descriptor)
