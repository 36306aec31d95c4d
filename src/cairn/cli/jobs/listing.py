"""`cairn jobs list` and `cairn jobs show`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from cairn.cli import options, output, words
from cairn.cli.jobs.finding import find_job, job_argument, job_object
from cairn.cli.opening import opened
from cairn.cli.tables import facts, table
from cairn.domain.states import RunState
from cairn.engine import report
from cairn.engine.gangs import pool_name
from cairn.spec.types import ContainerSpec

if TYPE_CHECKING:
    from cairn.domain.runs import Run
    from cairn.spec.types import JobSpec, Pipeline
    from cairn.wiring import Cairn

_STATES = [str(state) for state in RunState]


@click.command(name="list")
@click.option("--state", "states", type=click.Choice(_STATES, case_sensitive=False), multiple=True, help="Only these.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only jobs with this label.")
@click.option("--project", default="", metavar="PROJECT", help="Only jobs of this project.")
@click.option("--location", default="", metavar="LOCATION", help="Only jobs of this location.")
@click.option("--limit", default=30, show_default=True, help="At most so many.")
@options.as_json
def list_jobs(
    *, states: tuple[str, ...], labels: tuple[str, ...], project: str, location: str, limit: int, as_json: bool
) -> None:
    """List jobs of every project, newest first: those of training pipelines and of trials too."""
    from cairn.filters.runs import wanted_runs

    with opened() as cairn:
        found, _ = cairn.jobs.page(
            projects=[project] if project else None,
            location=location,
            where=wanted_runs([RunState(state) for state in states], "", dict(map(options.parse_label, labels))),
            limit=limit,
        )
        if as_json:
            output.print_json([job_object(run) for run in found])
            return
        rows = [
            (run.job_id, run.display_name, str(run.state), words.ago(run.create_time), _took(run), run.uid[:8])
            for run in found
        ]
        table(("job", "name", "state", "created", "took", "run"), rows, empty="no jobs", cut="name")


def _took(run: Run) -> str:
    return words.duration(report.seconds_between(run.start_time, run.end_time)) if run.end_time else ""


@click.command()
@job_argument
@options.as_json
def show(reference: str, *, as_json: bool) -> None:
    """Show JOB: its worker pools, what became of it, and where its logs are."""
    with opened() as cairn:
        run = find_job(cairn, reference)
        if as_json:
            output.print_json({**job_object(run, whole=True), "attempts": _attempts(cairn, run)})
            return
        pipeline = cairn.runs.pipeline_of(run)
        job = _job(pipeline)
        facts(
            [
                ("job", run.job_id),
                ("name", run.display_name),
                ("kind", str(run.kind)),
                ("run", run.uid),
                ("of run", run.parent),
                ("state", str(run.state)),
                ("error", f"{run.error.place}: {run.error.message}" if run.error else ""),
                ("created", f"{words.moment(run.create_time)} ({words.ago(run.create_time)})"),
                ("took", _took(run)),
                ("labels", ", ".join(f"{name}={value}" for name, value in run.labels.items())),
                ("output directory", job.base_output_directory if job else ""),
                ("tensorboard", job.tensorboard if job else ""),
            ]
        )
        if job is not None:
            _show_pools(job)
        for warning in run.warnings:
            output.warn(warning)
        if cairn.records.attempts(run.uid):
            output.say(f"its logs: {output.paint(f'cairn jobs logs {run.job_id}', 'cyan', sys.stdout)}")


def _attempts(cairn: Cairn, run: Run) -> list[dict[str, Any]]:
    return [
        {"number": one.number, "state": str(one.state), "directory": one.directory, "devices": list(one.devices)}
        for one in cairn.records.attempts(run.uid)
    ]


def _job(pipeline: Pipeline) -> JobSpec | None:
    executors = [component.executor for component in pipeline.components.values()]
    return next((each.job for each in executors if isinstance(each, ContainerSpec) and each.job is not None), None)


def _show_pools(job: JobSpec) -> None:
    output.say(output.paint("worker pools", "bold", sys.stdout))
    rows = []
    for pool in job.pools:
        resources = pool.container.resources
        count = resources.accelerator_count or "1"
        devices = f" + {count} {resources.accelerator_type}" if resources.accelerator_type else ""
        runs = pool.package.module if pool.package else " ".join((*pool.container.command, *pool.container.args))
        rows.append(
            (
                pool_name(pool),
                words.plural(pool.replicas, "replica"),
                f"{resources.machine_type or 'one CPU'}{devices}",
                pool.container.image,
                output.one_line(runs, 80),
            )
        )
    table(("pool", "", "machine", "image", "runs"), rows, cut="runs")
