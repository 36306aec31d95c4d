"""Conditions: if, elif, else, OneOf over parameters and artifacts, comparisons of every type, hostile strings."""

from typing import List, NamedTuple

from kfp import dsl
from kfp.dsl import Dataset, Input, Output


@dsl.component
def say(word: str) -> str:
    return word


@dsl.component
def number(value: int) -> int:
    return value


@dsl.pipeline
def branches(kind: str = "b") -> str:
    with dsl.If(kind == "a"):
        first = say(word="took a")
    with dsl.Elif(kind == "b"):
        second = say(word="took b")
    with dsl.Else():
        third = say(word="took else")
    chosen = dsl.OneOf(first.output, second.output, third.output)
    after = say(word=chosen)
    return after.output


@dsl.pipeline
def comparisons(text: str, whole: int, ratio: float, flag: bool) -> List[str]:
    with dsl.ParallelFor([0]):
        pass_through = say(word="start")
        with dsl.If(text == "it's"):
            say(word="text == it's").set_display_name("text")
        with dsl.If(text != "prod"):
            say(word="text != prod")
        with dsl.If(text == "x' || true || 'x' == 'x"):
            say(word="injected")
        with dsl.If(text == 'say "hi" \\ {{$}}'):
            say(word="double quotes")
        with dsl.If(whole > 9):
            say(word="whole > 9")
        with dsl.If(whole == 10):
            say(word="whole == 10")
        with dsl.If(ratio <= 0.5):
            say(word="ratio <= 0.5")
        with dsl.If(ratio >= 1):
            say(word="ratio >= 1")
        with dsl.If(flag == True):  # noqa: E712
            say(word="flag")
        with dsl.If(flag == False):  # noqa: E712
            say(word="not flag")
    return dsl.Collected(pass_through.output)


class BetweenOutputsOutputs(NamedTuple):
    word: str


@dsl.pipeline
def between_outputs(left: int = 3, right: int = 12) -> BetweenOutputsOutputs:
    a = number(value=left)
    b = number(value=right)
    # As text "3" < "12" would be false.
    with dsl.If(a.output < b.output):
        less = say(word="less")
        with dsl.If(a.output == 3):
            with dsl.If(b.output != 12):
                say(word="never")
            with dsl.Else():
                inner = say(word="inner")
                say(word=inner.output)
    with dsl.Else():
        more = say(word="not less")
    return BetweenOutputsOutputs(dsl.OneOf(less.output, more.output))


@dsl.component
def write(text: str, data: Output[Dataset]):
    with open(data.path, "w") as file:
        file.write(text)
    data.metadata["wrote"] = text


@dsl.component
def read(data: Input[Dataset]) -> str:
    with open(data.path) as file:
        return f"{file.read()} {data.metadata['wrote']} {data.name}"


class OneOfArtifactsOutputs(NamedTuple):
    text: str
    chosen: Dataset


@dsl.pipeline
def one_of_artifacts(flag: bool = True) -> OneOfArtifactsOutputs:
    with dsl.If(flag == True):  # noqa: E712
        yes = write(text="yes")
    with dsl.Else():
        no = write(text="no")
    chosen = dsl.OneOf(yes.outputs["data"], no.outputs["data"])
    return OneOfArtifactsOutputs(read(data=chosen).output, chosen)


class SkippedDownstreamOutputs(NamedTuple):
    always: str


@dsl.pipeline
def skipped_downstream(flag: bool = False) -> SkippedDownstreamOutputs:
    with dsl.If(flag == True):  # noqa: E712
        inside = say(word="inside")
        say(word=inside.output)
    always = say(word="always")
    return SkippedDownstreamOutputs(always.output)
