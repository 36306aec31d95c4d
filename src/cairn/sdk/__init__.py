"""Cairn from Python: notebooks, tests, scripts.

>>> import cairn
>>> run = cairn.run("pipeline.yaml", {"epochs": 3})
>>> run.outputs["accuracy"]
>>> run.artifacts["train/model"].path
>>> print(run.logs("train"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cairn.sdk.results import Artifact, Run, RunFailed, Task
    from cairn.sdk.running import open_run, run
    from cairn.sdk.sweeping import Sweep, open_sweep, sweep

__all__ = ["Artifact", "Run", "RunFailed", "Sweep", "Task", "open_run", "open_sweep", "run", "sweep"]


def __getattr__(name: str) -> Any:
    # `cairn.sdk.hydra` runs where pipelines are compiled: beside kfp, and not with all that an engine needs.
    from importlib import import_module

    if name in ("Artifact", "Run", "RunFailed", "Task"):
        return getattr(import_module("cairn.sdk.results"), name)
    if name in ("open_run", "run"):
        return getattr(import_module("cairn.sdk.running"), name)
    if name in ("Sweep", "open_sweep", "sweep"):
        return getattr(import_module("cairn.sdk.sweeping"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
