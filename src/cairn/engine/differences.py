"""Two runs side by side: only what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from cairn.domain.configuration import Configuration
from cairn.domain.runs import Run
from cairn.engine import report
from cairn.engine.cache import digest
from cairn.engine.runs import RunService
from cairn.errors import SpecError
from cairn.spec.documents import parse_documents
from cairn.spec.types import DagSpec, Pipeline

Difference: TypeAlias = dict[str, Any]  # name, and its value in either run as a and b; None where it has none


def between(runs: RunService, first: Run, second: Run) -> dict[str, list[Difference]]:
    """By `configuration` (composed by Hydra: its keys as they are written, and the overrides), `parameters`,
    `settings`, `pipeline` (definitions), `outputs` and `tasks` (states and outputs)."""
    pipelines = runs.pipeline_of(first), runs.pipeline_of(second)
    store = runs.services.store
    return {
        "configuration": differing(configuration_of(first.configuration), configuration_of(second.configuration)),
        "parameters": differing(
            report.read_outputs(first.parameters, store), report.read_outputs(second.parameters, store)
        ),
        "settings": differing(msgspec.to_builtins(first.settings), msgspec.to_builtins(second.settings)),
        "pipeline": differing(dict(_definitions(pipelines[0])), dict(_definitions(pipelines[1]))),
        "outputs": differing(report.read_outputs(first.outputs, store), report.read_outputs(second.outputs, store)),
        "tasks": differing(_tasks(runs, first, pipelines[0]), _tasks(runs, second, pipelines[1])),
    }


def configuration_of(configuration: Configuration | None) -> dict[str, Any]:
    if configuration is None:
        return {}
    about: dict[str, Any] = {
        "(directory)": configuration.directory,
        "(name)": configuration.name,
        "(overrides)": list(configuration.overrides),
    }
    try:
        documents = parse_documents(configuration.text, origin="configuration")
    except SpecError:  # it holds what JSON has not, such as .nan
        return {**about, "(text)": configuration.text}
    return {**about, **dict(_dotted(documents[0], "") if documents else ())}


def _dotted(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """`train.layers[0].size` → value, for everything that holds nothing else."""
    if isinstance(value, dict) and value:
        for name, one in value.items():
            yield from _dotted(one, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value:
        for number, one in enumerate(value):
            yield from _dotted(one, f"{path}[{number}]")
    elif path:
        yield path, value


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
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


def _tasks(runs: RunService, run: Run, pipeline: Pipeline) -> dict[str, Any]:
    """State, cached or not, and outputs of each leaf; times differ always and say nothing."""
    services = runs.services
    found: dict[str, Any] = {}
    for leaf in report.leaves(pipeline, run, services.records.tasks(run.uid), services.store):
        found[leaf.path] = f"{leaf.state}{' (cached)' if leaf.cached else ''}"
        for name, value in leaf.outputs.items():
            found[f"{leaf.path}.{name}"] = value
    return found
