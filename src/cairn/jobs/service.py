"""Custom jobs as a service: made, looked up, listed, cancelled, deleted. A job is a run of one step.

What a job is given back as, and which resource it is part of (a training pipeline, a trial), its callers know: a run
keeps the message that it was made of in `Run.client[JOB]`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from cairn.domain.ids import numeric_id, random_uid
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT, Run, RunKind, RunSettings, Submission
from cairn.engine.gangs import JOB as JOB  # noqa: PLC0414 - part of what a job is
from cairn.engine.runs import RunService
from cairn.errors import InputRefused, NotFound, WrongState
from cairn.filters.tree import Comparison, Filter, Order
from cairn.jobs.document import MAX_DISPLAY_NAME, field, job_pipeline
from cairn.spec.types import Pipeline

STARTED = tuple(kind for kind in RunKind if kind is not RunKind.PIPELINE)
KINDS = (RunKind.CUSTOM_JOB, RunKind.TRAINING_PIPELINE, RunKind.TRIAL)  # what is listed as a custom job


class JobRecords(Protocol):
    """What is asked of the records."""

    def run_by_job_id(self, project: str, location: str, job_id: str) -> Run | None: ...

    def requested_run(self, project: str, location: str, request_id: str) -> Run | None: ...

    def spec_text(self, digest: str) -> str: ...

    def page_runs(
        self,
        *,
        projects: Collection[str] | None = None,
        location: str = "",
        where: Filter | None = None,
        orders: Sequence[Order] = (),
        query: str = "",
        token: str = "",
        limit: int = 100,
        kinds: Collection[RunKind] = (),
    ) -> tuple[list[Run], str]: ...


class Deleter(Protocol):
    def delete(self, run: Run) -> int: ...


class Created(msgspec.Struct, frozen=True):
    """`pipeline` is what an engine takes with the run: `engine.bring(run, pipeline)`, `host.offer(run, pipeline)`.

    `new` is False where the same request had made the run before; then an engine has it already, or it has ended."""

    run: Run
    pipeline: Pipeline
    new: bool


class JobService:
    """Threads: any. `runs` and `upkeep` are asked for when they are needed, and not before."""

    def __init__(
        self,
        records: JobRecords,
        runs: Callable[[], RunService],
        upkeep: Callable[[], Deleter],
        settings: Callable[[], RunSettings],
    ) -> None:
        """`settings`: how a job runs where nobody says otherwise."""
        self.records = records
        self.runs = runs
        self._upkeep = upkeep
        self._settings = settings

    def create(
        self,
        message: Mapping[str, Any],
        *,
        project: str = DEFAULT_PROJECT,
        location: str = DEFAULT_LOCATION,
        request_id: str = "",
        owner: str = "",
        settings: RunSettings | None = None,
        kind: RunKind = RunKind.CUSTOM_JOB,
        parent: str = "",
        labels: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        client: Mapping[str, Any] | None = None,
        source: str = "",
    ) -> Created:
        """Record a job; it runs once an engine has it.

        `message`: a CustomJob as JSON, in either spelling of its keys. `environment`: variables for every replica,
        below the job's own. `client`: kept in `Run.client` beside the message. The same `request_id` in the same
        project and location gives back what it made first. Raises InputRefused, SpecError, UnsupportedFeature.
        """
        known = self.records.requested_run(project, location, request_id) if request_id else None
        if known is not None:
            return Created(known, self.runs().pipeline_of(known), new=False)
        pipeline = job_pipeline(message, environment or {})
        uid = random_uid()
        submission = Submission(
            settings=msgspec.structs.replace(settings or self._settings(), use_cache=False),
            project=project,
            location=location,
            job_id=numeric_id(uid),
            display_name=display_name(message),
            labels={**labels_of(message), **(labels or {})},
            source=source,
            request_id=request_id,
            owner=owner,
            uid=uid,
            client={**(client or {}), JOB: dict(message)},
            kind=kind,
            parent=parent,
        )
        run = self.runs().submit(pipeline, submission)
        return Created(run, pipeline, new=run.uid == uid)

    def get(
        self,
        job_id: str,
        *,
        project: str = DEFAULT_PROJECT,
        location: str = DEFAULT_LOCATION,
        kinds: Collection[RunKind] = KINDS,
    ) -> Run:
        """Raises NotFound, also for a run that is no job."""
        found = self.records.run_by_job_id(project, location, job_id)
        if found is None or found.kind not in kinds:
            raise NotFound(f"there is no job {job_id!r}", place=f"projects/{project}/locations/{location}")
        return found

    def page(
        self,
        *,
        projects: Collection[str] | None = None,
        location: str = "",
        where: Filter | None = None,
        orders: Sequence[Order] = (),
        query: str = "",
        token: str = "",
        limit: int = 100,
        kinds: Collection[RunKind] = KINDS,
    ) -> tuple[list[Run], str]:
        """One page, newest first, as `records.page_runs`."""
        return self.records.page_runs(
            projects=projects,
            location=location,
            where=where,
            orders=orders,
            query=f"jobs\n{query}",
            token=token,
            limit=limit,
            kinds=kinds,
        )

    def started_by(self, run: Run) -> list[Run]:
        """The jobs, tuning jobs and trials that a run has started, oldest first."""
        found: list[Run] = []
        token = ""
        while True:
            page, token = self.records.page_runs(
                where=Comparison(("parent",), "=", run.uid), query="started", token=token, limit=1000, kinds=STARTED
            )
            found += page
            if not token:
                return found[::-1]

    def cancel(self, run: Run, *, kill: bool = False) -> None:
        """Ask for its end. Raises WrongState for one that has ended."""
        if run.state.terminal:
            raise WrongState(f"job {run.job_id} has ended: {run.state}")
        self.runs().cancel(run, kill=kill)

    def delete(self, run: Run) -> int:
        """With its logs and what only it refers to; the bytes freed. Raises WrongState for one that has not ended."""
        if not run.state.terminal:
            raise WrongState(f"job {run.job_id} has not ended: {run.state}", remedy="cancel it, then delete it")
        return self._upkeep().delete(run)


def launch_request(attempt_uid: str) -> str:
    """The request id of what a step's attempt launches: an engine that comes back makes it no second time."""
    return f"native-{attempt_uid}"


def message_of(run: Run) -> dict[str, Any]:
    """The CustomJob that a run was made of, as it was given."""
    found: dict[str, Any] = run.client.get(JOB, {})
    return found


def display_name(message: Mapping[str, Any]) -> str:
    name = field(message, "displayName") or ""
    if not isinstance(name, str) or len(name) > MAX_DISPLAY_NAME:
        raise InputRefused(f"must be text of up to {MAX_DISPLAY_NAME} characters", place="displayName")
    return name


def labels_of(message: Mapping[str, Any]) -> dict[str, str]:
    found = field(message, "labels") or {}
    if not isinstance(found, Mapping) or not all(isinstance(part, str) for pair in found.items() for part in pair):
        raise InputRefused("must be texts by name", place="labels")
    return dict(found)
