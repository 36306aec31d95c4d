"""ParallelFor over everything it takes, nested, with conditions inside, limits; Collected, nested and of artifacts."""

from typing import Dict, List, NamedTuple

from kfp import dsl
from kfp.dsl import Dataset, Input, Output


@dsl.component
def double(value: int) -> int:
    return value * 2


@dsl.component
def join(left: str, right: str) -> str:
    return f"{left}-{right}"


@dsl.component
def total(values: List[int]) -> int:
    assert all(type(value) is int for value in values), values
    return sum(values)


@dsl.component
def dump(values: list) -> str:
    import json

    return json.dumps(values, sort_keys=True)


@dsl.component
def make_numbers(count: int) -> List[int]:
    return list(range(count))


@dsl.component
def make_structs() -> List[Dict[str, int]]:
    return [{"a": 1, "b": 10}, {"a": 2, "b": 20}]


@dsl.component
def make_struct() -> dict:
    return {"names": ["n1", "n2"], "deep": {"x": 5}}


@dsl.component
def add(left: int, right: int) -> int:
    return left + right


class LoopSourcesOutputs(NamedTuple):
    constants: int
    structs: str
    inputs: str
    upstream: int
    upstream_structs: str
    empty: str


@dsl.pipeline
def loop_sources(names: list = ["x", "y"], count: int = 3) -> LoopSourcesOutputs:
    with dsl.ParallelFor([1, 2, 3]) as item:
        doubled = double(value=item)
    with dsl.ParallelFor([{"p": "a", "q": "b"}, {"p": "c", "q": "d"}]) as item:
        joined = join(left=item.p, right=item.q)
    with dsl.ParallelFor(names) as item:
        named = join(left=item, right="!")
    with dsl.ParallelFor(make_numbers(count=count).output) as item:
        counted = double(value=item)
    with dsl.ParallelFor(make_structs().output) as item:
        added = add(left=item.a, right=item.b)
    with dsl.ParallelFor(make_numbers(count=0).output) as item:
        none = double(value=item)
    return LoopSourcesOutputs(
        total(values=dsl.Collected(doubled.output)).output,
        dump(values=dsl.Collected(joined.output)).output,
        dump(values=dsl.Collected(named.output)).output,
        total(values=dsl.Collected(counted.output)).output,
        dump(values=dsl.Collected(added.output)).output,
        dump(values=dsl.Collected(none.output)).output,
    )


class LoopNestedOutputs(NamedTuple):
    sums: str
    nested: str
    inside: str


@dsl.pipeline
def loop_nested(outer: list = [1, 2]) -> LoopNestedOutputs:
    with dsl.ParallelFor(outer) as left:
        once = double(value=left)
        with dsl.ParallelFor([10, 20, 30]) as right:
            added = add(left=once.output, right=right)
            with dsl.If(added.output > 22):
                big = double(value=added.output)
        row = total(values=dsl.Collected(added.output))
    return LoopNestedOutputs(
        dump(values=dsl.Collected(row.output)).output,
        dump(values=dsl.Collected(added.output)).output,
        dump(values=dsl.Collected(big.output)).output,
    )


@dsl.component
def write(text: str, data: Output[Dataset]):
    with open(data.path, "w") as file:
        file.write(text)
    data.metadata["text"] = text


@dsl.component
def read(data: Input[Dataset]) -> str:
    with open(data.path) as file:
        return file.read() + data.metadata["text"]


@dsl.component
def read_all(datasets: Input[List[Dataset]]) -> str:
    return ",".join(open(data.path).read() for data in datasets)


@dsl.pipeline
def _written(text: str) -> Dataset:
    return write(text=text).outputs["data"]


@dsl.pipeline
def _written_each(texts: List[str]) -> List[Dataset]:
    with dsl.ParallelFor(texts) as text:
        data = write(text=text).outputs["data"]
    return dsl.Collected(data)


class LoopArtifactsOutputs(NamedTuple):
    flat: str
    nested: str
    through: str
    each: str


@dsl.pipeline
def loop_artifacts() -> LoopArtifactsOutputs:
    with dsl.ParallelFor(["a", "b", "c"]) as item:
        one = write(text=item)
        inner = _written(text=item)
    with dsl.ParallelFor(["d", "e"]) as left, dsl.ParallelFor(["1", "2"]) as right:
        pair = write(text=join(left=left, right=right).output)
    with dsl.ParallelFor(items=_written_each(texts=["f", "g"]).output) as data:
        content = read(data=data)
    return LoopArtifactsOutputs(
        read_all(datasets=dsl.Collected(one.outputs["data"])).output,
        read_all(datasets=dsl.Collected(pair.outputs["data"])).output,
        read_all(datasets=dsl.Collected(inner.output)).output,
        dump(values=dsl.Collected(content.output)).output,
    )


@dsl.component
def interval(index: int) -> List[float]:
    import time

    begin = time.monotonic()
    time.sleep(0.25)
    return [begin, time.monotonic()]


class LoopLimitedOutputs(NamedTuple):
    one: list
    two: list


@dsl.pipeline
def loop_limited() -> LoopLimitedOutputs:
    with dsl.ParallelFor([0, 1, 2], parallelism=1) as item:
        one = interval(index=item)
    with dsl.ParallelFor([0, 1, 2, 3], parallelism=2) as item:
        two = interval(index=item)
    return LoopLimitedOutputs(dsl.Collected(one.output), dsl.Collected(two.output))


@dsl.component
def fail_at(index: int) -> int:
    if index == 1:
        raise ValueError(f"index {index} is not wanted")
    return index


@dsl.pipeline
def loop_failing():
    with dsl.ParallelFor([0, 1, 2]) as item:
        fail_at(index=item)
