"""Container components: every placeholder, Concat, IfPresent, custom artifact types, files as outputs."""

from typing import List, NamedTuple, Optional

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Output


class VertexModel(Artifact):
    schema_title = "google.VertexModel"
    schema_version = "0.0.1"


SHOW = 'mkdir -p "$(dirname "$0")"; printf "%s\\n" "$@" > "$0"'
"""Writes its arguments, one a line, to the file named first."""


@dsl.container_component
def container_produce(text: str, data: Output[Dataset], length: dsl.OutputPath(int)):
    script = 'mkdir -p "$(dirname "$1")" "$(dirname "$2")"; printf %s "$0" > "$1"; printf %s "$0" | wc -c > "$2"'
    return dsl.ContainerSpec(image="shell", command=["sh", "-c", script], args=[text, data.path, length])


@dsl.container_component
def container_placeholders(
    text: str,
    whole: int,
    ratio: float,
    flag: bool,
    items: list,
    table: dict,
    data: Input[Dataset],
    made: Output[Dataset],
    lines: dsl.OutputPath(str),
):
    return dsl.ContainerSpec(
        image="shell",
        command=["sh", "-c", SHOW],
        args=[
            lines,
            text,
            whole,
            ratio,
            flag,
            items,
            table,
            f"glued:{text}:{whole}",
            data.path,
            data.uri,
            data.metadata["wrote"],
            made.path,
            made.uri,
            lines,
            dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
            dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER,
            dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            dsl.PIPELINE_TASK_NAME_PLACEHOLDER,
            dsl.PIPELINE_TASK_ID_PLACEHOLDER,
            dsl.PIPELINE_ROOT_PLACEHOLDER,
            dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER,
            dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER,
            "{{$}}",
            "{{$.json_escape[1]}}",
            "{{$.inputs.parameters['table'].json_escape[1]}}",
        ],
    )


@dsl.component
def as_text(*, data: Input[Dataset]) -> str:
    return open(data.path).read()


@dsl.component
def label(data: Input[Dataset], out: Output[Dataset]):
    with open(out.path, "w") as file:
        file.write(open(data.path).read())
    out.metadata["wrote"] = 'label\'s "metadata"'


class PlaceholdersOutputs(NamedTuple):
    lines: str
    length: int


@dsl.pipeline
def placeholders(
    text: str = 'it\'s "q" $HOME',
    whole: int = 12,
    ratio: float = 3.0,
    flag: bool = True,
    items: list = [1, "two", 2.5],
    table: dict = {"k": "v", "n": 1},
) -> PlaceholdersOutputs:
    produced = container_produce(text="grüße\n2")
    labelled = label(data=produced.outputs["data"])
    shown = container_placeholders(
        text=text, whole=whole, ratio=ratio, flag=flag, items=items, table=table, data=labelled.outputs["out"]
    ).set_display_name("The shown one")
    return PlaceholdersOutputs(shown.outputs["lines"], produced.outputs["length"])


@dsl.container_component
def container_optional(
    lines: dsl.OutputPath(str), name: str, given: Optional[str] = None, data: Optional[Input[Dataset]] = None
):
    return dsl.ContainerSpec(
        image="shell",
        command=["sh", "-c", SHOW],
        args=[
            lines,
            dsl.ConcatPlaceholder(["--name=", name, "/", name]),
            dsl.IfPresentPlaceholder(input_name="given", then=["--given", given], else_=["--no-given"]),
            dsl.IfPresentPlaceholder(
                input_name="given", then=dsl.ConcatPlaceholder(["<", dsl.ConcatPlaceholder([given, "|"]), name, ">"])
            ),
            "end",
        ],
    )


class OptionalArgumentsOutputs(NamedTuple):
    without: str
    given: str
    none: str


@dsl.pipeline
def optional_arguments(none: Optional[str] = None) -> OptionalArgumentsOutputs:
    without = container_optional(name="n")
    given = container_optional(name="n", given="g")
    nothing = container_optional(name="n", given=none)
    return OptionalArgumentsOutputs(without.outputs["lines"], given.outputs["lines"], nothing.outputs["lines"])


@dsl.component
def job_names(names: List[str]) -> List[str]:
    return names


@dsl.pipeline
def placeholder_arguments() -> List[str]:
    return job_names(
        names=[
            dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
            dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            dsl.PIPELINE_TASK_NAME_PLACEHOLDER,
            f"prefix-{dsl.PIPELINE_JOB_ID_PLACEHOLDER}-suffix",
        ]
    ).output


@dsl.container_component
def container_vertex_model(
    executor_input: dsl.OutputPath(str),
    model: Output[VertexModel],
    metrics: Output[Metrics],
    gcp_resources: dsl.OutputPath(str),
):
    script = """
import json, os, sys
given = json.loads(sys.argv[1])
artifact = given["outputs"]["artifacts"]["model"]["artifacts"][0]
artifact["uri"] = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/l/models/1"
artifact["metadata"] = {"resourceName": "projects/p/locations/l/models/1"}
metrics = given["outputs"]["artifacts"]["metrics"]["artifacts"][0]
metrics["metadata"] = {"auc": 0.5}
os.makedirs(os.path.dirname(given["outputs"]["outputFile"]), exist_ok=True)
json.dump(
    {
        "artifacts": {"model": {"artifacts": [artifact]}, "metrics": {"artifacts": [metrics]}},
        "parameterValues": {"executor_input": "from the report", "gcp_resources": "{}"},
    },
    open(given["outputs"]["outputFile"], "w"),
)
"""
    return dsl.ContainerSpec(image="shell", command=["python3", "-c", script], args=["{{$}}"])


@dsl.container_component
def container_read_model(model: Input[VertexModel], lines: dsl.OutputPath(str)):
    return dsl.ContainerSpec(
        image="shell",
        command=["sh", "-c", SHOW],
        args=[lines, model.uri, model.metadata["resourceName"]],
    )


class CustomTypesOutputs(NamedTuple):
    lines: str
    text: str


@dsl.pipeline
def custom_types() -> CustomTypesOutputs:
    made = container_vertex_model()
    read = container_read_model(model=made.outputs["model"])
    return CustomTypesOutputs(read.outputs["lines"], made.outputs["executor_input"])


@dsl.container_component
def container_project(word: str, lines: dsl.OutputPath(str)):
    return dsl.ContainerSpec(
        image="gcr.io/acme/trainer:1", command=["python", "main.py"], args=["--word", word, "--out", lines]
    )


@dsl.pipeline
def project_mapped(word: str = "hello") -> str:
    task = container_project(word=word)
    task.set_env_variable("FLAVOUR", "plain")
    return task.outputs["lines"]


@dsl.container_component
def container_environment(lines: dsl.OutputPath(str)):
    return dsl.ContainerSpec(
        image="shell", command=["sh", "-c", SHOW + '; printf "%s" "$SECOND" >> "$0"'], args=[lines, "x"]
    )


@dsl.component
def environment(names: List[str]) -> List[str]:
    import os

    return [os.environ.get(name, "<unset>") for name in names]


class EnvironmentsOutputs(NamedTuple):
    python: List[str]
    shell: str


@dsl.pipeline
def environment_variables(given: str = "from the outside") -> EnvironmentsOutputs:
    task = environment(names=["FIRST", "SECOND", "PYTHONHASHSEED", "CAIRN_HOME"])
    task.set_env_variable("FIRST", 'it\'s "1"').set_env_variable("SECOND", "ü=2").set_env_variable(
        "PYTHONHASHSEED", "7"
    )
    shell = container_environment().set_env_variable("SECOND", "second")
    return EnvironmentsOutputs(task.output, shell.outputs["lines"])
