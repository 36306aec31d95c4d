"""The jobs of a sweep as they are shown: what became of each, ranked by the metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cmp_to_key

import msgspec

from cairn.domain.runs import Run, TaskRecord
from cairn.domain.states import RunState
from cairn.engine.runs import RunService
from cairn.sweeps.metrics import Address, Unspiller, better, parse_address, read_metric
from cairn.sweeps.service import SweepService
from cairn.sweeps.types import Job, Sweep


def parse_overrides(overrides: Iterable[str]) -> dict[str, str]:
    """key → value; a deletion has no value."""
    found = {}
    for override in overrides:
        key, _, value = override.partition("=")
        found[key.lstrip("+")] = value
    return found


def job_of(run: Run, tasks: Sequence[TaskRecord], addresses: Sequence[Address], store: Unspiller) -> Job:
    leaves = [record for record in tasks if record.kind == "leaf"]
    done = run.state is RunState.SUCCEEDED
    return Job(
        number=run.configuration.job if run.configuration else -1,
        overrides=parse_overrides(run.configuration.overrides if run.configuration else ()),
        state=str(run.state),
        run_id=run.uid,
        job_id=run.job_id,
        metrics=tuple(read_metric(address, run, tasks, store) if done else None for address in addresses),
        seconds=max(0, run.end_time - run.start_time) / 1e6 if run.end_time and run.start_time else 0.0,
        steps=len(leaves),
        cached=sum(record.cached for record in leaves),
        error=run.error.message if run.error is not None else "",
    )


def ranked(jobs: Sequence[Job], goals: Sequence[str]) -> list[Job]:
    """Best first by the first metric, the next one where that is equal; then those without, by their numbers."""
    with_metric = [job for job in jobs if any(value is not None for value in job.metrics)]
    without = sorted((job for job in jobs if job not in with_metric), key=lambda job: job.number)

    def compare(left: Job, right: Job) -> int:
        for mine, other, goal in zip(left.metrics, right.metrics, goals, strict=True):
            if better(mine, other, goal):
                return -1
            if better(other, mine, goal):
                return 1
        return left.number - right.number

    ordered = sorted(with_metric, key=cmp_to_key(compare))
    best = {job.number for job in ordered[:1]}
    if len(goals) > 1:
        best = {job.number for job in ordered if not any(_dominates(other, job, goals) for other in ordered)}
    placed = [msgspec.structs.replace(job, rank=at, best=job.number in best) for at, job in enumerate(ordered, start=1)]
    return placed + without


def ranked_jobs(service: SweepService, runs: RunService, sweep: Sweep) -> list[Job]:
    """Those that have a run, ranked; of a job that was decided on twice, what was decided last."""
    made = service.runs(sweep)
    addresses: tuple[Address, ...] = ()
    if made and sweep.configuration.metric:
        pipeline = runs.pipeline_of(made[0])
        addresses = tuple(parse_address(text, pipeline) for text in sweep.configuration.metric)
    found = {}
    for run in made:
        job = job_of(run, runs.services.records.tasks(run.uid), addresses, runs.services.store)
        found[job.number] = job
    return ranked(list(found.values()), sweep.configuration.goal)


def _dominates(left: Job, right: Job, goals: Sequence[str]) -> bool:
    pairs = list(zip(left.metrics, right.metrics, goals, strict=True))
    if any(better(theirs, mine, goal) for mine, theirs, goal in pairs):
        return False
    return any(better(mine, theirs, goal) for mine, theirs, goal in pairs)
