"""Small pipelines, built by hand, for tests of decisions."""

from __future__ import annotations

from collections.abc import Sequence

from cairn.domain.values import ParameterType
from cairn.spec.types import (
    ComponentInput,
    ComponentSpec,
    ContainerSpec,
    DagSpec,
    ParameterInput,
    ParameterIterator,
    ParameterOutput,
    Pipeline,
    RetryPolicy,
    Selector,
    TaskOutput,
    TaskSpec,
    TriggerStrategy,
)

NUMBER = ParameterInput(ParameterType.NUMBER_INTEGER, optional=True)
LEAF = ComponentSpec(
    "comp-leaf",
    input_parameters={"x": NUMBER},
    output_parameters={"Output": ParameterOutput(ParameterType.NUMBER_INTEGER)},
    executor=ContainerSpec("python:3.11", ("true",)),
)


def task(
    name: str,
    *upstream: str,
    component: str = "comp-leaf",
    data: str = "",
    condition: str = "",
    exit_task: bool = False,
    items: Sequence[int] | None = None,
    parallelism: int = 0,
    retries: int = 0,
    item: str = "",
) -> TaskSpec:
    """`data`: the task whose Output is input x. `item`: the enclosing loop's item is input x."""
    parameters = {}
    if data:
        parameters["x"] = TaskOutput(data, "Output")
    elif item:
        parameters["x"] = ComponentInput(item)
    return TaskSpec(
        name,
        name,
        component,
        parameters=parameters,
        upstream=tuple(dict.fromkeys((*upstream, *((data,) if data else ())))),
        condition=condition,
        strategy=TriggerStrategy.ALL_COMPLETED if exit_task else TriggerStrategy.ALL_SUCCEEDED,
        iterator=None if items is None else ParameterIterator("item", tuple(items)),
        parallelism=parallelism,
        retry=RetryPolicy(retries) if retries else None,
    )


def dag(name: str, *tasks: TaskSpec, output: str = "", outputs: Sequence[str] = ()) -> ComponentSpec:
    """`output`: the task whose Output is the DAG's. `outputs`: the producers of a OneOf."""
    producers = [output] if output else list(outputs)
    return ComponentSpec(
        name,
        input_parameters={"item": NUMBER},
        output_parameters={"Output": ParameterOutput(ParameterType.NUMBER_INTEGER)} if producers else {},
        dag=DagSpec(
            {spec.name: spec for spec in tasks},
            {"Output": tuple(Selector(producer, "Output") for producer in producers)} if producers else {},
        ),
    )


def pipeline(*tasks: TaskSpec, components: Sequence[ComponentSpec] = (), output: str = "") -> Pipeline:
    root = dag("root", *tasks, output=output)
    return Pipeline(
        "p", "p", {"comp-leaf": LEAF, **{component.name: component for component in components}}, root, "d", "{}"
    )
