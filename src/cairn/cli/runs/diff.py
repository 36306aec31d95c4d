"""`cairn runs diff`: two runs side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click
import msgspec

from cairn.cli import options, output, words
from cairn.cli.opening import opened
from cairn.cli.tables import table
from cairn.engine import report
from cairn.engine.cache import digest

if TYPE_CHECKING:
    from cairn.domain.runs import Run
    from cairn.spec.types import DagSpec, Pipeline
    from cairn.wiring import Cairn

Difference = dict[str, Any]  # name, and its value in either run; None where it has none


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@options.as_json
def diff(first: str, second: str, *, as_json: bool) -> None:
    """Compare runs A and B: parameters, settings, pipeline, outputs, and each task. Only what differs is shown."""
    with opened() as cairn:
        runs = options.find_run(cairn, first), options.find_run(cairn, second)
        found = compared(cairn, *runs)
        if as_json:
            output.print_json({"a": runs[0].uid, "b": runs[1].uid, **found})
            return
        if not any(found.values()):
            output.note("no differences")
        for title, differences in found.items():
            if differences:
                output.say(output.paint(title, "bold", sys.stdout))
                rows = [(each["name"], _told(each["a"]), _told(each["b"])) for each in differences]
                table(("name", runs[0].uid[:8], runs[1].uid[:8]), rows)


def compared(cairn: Cairn, first: Run, second: Run) -> dict[str, list[Difference]]:
    pipelines = cairn.runs.pipeline_of(first), cairn.runs.pipeline_of(second)
    store = cairn.store
    return {
        "parameters": differences(
            report.read_outputs(first.parameters, store), report.read_outputs(second.parameters, store)
        ),
        "settings": differences(msgspec.to_builtins(first.settings), msgspec.to_builtins(second.settings)),
        "pipeline": differences(dict(_definitions(pipelines[0])), dict(_definitions(pipelines[1]))),
        "outputs": differences(report.read_outputs(first.outputs, store), report.read_outputs(second.outputs, store)),
        "tasks": differences(_tasks(cairn, first, pipelines[0]), _tasks(cairn, second, pipelines[1])),
    }


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    names = dict.fromkeys((*before, *after))
    return [
        {"name": name, "a": before.get(name), "b": after.get(name)}
        for name in names
        if before.get(name) != after.get(name)
    ]


def _definitions(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """What every task of the pipeline is, in a few letters: its component's digest and its own."""

    def walk(dag: DagSpec | None, prefix: str) -> Iterator[tuple[str, str]]:
        for name, task in dag.tasks.items() if dag else ():
            path = f"{prefix}/{name}" if prefix else name
            component = pipeline.components[task.component]
            if component.dag is None:
                yield f"{path} (component)", digest(msgspec.to_builtins(component.executor))[:12]
            yield f"{path} (task)", digest(msgspec.to_builtins(task))[:12]
            yield from walk(component.dag, path)

    yield from walk(pipeline.root.dag, "")


def _tasks(cairn: Cairn, run: Run, pipeline: Pipeline) -> dict[str, Any]:
    """State, cached or not, and outputs of each leaf; times differ always and say nothing."""
    leaves = report.leaves(pipeline, run, cairn.records.tasks(run.uid), cairn.store)
    found: dict[str, Any] = {}
    for leaf in leaves:
        found[leaf.path] = f"{leaf.state}{' (cached)' if leaf.cached else ''}"
        for name, value in leaf.outputs.items():
            found[f"{leaf.path}.{name}"] = value
    return found


def _told(value: Any) -> str:
    return "" if value is None else words.value(value, 60)
