"""One job of a sweep: what it is to run, the run that there is of it, and what Hydra's sweeper is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import xxhash
from hydra.core.utils import JobReturn, JobStatus

from cairn.domain.runs import Run, Submission
from cairn.domain.states import RunState
from cairn.spec.types import Pipeline


class Outcome(JobReturn):
    """A job's return as Hydra's sweepers read it; a failed one raises JobFailed and writes nothing."""

    @property
    def return_value(self) -> Any:
        if self.status is JobStatus.COMPLETED:
            return self._return_value
        raise self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


class Plan(msgspec.Struct):
    """One job. `run` is the one that is recorded; with `pipeline` and `submission` it is yet to be made."""

    number: int
    overrides: tuple[str, ...]
    request_id: str
    run: Run | None = None
    pipeline: Pipeline | None = None
    submission: Submission | None = None
    renewed: bool = False
    refused: str = ""  # why it has no run
    left: bool = False  # so many have failed that it is not started

    @property
    def ended(self) -> bool:
        return self.run is not None and self.run.state.terminal and not self.renewed

    @property
    def failed(self) -> bool:
        """And not to be tried again."""
        if self.refused:
            return True
        return self.ended and self.run is not None and self.run.state is not RunState.SUCCEEDED


def request_of(sweep: str, number: int, overrides: Sequence[str]) -> str:
    return f"sweep/{sweep}/{number}/{xxhash.xxh3_64_hexdigest(chr(0).join(overrides).encode())}"


def by_number(runs: Sequence[Run]) -> dict[int, dict[str, Run]]:
    found: dict[int, dict[str, Run]] = {}
    for run in runs:
        if run.configuration is not None:
            found.setdefault(run.configuration.job, {})[run.request_id] = run
    return found
