"""Every parameter type in and out, defaults and None, integers through nested pipelines and lists, large values."""

from typing import NamedTuple, Optional

from kfp import dsl


@dsl.component
def every_type(text: str, whole: int, ratio: float, flag: bool, items: list, table: dict) -> NamedTuple(
    "Outputs", text=str, whole=int, ratio=float, flag=bool, items=list, table=dict, seen=str
):
    seen = ",".join(type(value).__name__ for value in (text, whole, ratio, flag, items, table))
    return (text, whole, ratio, flag, items, table, seen)


class TypesInnerOutputs(NamedTuple):
    text: str
    whole: int
    ratio: float
    flag: bool
    items: list
    table: dict
    seen: str


@dsl.pipeline
def _types_inner(text: str, whole: int, ratio: float, flag: bool, items: list, table: dict) -> TypesInnerOutputs:
    task = every_type(text=text, whole=whole, ratio=ratio, flag=flag, items=items, table=table)
    names = ("text", "whole", "ratio", "flag", "items", "table", "seen")
    return TypesInnerOutputs(*(task.outputs[name] for name in names))


class ParameterTypesOutputs(NamedTuple):
    text: str
    whole: int
    ratio: float
    flag: bool
    items: list
    table: dict
    seen: str


@dsl.pipeline
def parameter_types(
    text: str = "plain",
    whole: int = 7,
    ratio: float = 2.0,
    flag: bool = False,
    items: list = [1, 2.5, "x", True, [3], {"k": 4}],
    table: dict = {"n": 1, "deep": {"l": [1, 2.0]}, "empty": ""},
) -> ParameterTypesOutputs:
    first = _types_inner(text=text, whole=whole, ratio=ratio, flag=flag, items=items, table=table)
    again = _types_inner(
        text=first.outputs["text"],
        whole=first.outputs["whole"],
        ratio=first.outputs["ratio"],
        flag=first.outputs["flag"],
        items=first.outputs["items"],
        table=first.outputs["table"],
    )
    names = ("text", "whole", "ratio", "flag", "items", "table", "seen")
    return ParameterTypesOutputs(*(again.outputs[name] for name in names))


@dsl.component
def constants(text: str, whole: int, ratio: float, flag: bool, items: list, table: dict) -> str:
    import json

    return json.dumps([text, whole, ratio, flag, items, table], ensure_ascii=False)


@dsl.pipeline
def constant_arguments() -> str:
    return constants(
        text='it\'s "quoted"\n\ttab \\ back, Grüße 🚀',
        whole=-3,
        ratio=1e-7,
        flag=True,
        items=[1, 2, [3.5, "{{not a placeholder"]],
        table={"n": 10, "s": "${HOME} $(id) `id`"},
    ).output


@dsl.component
def describe(
    text: Optional[str] = None,
    whole: Optional[int] = None,
    flag: Optional[bool] = None,
    items: Optional[list] = None,
    named: str = "component default",
    count: int = 5,
) -> str:
    return f"{text!r} {whole!r} {flag!r} {items!r} {named!r} {count!r}"


@dsl.pipeline
def _optional_inner(text: Optional[str] = None, whole: Optional[int] = 11, named: str = "inner default") -> str:
    return describe(text=text, whole=whole, named=named).output


class OptionalInputsOutputs(NamedTuple):
    nothing: str
    given: str
    nested: str
    nested_given: str


@dsl.pipeline
def optional_inputs(
    text: Optional[str] = None, whole: Optional[int] = None, flag: Optional[bool] = None, named: str = "root default"
) -> OptionalInputsOutputs:
    nothing = describe()
    given = describe(text=text, whole=whole, flag=flag, named=named)
    nested = _optional_inner()
    nested_given = _optional_inner(text=text, whole=whole, named=named)
    return OptionalInputsOutputs(nothing.output, given.output, nested.output, nested_given.output)


@dsl.component
def make_text(size: int) -> NamedTuple("Outputs", text=str, items=list):
    return ("ü" * (size // 2), ["x" * 1000] * (size // 1000))


@dsl.component
def measure(text: str, items: list) -> NamedTuple("Outputs", characters=int, entries=int):
    return (len(text), len(items))


class MeasureInnerOutputs(NamedTuple):
    characters: int
    entries: int


@dsl.pipeline
def _measure_inner(text: str, items: list) -> MeasureInnerOutputs:
    task = measure(text=text, items=items)
    return MeasureInnerOutputs(task.outputs["characters"], task.outputs["entries"])


class LargeParametersOutputs(NamedTuple):
    characters: list
    entries: list


@dsl.pipeline
def large_parameters(sizes: list = [200_000, 5_000_000]) -> LargeParametersOutputs:
    with dsl.ParallelFor(sizes) as size:
        made = make_text(size=size)
        task = _measure_inner(text=made.outputs["text"], items=made.outputs["items"])
    return LargeParametersOutputs(dsl.Collected(task.outputs["characters"]), dsl.Collected(task.outputs["entries"]))
