"""Where a run's files are. A path of its own for every attempt, worked out from names alone, so that an engine that
comes back finds what another began."""

from __future__ import annotations

import re

import msgspec

from cairn.domain.runs import Run

HYPERTUNE_FILE = "hypertune/output.metrics"  # in an attempt's directory: where a job reports metrics to be tuned by
_INDEX = re.compile(r"\[(\d+)\]")


class AttemptLayout(msgspec.Struct, frozen=True):
    """`task_root` is a URI below the pipeline root; the rest are real paths."""

    directory: str
    task_root: str
    parameters: str  # directory of output parameter files

    def artifact_uri(self, key: str) -> str:
        return f"{self.task_root}/{key}"

    @property
    def output_file(self) -> str:
        """URI of executor_output.json: beside the artifacts, for `dsl.get_uri` takes its directory as the task root."""
        return f"{self.task_root}/executor_output.json"


def task_directory(path: str) -> str:
    """`for-loop-2[0]/train` → `for-loop-2/0/train`: a loop's directory holds nothing but its indices."""
    return _INDEX.sub(r"/\1", path)


def attempt_layout(runs_directory: str, root: str, run: Run, path: str, number: int) -> AttemptLayout:
    below = task_directory(path)
    directory = f"{runs_directory}/{run.uid}/{below}/attempt-{number}"
    return AttemptLayout(
        directory, f"{root.rstrip('/')}/{run.pipeline_name}/{run.uid}/{below}/{number}", f"{directory}/outputs"
    )


def workspace_directory(runs_directory: str, run: Run) -> str:
    return f"{runs_directory}/{run.uid}/.workspace"
