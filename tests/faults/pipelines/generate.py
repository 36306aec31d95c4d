"""The pipelines that the fault tests disturb. Run it by hand where kfp 2.17 is; the YAML beside is committed.

    python tests/faults/pipelines/generate.py

Each step appends a line (its task's path) to the file `trace`, so that a test can count how often it was executed.
"""

from pathlib import Path
from typing import NamedTuple

from kfp import compiler, dsl

HERE = Path(__file__).parent
IMAGE = "cairn.test/shell"  # mapped to this machine: --image '*=host'
NOTE = 'printf "%s\\n" "$CAIRN_TASK" >>"$0"; '


def shell(script: str) -> list[str]:
    return ["sh", "-c", "set -e; " + NOTE + script]


@dsl.container_component
def first(trace: str, number: int, value: dsl.OutputPath(int), data: dsl.Output[dsl.Dataset]):
    return dsl.ContainerSpec(
        IMAGE,
        shell('mkdir -p "$(dirname "$2")" "$(dirname "$3")"; echo $(($1 + 1)) >"$2"; echo "data $1" >"$3"'),
        [trace, number, value, data.path],
    )


@dsl.container_component
def longer(
    trace: str, number: int, data: dsl.Input[dsl.Dataset], value: dsl.OutputPath(int), more: dsl.Output[dsl.Dataset]
):
    return dsl.ContainerSpec(
        IMAGE,
        shell('mkdir -p "$(dirname "$3")" "$4"; echo $(($1 * 2)) >"$3"; cat "$2" "$2" >"$4/a"; echo "$1" >"$4/b"'),
        [trace, number, data.path, value, more.path],
    )


@dsl.container_component
def square(trace: str, item: int, value: dsl.OutputPath(int), data: dsl.Output[dsl.Dataset]):
    return dsl.ContainerSpec(
        IMAGE,
        shell('mkdir -p "$(dirname "$2")" "$(dirname "$3")"; echo $(($1 * $1)) >"$2"; echo "square $1" >"$3"'),
        [trace, item, value, data.path],
    )


@dsl.container_component
def total(trace: str, values: list, parts: dsl.Input[dsl.Artifact], value: dsl.OutputPath(int)):
    return dsl.ContainerSpec(
        IMAGE,
        shell("""mkdir -p "$(dirname "$2")"; echo $(($(printf %s "$1" | tr -d '[] ' | tr , +))) >"$2" """),
        [trace, values, value],
    )


@dsl.container_component
def flaky(trace: str, value: dsl.OutputPath(str)):
    """Fails the first time."""
    return dsl.ContainerSpec(
        IMAGE,
        shell('if [ ! -e "$0.flaky" ]; then : >"$0.flaky"; exit 7; fi; mkdir -p "$(dirname "$1")"; printf well >"$1"'),
        [trace, value],
    )


@dsl.container_component
def needs_repair(trace: str, value: dsl.OutputPath(str)):
    """Fails until somebody makes the file `TRACE.repaired`."""
    return dsl.ContainerSpec(
        IMAGE,
        shell('[ -e "$0.repaired" ] || exit 3; mkdir -p "$(dirname "$1")"; printf repaired >"$1"'),
        [trace, value],
    )


@dsl.container_component
def say(trace: str, text: str):
    return dsl.ContainerSpec(IMAGE, shell('echo "$1"'), [trace, text])


@dsl.container_component
def lingering(trace: str, item: int, value: dsl.OutputPath(str)):
    """Waits with three kinds of children until `TRACE.go` exists."""
    script = (
        'mkdir -p "$(dirname "$2")"; '
        'if [ ! -e "$0.go" ]; then sleep 600 & setsid sleep 600 & (setsid sh -c "sleep 600 & sleep 600" & ) ; '
        'while [ ! -e "$0.go" ]; do sleep 0.05; done; fi; printf done >"$2"'
    )
    return dsl.ContainerSpec(IMAGE, shell(script), [trace, item, value])


@dsl.container_component
def napping(trace: str, item: int, value: dsl.OutputPath(int)):
    return dsl.ContainerSpec(
        IMAGE, shell('mkdir -p "$(dirname "$2")"; sleep 0.05; echo $(($1 * $1)) >"$2"'), [trace, item, value]
    )


@dsl.component(base_image="python:3.11")
def add(trace: str, number: int) -> int:
    import os
    import time

    with open(trace, "a") as file:
        file.write(os.environ["CAIRN_TASK"] + "\n")
    time.sleep(0.05)
    return number + 1


@dsl.component(base_image="python:3.11")
def add_all(trace: str, numbers: list) -> int:
    import os

    with open(trace, "a") as file:
        file.write(os.environ["CAIRN_TASK"] + "\n")
    return sum(numbers)


@dsl.component(base_image="python:3.11")
def grow(size: int) -> str:
    return "x" * size


@dsl.component(base_image="python:3.11")
def measure(text: str) -> int:
    return len(text)


@dsl.container_component
def flood():
    script = (
        "head -c 209715200 /dev/zero | tr '\\0' 'x' | fold -w 100; "
        "head -c 104857600 /dev/zero | tr '\\0' 'y'; echo; head -c 10485760 /dev/urandom >&2; echo last >&2"
    )
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", script])


@dsl.container_component
def fill(trace: str, number: int, data: dsl.Output[dsl.Dataset]):
    """Writes 3 MiB."""
    return dsl.ContainerSpec(
        IMAGE, shell('mkdir -p "$(dirname "$1")"; head -c 3145728 /dev/urandom >"$1"'), [trace, data.path]
    )


@dsl.pipeline
def inner(trace: str, number: int, data: dsl.Input[dsl.Dataset]) -> int:
    step = longer(trace=trace, number=number, data=data).set_caching_options(False)
    last = longer(trace=trace, number=step.outputs["value"], data=data).set_caching_options(False)
    return last.outputs["value"]


@dsl.pipeline
def rich(trace: str, source: str, flag: str = "yes") -> NamedTuple("Outputs", nested=int, sum=int):
    """Every construct whose transitions have a name."""
    imported = dsl.importer(artifact_uri=source, artifact_class=dsl.Dataset, reimport=False)
    head = first(trace=trace, number=1).set_caching_options(False)
    longer(trace=trace, number=2, data=imported.output).set_caching_options(False)
    nested = inner(trace=trace, number=head.outputs["value"], data=head.outputs["data"])
    tidy = say(trace=trace, text="tidy").set_caching_options(False)
    with dsl.ExitHandler(tidy):
        flaky(trace=trace).set_caching_options(False).set_retry(2, backoff_duration="0s")
        with dsl.If(flag == "yes"):
            say(trace=trace, text="taken").set_caching_options(False)
        with dsl.Else():
            say(trace=trace, text="not taken").set_caching_options(False)
    with dsl.ParallelFor([1, 2, 3, 4], parallelism=3) as item:
        part = square(trace=trace, item=item).set_caching_options(False)
    end = total(
        trace=trace, values=dsl.Collected(part.outputs["value"]), parts=head.outputs["data"]
    ).set_caching_options(False)
    return NamedTuple("Outputs", nested=int, sum=int)(nested=nested.output, sum=end.outputs["value"])


@dsl.pipeline
def failing(trace: str) -> str:
    """Fails until it is repaired."""
    head = first(trace=trace, number=1).set_caching_options(False)
    broken = needs_repair(trace=trace).after(head).set_caching_options(False).set_retry(1, backoff_duration="0s")
    say(trace=trace, text=broken.outputs["value"]).set_caching_options(False)
    say(trace=trace, text="tidy").after(broken).set_caching_options(False).ignore_upstream_failure()
    return broken.outputs["value"]


@dsl.pipeline
def waiting(trace: str) -> list:
    """Waits for `TRACE.go`."""
    head = first(trace=trace, number=1).set_caching_options(False)
    with dsl.ParallelFor([1, 2]) as item:
        part = lingering(trace=trace, item=item).after(head).set_caching_options(False)
    return dsl.Collected(part.outputs["value"])


@dsl.pipeline
def cached(trace: str) -> int:
    """Everything is taken from an earlier run."""
    head = first(trace=trace, number=1).set_caching_options(True, cache_key="head")
    with dsl.ParallelFor([1, 2, 3]) as item:
        part = square(trace=trace, item=item).set_caching_options(True, cache_key="part")
    end = total(
        trace=trace, values=dsl.Collected(part.outputs["value"]), parts=head.outputs["data"]
    ).set_caching_options(True, cache_key="end")
    return end.outputs["value"]


@dsl.pipeline
def wide(trace: str) -> list:
    """Long enough to be disturbed while it runs."""
    with dsl.ParallelFor(list(range(12))) as item:
        part = napping(trace=trace, item=item).set_caching_options(False)
    return dsl.Collected(part.outputs["value"])


@dsl.pipeline
def lightweight(trace: str) -> int:
    """Python steps, forked from a warm parent."""
    head = add(trace=trace, number=1).set_caching_options(False)
    with dsl.ParallelFor([1, 2, 3, 4, 5, 6]) as item:
        part = add(trace=trace, number=item).after(head).set_caching_options(False)
    end = add_all(trace=trace, numbers=dsl.Collected(part.output)).set_caching_options(False)
    return end.output


@dsl.pipeline
def heavy(size: int) -> int:
    """One parameter of `size` characters handed on."""
    text = grow(size=size).set_caching_options(False)
    return measure(text=text.output).set_caching_options(False).output


@dsl.pipeline
def flooding():
    flood().set_caching_options(False)


@dsl.pipeline
def filling(trace: str):
    previous = None
    for number in range(8):
        task = fill(trace=trace, number=number).set_caching_options(False)
        if previous is not None:
            task.after(previous)
        previous = task


@dsl.pipeline
def single(trace: str, number: int) -> int:
    return first(trace=trace, number=number).set_caching_options(False).outputs["value"]


if __name__ == "__main__":
    for pipeline in (rich, failing, waiting, cached, wide, lightweight, heavy, flooding, filling, single):
        compiler.Compiler().compile(pipeline, str(HERE / f"{pipeline.name}.yaml"))
