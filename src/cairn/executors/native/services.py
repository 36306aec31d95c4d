"""What operations work with, handed over by `wiring`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cairn.domain.runs import AttemptRecord, Run
from cairn.engine.ports import Owner

if TYPE_CHECKING:
    from cairn.engine.runs import RunService
    from cairn.jobs.service import JobService
    from cairn.spec.types import Pipeline


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
    bring: Callable[[Run, Pipeline | None], None]  # to the engine whose attempts these are
