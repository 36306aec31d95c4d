"""`cairn cache`: the recorded results that later runs may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cairn.cli import options, output, words
from cairn.cli.commands import LazyGroup
from cairn.cli.opening import opened
from cairn.cli.runs.listing import find_task
from cairn.cli.tables import table
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT
from cairn.errors import InputRefused, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cairn.domain.runs import Run
    from cairn.engine.ports import CacheEntry
    from cairn.wiring import Cairn

_HERE = "cairn.cli.cache"
_SEARCHED = 10_000


@click.group(
    cls=LazyGroup,
    entries={
        "list": (f"{_HERE}:list_results", "List recorded results, newest first."),
        "forget": (f"{_HERE}:forget", "Have steps run again: remove recorded results."),
    },
)
def cache() -> None:
    """Results that later runs take instead of running a step again."""


@click.command(name="list")
@click.option("--pipeline", default="", metavar="NAME", help="Only results of this pipeline.")
@click.option("--component", default="", metavar="NAME", help="Only of this component, as listed: comp-train.")
@click.option("--run", "reference", metavar="RUN", help="Only what this run has made.")
@click.option("--limit", default=50, show_default=True, help="At most so many.")
@options.as_json
def list_results(*, pipeline: str, component: str, reference: str | None, limit: int, as_json: bool) -> None:
    """List recorded results, newest first: of each key the one that would be taken."""
    with opened() as cairn:
        run_uid = options.find_run(cairn, reference).uid if reference else ""
        found = cairn.records.list_cached(scope_of(pipeline), component=component, run_uid=run_uid, limit=limit)
        if as_json:
            output.print_json([_object(cairn, entry) for entry in found])
            return
        rows = [
            (entry.key[:12], _pipeline(entry), entry.component, entry.path, entry.run_uid[:8], _age(entry))
            for entry in found
        ]
        table(("key", "pipeline", "component", "task", "run", "recorded"), rows, empty="no recorded results")


@click.command()
@click.option("--pipeline", default="", metavar="NAME", help="Results of this pipeline.")
@click.option("--component", default="", metavar="NAME", help="With --pipeline: only of this component.")
@click.option("--run", "reference", metavar="RUN", help="Results that the steps of this run have made or taken.")
@click.option("--task", metavar="TASK", help="With --run: only of this task.")
@click.option("--all", "everything", is_flag=True, help="All results of this home.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.as_json
def forget(
    *, pipeline: str, component: str, reference: str | None, task: str | None, everything: bool, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Remove recorded results, so that the next run computes them anew. Runs and their artifacts stay as they are."""
    _check(pipeline=pipeline, component=component, reference=reference, task=task, everything=everything)
    with opened() as cairn:
        if reference:
            run = options.find_run(cairn, reference)
            if pipeline and pipeline != run.pipeline_name:
                raise InputRefused(f"run {run.job_id} is of pipeline {run.pipeline_name!r}", place="--pipeline")
            scope, keys = f"{run.project}/{run.location}/{run.pipeline_name}", _keys(cairn, run, task)
            count = cairn.records.forget_cached(scope, component=component, keys=keys)
        else:
            if pipeline:
                _look(cairn, pipeline, component)
            elif not yes:
                options.ask("forget all recorded results of this home?", "cairn cache forget --all")
            count = cairn.records.forget_cached(scope_of(pipeline), component=component)
        if as_json:
            output.print_json({"forgotten": count})
        else:
            output.note(f"{words.plural(count, 'recorded result')} forgotten")


def _check(*, pipeline: str, component: str, reference: str | None, task: str | None, everything: bool) -> None:
    """Refuse what is ambiguous before anything is opened."""
    narrowed = bool(pipeline or component or reference or task)
    if everything and narrowed:
        raise InputRefused("--all takes no other choice", place="--all")
    if not everything and not pipeline and not reference:
        raise InputRefused(
            "say which results", place="cairn cache forget", remedy="--pipeline NAME, --run RUN, or --all"
        )
    if task and not reference:
        raise InputRefused("a task is one of a run", place="--task", remedy="add --run RUN")


def _keys(cairn: Cairn, run: Run, task: str | None) -> Sequence[str]:
    """Keys that the run's tasks, or one of them with all it holds, were looked up by: so what was taken from earlier
    runs goes too."""
    path = find_task(cairn, run, task).path if task else ""
    held = (f"{path}/", f"{path}[")
    keys = [
        one.comparison.key
        for one in cairn.records.tasks(run.uid)
        if one.comparison is not None and (not path or one.path == path or one.path.startswith(held))
    ]
    return [key for key in keys if key]


def _look(cairn: Cairn, pipeline: str, component: str) -> None:
    """Raises NotFound, with the nearest, for a pipeline or component that has no results: most likely mistyped."""
    known = cairn.records.list_cached(scope_of(pipeline), limit=_SEARCHED)
    if not known:
        names = {_pipeline(entry) for entry in cairn.records.list_cached(limit=_SEARCHED)}
        raise NotFound(f"pipeline {pipeline!r} has no recorded results", remedy=_nearest(pipeline, names))
    components = {entry.component for entry in known}
    if component and component not in components and len(known) < _SEARCHED:
        raise NotFound(f"component {component!r} has no recorded results", remedy=_nearest(component, components))


def _nearest(name: str, known: set[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, sorted(known), n=2, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else "`cairn cache list` shows what there is"


def scope_of(pipeline: str) -> str:
    return f"{DEFAULT_PROJECT}/{DEFAULT_LOCATION}/{pipeline}" if pipeline else ""


def _pipeline(entry: CacheEntry) -> str:
    return entry.scope.split("/", 2)[2]


def _age(entry: CacheEntry) -> str:
    return words.ago(entry.create_time)


def _object(cairn: Cairn, entry: CacheEntry) -> dict[str, Any]:
    from cairn.engine import report

    return {
        "key": entry.key,
        "pipeline": _pipeline(entry),
        "component": entry.component,
        "task": entry.path,
        "run_id": entry.run_uid,
        "create_time": entry.create_time,
        "outputs": report.read_outputs(entry.outputs.parameters, cairn.store),
        "parts": entry.parts,
    }
