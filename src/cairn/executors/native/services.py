"""What operations work with, handed over by `wiring`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cairn.domain.runs import AttemptRecord, Run
from cairn.engine.ports import Owner

if TYPE_CHECKING:
    from cairn.engine.runs import RunService
    from cairn.executors.native.trial_metrics import Point
    from cairn.jobs.service import JobService
    from cairn.jobs.tuning_jobs import TuningJobService
    from cairn.spec.types import Pipeline
    from cairn.tuning.service import StudyService


class NativeRecords(Protocol):
    def run(self, run_uid: str) -> Run: ...

    def attempts(self, run_uid: str) -> list[AttemptRecord]: ...

    def claimed(self, run_uid: str) -> Owner | None: ...

    def run_by_job_id(self, project: str, location: str, job_id: str) -> Run | None: ...


@dataclass(slots=True)
class NativeServices:
    """Threads: the native executor's. Services are asked for when the first operation wants them."""

    records: NativeRecords
    runs: Callable[[], RunService]
    jobs: Callable[[], JobService]
    tuning_jobs: Callable[[], TuningJobService]
    studies: Callable[[], StudyService]
    bring: Callable[[Run, Pipeline | None], None]  # to the engine whose attempts these are
    path_of: Callable[[str], str | None]  # of a URI, `ArtifactStore.path_of`

    def read_scalars(self, directory: str, position: Mapping[str, int]) -> tuple[Iterable[Point], dict[str, int]]:
        from cairn.tensorboards.scalars import read_scalars

        found = read_scalars(directory, position)
        return found.points, dict(found.position)

    def log_directory(self, job: Run) -> str | None:
        """Where a job writes for TensorBoard: AIP_TENSORBOARD_LOG_DIR."""
        from cairn.jobs.document import field
        from cairn.jobs.service import message_of

        base = field(field(message_of(job), "jobSpec") or {}, "baseOutputDirectory") or {}
        prefix = field(base, "outputUriPrefix") or ""
        return self.path_of(f"{prefix.rstrip('/')}/logs") if prefix else None
