"""What a sweep came to: a table of its jobs, ranked by the metric, or one JSON object."""

from __future__ import annotations

import csv
import math
import sys
from typing import TYPE_CHECKING, Any

from cairn.cli import output, words
from cairn.cli.summary import number as as_number
from cairn.cli.tables import table
from cairn.domain.states import RunState
from cairn.sweeps.ranking import ranked_jobs
from cairn.sweeps.types import SweepState

if TYPE_CHECKING:
    from cairn.sweeps.types import Job, Sweep
    from cairn.wiring import Cairn

SHOWN = 50  # rows at the end of a sweep; `cairn sweeps show` has all
_STYLES = {SweepState.SUCCEEDED: "green", SweepState.FAILED: "red", SweepState.CANCELLED: "yellow"}


def tell_sweep(cairn: Cairn, sweep: Sweep, *, as_json: bool, cancelled: bool = False) -> None:
    """At the end of a sweep."""
    jobs = ranked_jobs(cairn.sweeps, cairn.runs, sweep)
    if as_json:
        output.print_json(sweep_object(sweep, jobs))
        return
    paint = output.painter(sys.stdout)
    took = words.duration(max(0, sweep.end_time - sweep.create_time) / 1e6)
    counts = ", ".join(f"{count} {state.lower()}" for state, count in sweep.counts.items())
    state = paint(sweep.state.lower(), _STYLES.get(sweep.state, "dim"))
    output.say(f"{paint('sweep', 'bold')} {sweep.name} {state} in {took} ({counts or 'no jobs'})")
    tell_table(sweep, jobs, limit=SHOWN)
    if sweep.error:
        output.warn(sweep.error)
    output.say(f"look further: {paint(f'cairn sweeps show {sweep.id[:8]}', 'cyan')}")
    if not cancelled and (sweep.state is SweepState.FAILED):
        output.note(f"try the failed ones again: cairn sweeps resume {sweep.id[:8]} --retry-failed")


def tell_table(sweep: Sweep, jobs: list[Job], *, limit: int = 0) -> None:
    shown = jobs[:limit] if limit else jobs
    metrics = sweep.configuration.metric
    rows = [
        (
            job.run_id[:8],
            str(job.number),
            (f"{job.rank}{'*' if job.best and len(metrics) > 1 else ''}" if job.rank else "-") if metrics else "-",
            *(as_number(value) if value is not None else "-" for value in _padded(job, len(metrics))),
            *(job.overrides.get(key, "") for key in sweep.keys),
            job.state,
            words.duration(job.seconds) if job.seconds else "",
            f"{job.cached}/{job.steps}",
        )
        for job in shown
    ]
    table(("run", "job", "rank", *metrics, *sweep.keys, "state", "took", "cached"), rows, empty="no runs yet")
    if len(shown) < len(jobs):
        output.note(f"and {len(jobs) - len(shown)} more: cairn sweeps show {sweep.id[:8]}")
    if not metrics and jobs:
        output.note("not ranked: name a metric in the configuration, cairn.sweep.metric (STEP.METRIC, or an output)")
    succeeded = [job for job in jobs if job.state == RunState.SUCCEEDED]
    for at, metric in enumerate(metrics if succeeded else ()):
        if all(_padded(job, len(metrics))[at] is None for job in succeeded):
            shown_by = f"`cairn runs show {succeeded[0].run_id[:8]}` shows what there is"
            output.warn(f"no run has a metric {metric}, so nothing is ranked by it: {shown_by}")


def tell_csv(sweep: Sweep, jobs: list[Job]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    metrics = sweep.configuration.metric
    writer.writerow(("job", "rank", *metrics, *sweep.keys, "state", "seconds", "steps", "cached", "run_id", "job_id"))
    for job in jobs:
        values = ("" if value is None else repr(value) for value in _padded(job, len(metrics)))
        chosen = (job.overrides.get(key, "") for key in sweep.keys)
        rest = (job.state, f"{job.seconds:.3f}", job.steps, job.cached, job.run_id, job.job_id)
        writer.writerow((job.number, job.rank or "", *values, *chosen, *rest))


def sweep_object(sweep: Sweep, jobs: list[Job]) -> dict[str, Any]:
    """`best` is a run's id, or with several metrics those that no other beats in all of them."""
    best = [job.run_id for job in jobs if job.best]
    metrics = sweep.configuration.metric
    return {
        **sweep_facts(sweep),
        "best": best if len(metrics) > 1 else best[0] if best else None,
        "runs": [_job_object(job, sweep) for job in jobs],
    }


def sweep_facts(sweep: Sweep) -> dict[str, Any]:
    return {
        "sweep_id": sweep.id,
        "name": sweep.name,
        "state": str(sweep.state),
        "pipeline": sweep.pipeline_name,
        "source": sweep.submission.source,
        "config_dir": sweep.directory,
        "config_name": sweep.config_name,
        "overrides": sweep.overrides,
        "sweeper": sweep.sweeper,
        "experiment": sweep.experiment,
        "metric": sweep.configuration.metric,
        "goal": sweep.configuration.goal,
        "keys": sweep.keys,
        "planned": sweep.planned,
        "counts": sweep.counts,
        "error": sweep.error,
        "create_time": sweep.create_time,
        "end_time": sweep.end_time,
    }


def _job_object(job: Job, sweep: Sweep) -> dict[str, Any]:
    values = _padded(job, len(sweep.configuration.metric))
    return {
        "job": job.number,
        "run_id": job.run_id,
        "job_id": job.job_id,
        "state": job.state,
        "rank": job.rank or None,
        "metrics": dict(zip(sweep.configuration.metric, map(_finite, values), strict=True)),
        "overrides": {key: job.overrides[key] for key in sweep.keys if key in job.overrides},
        "seconds": job.seconds,
        "steps": job.steps,
        "cached": job.cached,
        "error": job.error or None,
    }


def _padded(job: Job, count: int) -> tuple[float | None, ...]:
    return job.metrics if len(job.metrics) == count else (None,) * count


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
