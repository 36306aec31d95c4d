"""What a DAG, a loop and a run give, seen from outside."""

from __future__ import annotations

from typing import Any

from cairn.domain.artifacts import Artifact
from cairn.domain.runs import TaskOutputs
from cairn.domain.values import Value
from cairn.engine.tree import MISSING, DagNode, DagPlan
from cairn.spec.types import Pipeline, Selector


def collect_dag(dag: DagNode) -> TaskOutputs:
    """The DAG's outputs from its tasks': of a OneOf, the first whose producer succeeded and has it.

    An output that no task produced (an untaken branch) is left out.
    """
    parameters: dict[str, Value] = {}
    for name, selectors in dag.plan.dag.parameter_outputs.items():
        value = _parameter(dag, selectors)
        if value is not MISSING:
            parameters[name] = value
    artifacts: dict[str, tuple[Artifact, ...]] = {}
    for name, selectors in dag.plan.dag.artifact_outputs.items():
        for selector in selectors:
            task = dag.tasks[selector.producer]
            if task.outputs is not None and selector.key in task.outputs.artifacts:
                artifacts[name] = task.outputs.artifacts[selector.key]
                break
    return TaskOutputs(parameters, artifacts)


def _parameter(dag: DagNode, selectors: tuple[Selector, ...]) -> Value:
    for selector in selectors:
        task = dag.tasks[selector.producer]
        if task.outputs is not None and selector.key in task.outputs.parameters:
            return task.outputs.parameters[selector.key]
    return MISSING


def run_outputs(pipeline: Pipeline, outputs: TaskOutputs) -> dict[str, Any]:
    """The root's, as a run records them: artifacts by their URIs, an output that is a list as a list."""
    found: dict[str, Any] = dict(outputs.parameters)
    lists = pipeline.root.output_artifacts
    for name, artifacts in outputs.artifacts.items():
        uris: list[str] = [artifact.uri for artifact in artifacts]
        found[name] = uris if (name in lists and lists[name].is_list) or len(uris) != 1 else uris[0]
    return found


def collect_loop(plan: DagPlan, results: list[TaskOutputs | None]) -> TaskOutputs:
    """Over the iterations in order: a list of each parameter, and all artifacts of each output one after another.

    An iteration that produced nothing (its condition was false, or it failed) is left out.
    """
    done = [outputs for outputs in results if outputs is not None]
    parameters: dict[str, Value] = {
        name: [outputs.parameters[name] for outputs in done if name in outputs.parameters]
        for name in plan.dag.parameter_outputs
    }
    artifacts = {
        name: tuple(artifact for outputs in done for artifact in outputs.artifacts.get(name, ()))
        for name in plan.dag.artifact_outputs
    }
    return TaskOutputs(parameters, artifacts)
