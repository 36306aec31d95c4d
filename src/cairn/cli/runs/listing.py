"""`cairn runs list` and `cairn runs show`."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec

from cairn.cli import failures, nouns, options, output, summary, words
from cairn.cli.opening import opened
from cairn.cli.tables import facts, table
from cairn.domain.states import RunState, TaskState
from cairn.engine import report
from cairn.errors import NotFound
from cairn.spec.types import NativeSpec

if TYPE_CHECKING:
    from cairn.domain.runs import AttemptRecord, Run, TaskRecord
    from cairn.spec.types import Pipeline
    from cairn.wiring import Cairn

_STATES = [str(state) for state in RunState]
_SHOWN_TASKS = 500


@click.command(name="list")
@click.option("--state", "states", type=click.Choice(_STATES, case_sensitive=False), multiple=True, help="Only these.")
@click.option("--pipeline", default="", metavar="NAME", help="Only runs of this pipeline.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only runs with this label.")
@click.option("--project", default="", metavar="PROJECT", help="Only runs of this project.")
@click.option("--location", default="", metavar="LOCATION", help="Only runs of this location.")
@click.option("--limit", default=30, show_default=True, help="At most so many.")
@options.as_json
def list_runs(
    *,
    states: tuple[str, ...],
    pipeline: str,
    labels: tuple[str, ...],
    project: str,
    location: str,
    limit: int,
    as_json: bool,
) -> None:
    """List runs of every project, newest first."""
    with opened() as cairn:
        found = cairn.records.list_runs(
            project=project,
            location=location,
            states=[RunState(state) for state in states],
            pipeline=pipeline,
            labels=dict(map(options.parse_label, labels)),
            limit=limit,
        )
        if as_json:
            output.print_json([_listed(cairn, run) for run in found])
            return
        rows = [
            (
                run.uid[:8],
                run.pipeline_name,
                _state(cairn, run),
                words.ago(run.create_time),
                _took(run),
                run.job_id,
            )
            for run in found
        ]
        table(("run", "pipeline", "state", "created", "took", "job id"), rows, empty="no runs", cut="job id")


def _state(cairn: Cairn, run: Run) -> str:
    if run.state.terminal or cairn.records.claimed(run.uid) is not None:
        return str(run.state)
    return f"{run.state} (no engine)"


def _took(run: Run) -> str:
    return words.duration(report.seconds_between(run.start_time, run.end_time)) if run.end_time else ""


def _listed(cairn: Cairn, run: Run) -> dict[str, Any]:
    found = {
        "run_id": run.uid,
        "job_id": run.job_id,
        "project": run.project,
        "location": run.location,
        "pipeline": run.pipeline_name,
        "state": str(run.state),
        "parameters": report.read_outputs(run.parameters, cairn.store),
        "labels": run.labels,
        "source": run.source,
        "error": report.failure_object(run.error),
        "warnings": list(run.warnings),
        "seconds": round(report.seconds_between(run.start_time, run.end_time), 6),
    }
    for name in ("create_time", "start_time", "end_time"):
        found[name] = getattr(run, name)
    return found


@click.command()
@options.run_argument
@options.task_argument(required=False)
@click.option("--config", "configuration", is_flag=True, help="Print the configuration that Hydra composed, no more.")
@options.traceback
@options.as_json
def show(reference: str, task: str | None, *, configuration: bool, with_trace: bool, as_json: bool) -> None:
    """Show RUN: its steps, outputs, metrics, artifacts; or everything that is known of one TASK."""
    with opened() as cairn:
        run = options.find_run(cairn, reference)
        if configuration:
            _show_configuration(run, as_json=as_json)
            return
        if task:
            _show_task(cairn, run, find_task(cairn, run, task), as_json=as_json, with_trace=with_trace)
            return
        pipeline = cairn.runs.pipeline_of(run)
        records = cairn.records.tasks(run.uid)
        leaves = report.leaves(pipeline, run, records, cairn.store)
        if as_json:
            found = {**_listed(cairn, run), **report.run_object(run, leaves, cairn.store), "state": str(run.state)}
            found["settings"] = msgspec.to_builtins(run.settings)
            found["started"] = [_started_object(one) for one in _started(cairn, run, pipeline)]
            output.print_json(found)
            return
        _show_run(cairn, run)
        _show_tasks(leaves)
        _show_started(cairn, _started(cairn, run, pipeline))
        summary.tell_results(cairn, run, records)


def _show_run(cairn: Cairn, run: Run) -> None:
    owner = cairn.records.claimed(run.uid) if not run.state.terminal else None
    facts(
        [
            ("run", run.uid),
            ("job id", run.job_id),
            ("pipeline", f"{run.pipeline_name}  {run.source}".rstrip()),
            ("state", f"{_state(cairn, run)}{f' in process {owner.pid}' if owner else ''}"),
            ("error", f"{run.error.place}: {run.error.message}" if run.error else ""),
            ("created", f"{words.moment(run.create_time)} ({words.ago(run.create_time)})"),
            ("took", _took(run)),
            ("labels", ", ".join(f"{name}={value}" for name, value in run.labels.items())),
            ("pipeline root", run.pipeline_root),
            *_configured(run),
        ]
    )
    if run.parameters:
        output.say(output.paint("parameters", "bold", sys.stdout))
        facts([(name, words.value(value, 200)) for name, value in run.parameters.items()], indent="  ")


def _configured(run: Run) -> list[tuple[str, str]]:
    """What it was composed from; `--config` has all of it."""
    found = run.configuration
    if found is None:
        return []
    return [
        ("configuration", f"{found.directory}/{found.name}  {found.digest[:12]}"),
        ("overrides", " ".join(map(shlex.quote, found.overrides))),
        ("sweep", f"{found.sweep[:8]}, job {found.job}" if found.sweep else ""),
    ]


def _show_configuration(run: Run, *, as_json: bool) -> None:
    if run.configuration is None:
        raise NotFound(
            f"run {run.job_id} was not configured by Hydra", place="--config", remedy="its parameters are all there is"
        )
    if as_json:
        output.print_json(report.configuration_object(run.configuration))
    else:
        output.say(run.configuration.text.rstrip("\n"))


def _show_tasks(leaves: list[report.Leaf]) -> None:
    output.say(output.paint("tasks", "bold", sys.stdout))
    rows = [
        (
            leaf.path,
            str(leaf.state),
            "cached" if leaf.cached else words.duration(leaf.seconds) if leaf.seconds else "",
            f"{leaf.attempts} attempts" if leaf.attempts > 1 else "",
            leaf.error.message if leaf.error else leaf.reason,
        )
        for leaf in leaves[:_SHOWN_TASKS]
    ]
    table(("task", "state", "took", "attempts", ""), rows)
    if len(leaves) > _SHOWN_TASKS:
        output.note(f"and {len(leaves) - _SHOWN_TASKS:,} more: --json has them all")


def _started(cairn: Cairn, run: Run, pipeline: Pipeline) -> list[Run]:
    """The jobs, tuning jobs and trials that its steps have started; of other pipelines nobody is asked."""
    if not any(isinstance(component.executor, NativeSpec) for component in pipeline.components.values()):
        return []
    return cairn.jobs.started_by(run)


def _started_object(run: Run) -> dict[str, Any]:
    return {"run_id": run.uid, "job_id": run.job_id, "kind": str(run.kind), "state": str(run.state)}


def _show_started(cairn: Cairn, started: list[Run]) -> None:
    if not started:
        return
    output.say(output.paint("started", "bold", sys.stdout))
    rows = [
        (
            one.uid[:8],
            nouns.noun(one),
            _state(cairn, one),
            _took(one),
            one.display_name,
            one.error.message if one.error else "",
        )
        for one in started[:_SHOWN_TASKS]
    ]
    table(("run", "", "state", "took", "name", ""), rows)
    if len(started) > _SHOWN_TASKS:
        output.note(f"and {len(started) - _SHOWN_TASKS:,} more: --json has them all")


def find_task(cairn: Cairn, run: Run, path: str) -> TaskRecord:
    """The task of that path; a name that only one task has will do. Raises NotFound with the nearest paths."""
    records = cairn.records.tasks(run.uid)
    exact = [record for record in records if record.path == path]
    named = exact or [record for record in records if record.name == path]
    if len(named) == 1:
        return named[0]
    if named:
        told = ", ".join(record.path for record in named[:5])
        raise NotFound(f"{path!r} is the name of {len(named)} tasks", place=run.job_id, remedy=f"give a path: {told}")
    import difflib

    near = difflib.get_close_matches(path, [record.path for record in records[:5000]], n=3)
    remedy = f"did you mean {' or '.join(near)}?" if near else f"`cairn runs show {run.uid[:8]}` lists its tasks"
    raise NotFound(f"has no task {path!r} that has come to be run", place=f"run {run.job_id}", remedy=remedy)


def _show_task(cairn: Cairn, run: Run, record: TaskRecord, *, as_json: bool, with_trace: bool) -> None:
    attempts = [one for one in cairn.records.attempts(run.uid) if one.path == record.path]
    if as_json:
        found = msgspec.to_builtins(record)
        found["inputs"]["parameters"] = report.read_outputs(record.inputs.parameters, cairn.store)
        found["outputs"]["parameters"] = report.read_outputs(record.outputs.parameters, cairn.store)
        found["tries"] = [msgspec.to_builtins(one) for one in attempts]
        output.print_json(found)
        return
    facts(
        [
            ("task", record.path),
            ("component", record.component),
            ("state", f"{record.state}{' (cached)' if record.cached else ''}"),
            ("because", report.waits_for(record)),
            ("started", words.moment(record.start_time)),
            ("took", words.duration(report.seconds_between(record.start_time, record.end_time))),
        ]
    )
    for title, given in (("inputs", record.inputs), ("outputs", record.outputs)):
        pairs = [(name, words.value(value, 200)) for name, value in given.parameters.items()]
        for name, artifacts in given.artifacts.items():
            pairs.append((name, "\n".join(f"{each.uri}  {each.type.schema_title}" for each in artifacts)))
        if pairs:
            output.say(output.paint(title, "bold", sys.stdout))
            facts(pairs, indent="  ")
    if attempts:
        output.say(output.paint("attempts", "bold", sys.stdout))
        table(("attempt", "state", "took", "exit", "limits", "directory"), [_attempt(one) for one in attempts])
    if record.state is TaskState.FAILED and record.kind == "leaf":
        leaf = report.Leaf(record.name, record.component, record.path, record.state, error=record.error)
        latest = failures.last_attempts(attempts).get(record.path)
        for line in failures.explain(run, leaf, latest, with_trace=with_trace):
            output.say(line)


def _attempt(one: AttemptRecord) -> tuple[str, ...]:
    ended = one.exit
    how = ""
    if ended is not None:
        how = str(ended.reason) if ended.code is None else f"status {ended.code}"
    took = words.duration(report.seconds_between(one.start_time, one.end_time)) if one.end_time else ""
    return str(one.number), str(one.state), took, how, ", ".join(ended.limits) if ended else "", one.directory
