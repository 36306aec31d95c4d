"""Pipelines in pipelines, three deep: parameters and artifacts in and out, the same component twice."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output


@dsl.component
def grow(value: int, data: Output[Dataset]) -> int:
    with open(data.path, "w") as file:
        file.write("#" * value)
    return value + 1


@dsl.component
def train(data: Input[Dataset], model: Output[Model]):
    with open(data.path) as file:
        size = len(file.read())
    with open(model.path, "w") as file:
        file.write(f"model of {size}")
    model.metadata["size"] = size


@dsl.component
def show(model: Input[Model], data: Input[Dataset]) -> str:
    with open(model.path) as file:
        return f"{file.read()}, {model.metadata['size']}, {type(data).__name__}"


class DepthThreeOutputs(NamedTuple):
    value: int
    model: Model


@dsl.pipeline
def _depth_three(value: int, data: Input[Dataset]) -> DepthThreeOutputs:
    grown = grow(value=value)
    trained = train(data=data)
    return DepthThreeOutputs(grown.outputs["Output"], trained.outputs["model"])


class DepthTwoOutputs(NamedTuple):
    value: int
    model: Model
    data: Dataset


@dsl.pipeline
def _depth_two(value: int) -> DepthTwoOutputs:
    grown = grow(value=value)
    inner = _depth_three(value=grown.outputs["Output"], data=grown.outputs["data"])
    return DepthTwoOutputs(inner.outputs["value"], inner.outputs["model"], grown.outputs["data"])


class DepthOneOutputs(NamedTuple):
    value: int
    shown: str
    again: int
    model: Model


@dsl.pipeline
def depth_one(value: int = 3) -> DepthOneOutputs:
    first = _depth_two(value=value)
    second = _depth_two(value=first.outputs["value"])
    shown = show(model=first.outputs["model"], data=first.outputs["data"])
    return DepthOneOutputs(first.outputs["value"], shown.output, second.outputs["value"], second.outputs["model"])
