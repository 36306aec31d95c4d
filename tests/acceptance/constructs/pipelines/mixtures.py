"""Constructs inside one another: what single ones do not show."""

from typing import Dict, List, NamedTuple, Optional

from kfp import dsl, kubernetes
from kfp.dsl import Dataset, Input, Metrics, Output, PipelineTaskFinalStatus


@dsl.component
def say(word: str) -> str:
    return word


@dsl.component
def dump(values: list) -> str:
    import json

    return json.dumps(values, sort_keys=True)


@dsl.component
def kind_of(value: dict) -> str:
    return f"{type(value).__name__} {sorted(value)}"


@dsl.component
def write(text: str, data: Output[Dataset]):
    with open(data.path, "w") as file:
        file.write(text)


@dsl.component
def read_all(datasets: Input[List[Dataset]]) -> str:
    return ",".join(open(data.path).read() for data in datasets)


@dsl.component
def rows() -> List[List[int]]:
    return [[1, 2], [], [3]]


@dsl.component
def squares(value: int) -> int:
    return value * value


@dsl.pipeline
def _graded(number: int) -> str:
    with dsl.If(number > 10):
        high = say(word="high")
    with dsl.Elif(number > 5):
        middle = say(word="middle")
    with dsl.Else():
        low = say(word="low")
    return dsl.OneOf(high.output, middle.output, low.output)


@dsl.pipeline
def _squared(numbers: List[int]) -> List[int]:
    with dsl.ParallelFor(numbers) as number:
        square = squares(value=number)
    return dsl.Collected(square.output)


class MixturesOutputs(NamedTuple):
    grades: str
    lists: str
    rows: str
    kinds: str
    some: str
    settings: str


@dsl.component
def settings(names: Dict[str, int], flags: List[bool], ratio: float = 0.5) -> str:
    return f"{names} {flags} {ratio}"


@dsl.pipeline
def mixtures(numbers: List[int] = [3, 7, 12], structs: list = [{"a": 1}, {"b": {"c": [2]}}]) -> MixturesOutputs:
    with dsl.ParallelFor(numbers) as number:
        grade = _graded(number=number)
        listed = _squared(numbers=[1, 2])
    with dsl.ParallelFor(rows().output) as row:
        with dsl.ParallelFor(row) as value:
            square = squares(value=value)
    with dsl.ParallelFor(structs) as struct:
        kind = kind_of(value=struct)
    with dsl.ParallelFor(["keep", "drop", "keep too"]) as word:
        with dsl.If(word != "drop"):
            kept = write(text=word)
    return MixturesOutputs(
        dump(values=dsl.Collected(grade.output)).output,
        dump(values=dsl.Collected(listed.output)).output,
        dump(values=dsl.Collected(square.output)).output,
        dump(values=dsl.Collected(kind.output)).output,
        read_all(datasets=dsl.Collected(kept.outputs["data"])).output,
        settings(names={"x": 1}, flags=[True, False]).output,
    )


@dsl.component
def maybe(data: Optional[Input[Dataset]] = None, metrics: Optional[Input[Metrics]] = None) -> str:
    return f"{open(data.path).read() if data else None} {metrics}"


@dsl.pipeline
def _maybe_inside(data: Optional[Input[Dataset]] = None) -> str:
    return maybe(data=data).output


class OptionalArtifactsOutputs(NamedTuple):
    without: str
    given: str
    inside: str
    inside_given: str


@dsl.pipeline
def optional_artifacts() -> OptionalArtifactsOutputs:
    written = write(text="here").outputs["data"]
    return OptionalArtifactsOutputs(
        maybe().output, maybe(data=written).output, _maybe_inside().output, _maybe_inside(data=written).output
    )


class ArtifactListOutputs(NamedTuple):
    datasets: List[Dataset]
    words: List[str]


@dsl.pipeline
def artifact_list() -> ArtifactListOutputs:
    with dsl.ParallelFor(["a", "b"]) as word:
        data = write(text=word).outputs["data"]
        said = say(word=word)
    return ArtifactListOutputs(dsl.Collected(data), dsl.Collected(said.output))


@dsl.component
def fail():
    raise ValueError("on purpose")


@dsl.component
def told(status: PipelineTaskFinalStatus) -> str:
    return f"{status.pipeline_task_name} {status.state} {bool(status.error_message)}"


class StatusesOutputs(NamedTuple):
    failed: str
    done: str


@dsl.pipeline
def statuses() -> StatusesOutputs:
    broken = fail()
    with dsl.ParallelFor([1]) as item:
        squares(value=item).after(broken)
    failed = told().after(broken).ignore_upstream_failure()
    return StatusesOutputs(failed.output, say(word="done").after(failed).output)


@dsl.component
def outputs_wrong(mode: str) -> NamedTuple("Outputs", whole=int, flag=bool):
    if mode == "missing":
        import os

        os._exit(0)
    return {"text": ("3", True), "fraction": (2.5, True), "good": (3, False)}[mode]


@dsl.pipeline
def declared_outputs(mode: str):
    outputs_wrong(mode=mode)


@dsl.component
def secret_of(names: List[str]) -> List[str]:
    import os

    return [os.environ.get(name, "<unset>") for name in names]


@dsl.component
def scratch(path: str) -> List[str]:
    import os

    before = sorted(os.listdir(path))
    open(os.path.join(path, "left"), "w").close()
    return before


class NamesFromElsewhereOutputs(NamedTuple):
    each: list
    upstream: List[str]
    scratch: List[str]


@dsl.pipeline
def names_from_elsewhere() -> NamesFromElsewhereOutputs:
    with dsl.ParallelFor(["credentials", "others"]) as name:
        each = secret_of(names=["USER_NAME"])
        kubernetes.use_secret_as_env(each, secret_name=name, secret_key_to_env={"user": "USER_NAME"})
    chosen = say(word="paint")
    upstream = secret_of(names=["COLOUR"])
    kubernetes.use_config_map_as_env(
        upstream, config_map_name=chosen.output, config_map_key_to_env={"colour": "COLOUR"}
    )
    used = scratch(path="/ephemeral")
    kubernetes.add_ephemeral_volume(
        used, volume_name="tmp", mount_path="/ephemeral", access_modes=["ReadWriteOnce"], size="1Gi"
    )
    return NamesFromElsewhereOutputs(dsl.Collected(each.output), upstream.output, used.output)


@dsl.component
def once(folder: str, name: str):
    import os
    import pathlib

    place = pathlib.Path(folder, name)
    count = int(place.read_text()) + 1 if place.exists() else 1
    place.write_text(str(count))
    if name == "second" and count == 1:
        raise RuntimeError("the first time fails")
    assert os.environ["MODE"] == "fast"


@dsl.pipeline
def retried_inside(folder: str):
    with dsl.ParallelFor([1]):
        once(folder=folder, name="second").set_env_variable("MODE", "fast").set_retry(num_retries=1)
