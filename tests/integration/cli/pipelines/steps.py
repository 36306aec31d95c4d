"""Source of the compiled pipelines beside it: `python steps.py` with kfp 2.17.0 writes them anew."""

from pathlib import Path

from kfp import compiler, dsl
from kfp.dsl import Dataset, Input, Metrics, Output


@dsl.component
def make(n: int, data: Output[Dataset]):
    with open(data.path, "w") as file:
        file.write("\n".join(map(str, range(n))))


@dsl.component
def score(data: Input[Dataset], metrics: Output[Metrics], bad: bool = False) -> float:
    import sys

    with open(data.path) as file:
        count = len(file.read().splitlines())
    print("scoring", count, flush=True)
    print("a word on stderr", file=sys.stderr, flush=True)
    metrics.log_metric("accuracy", 0.912345678)
    if bad:
        nothing = {}
        return nothing["missing"]
    return float(count)


@dsl.component
def say(item: str, seconds: float = 0.0) -> str:
    import time

    print("hello", item, flush=True)
    time.sleep(seconds)
    return item.upper()


@dsl.component
def stubborn(seconds: float) -> str:
    import signal
    import time

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("deaf", flush=True)
    time.sleep(seconds)
    return "done"


@dsl.component
def add(a: int, b: int = 2) -> int:
    total = a + b
    print(total)
    return total


@dsl.component
def text(size: int) -> str:
    return "x" * size


@dsl.pipeline(name="one")
def one(a: int = 1) -> int:
    return add(a=a).output


@dsl.pipeline(name="big")
def big(size: int = 100000) -> str:
    return text(size=size).output


@dsl.pipeline(name="branches")
def branches(n: int = 3, bad: bool = False):
    data = make(n=n)
    scored = score(data=data.outputs["data"], bad=bad)
    with dsl.If(scored.outputs["Output"] > 100.0), dsl.ParallelFor(["x", "y"]) as never:
        say(item=never)
    with dsl.ParallelFor(["a", "b", "c"]) as item:
        say(item=item)


@dsl.pipeline(name="slow")
def slow(seconds: float = 60.0) -> str:
    first = say(item="first")
    return say(item=first.output, seconds=seconds).output


@dsl.pipeline(name="deaf")
def deaf(seconds: float = 60.0):
    stubborn(seconds=seconds)


@dsl.pipeline(name="chain")
def chain(a: int = 1) -> int:
    first = add(a=a)
    return add(a=first.output, b=10).output


if __name__ == "__main__":
    for pipeline in (one, big, branches, slow, deaf, chain):
        compiler.Compiler().compile(pipeline, str(Path(__file__).with_name(f"{pipeline.name}.yaml")))
