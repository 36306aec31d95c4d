"""The pipelines that are measured. The YAML beside is what they compile to with kfp 2.17, committed so that nobody
needs kfp to measure; `kfp.local` runs these very functions.

    python benchmarks/pipelines/generate.py
"""

import os
from pathlib import Path

from kfp import compiler, dsl

HERE = Path(__file__).parent
CHAIN = 20
# kfp.local is also measured without the installation that each of its steps begins with.
component = dsl.component(base_image="python:3.11", install_kfp_package=os.environ.get("BENCHMARK_INSTALL") != "0")


@component
def step(number: int) -> int:
    return number + 1


@component
def add_up(numbers: list) -> int:
    return int(sum(numbers))  # kfp.local hands integers on as floats


@component
def write(size: int, data: dsl.Output[dsl.Dataset]):
    block = b"cairn---" * (1 << 17)
    with open(data.path, "wb") as file:
        for start in range(0, size, len(block)):
            file.write(block[: min(len(block), size - start)])


@component
def read(data: dsl.Input[dsl.Dataset]) -> int:
    total = 0
    with open(data.path, "rb") as file:
        while block := file.read(1 << 20):
            total += len(block)
    return total


def chain_of(length: int) -> int:
    task = step(number=0).set_caching_options(False)
    for _ in range(length - 1):
        task = step(number=task.output).set_caching_options(False)
    return task.output


@dsl.pipeline(name="one")
def one() -> int:
    return chain_of(1)


@dsl.pipeline(name="chain")
def chain() -> int:
    return chain_of(CHAIN)


@dsl.pipeline(name="loop")
def loop(items: list[int]) -> int:
    with dsl.ParallelFor(items) as item:
        part = step(number=item).set_caching_options(False)
    return add_up(numbers=dsl.Collected(part.output)).set_caching_options(False).output


@dsl.pipeline(name="cached")
def cached(items: list[int]) -> int:
    with dsl.ParallelFor(items) as item:
        part = step(number=item)
    return add_up(numbers=dsl.Collected(part.output)).output


@dsl.pipeline(name="cached-one")
def cached_one() -> int:
    return step(number=0).output


@dsl.pipeline(name="hand-on")
def hand_on(size: int) -> int:
    written = write(size=size).set_caching_options(False)
    return read(data=written.output).set_caching_options(False).output


if __name__ == "__main__":
    for pipeline in (one, chain, loop, cached, cached_one, hand_on):
        compiler.Compiler().compile(pipeline, str(HERE / f"{pipeline.name}.yaml"))
