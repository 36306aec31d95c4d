"""Cairn from Python: notebooks, tests, scripts.

>>> import cairn
>>> run = cairn.run("pipeline.yaml", {"epochs": 3})
>>> run.outputs["accuracy"]
>>> run.artifacts["train/model"].path
>>> print(run.logs("train"))
"""

from cairn.sdk.results import Artifact, Run, RunFailed, Task
from cairn.sdk.running import open_run, run

__all__ = ["Artifact", "Run", "RunFailed", "Task", "open_run", "run"]
