"""Artifacts: types and metadata, custom paths, metrics and reports, embedded ones, importers, workspaces."""

import os
from typing import NamedTuple

from kfp import dsl
from kfp.dsl import (
    HTML,
    Artifact,
    ClassificationMetrics,
    Dataset,
    Input,
    Markdown,
    Metrics,
    Model,
    Output,
    SlicedClassificationMetrics,
)


@dsl.component
def write_all(
    plain: Output[Artifact],
    data: Output[Dataset],
    model: Output[Model],
    folder: Output[Dataset],
    empty: Output[Dataset],
):
    import os

    with open(plain.path, "w") as file:
        file.write("plain")
    with open(data.path, "w") as file:
        file.write("a,b\n1,2\n")
    data.metadata.update({"rows": 1, "ratio": 0.5, "ok": True, "names": ["a", "b"], "deep": {"k": None}, "ü": "ß"})
    with open(model.path, "w") as file:
        file.write("weights")
    model.framework = "none"
    os.makedirs(folder.path)
    for name in ("one", "two"):
        with open(os.path.join(folder.path, name), "w") as file:
            file.write(name)


@dsl.component
def read_all(plain: Input[Artifact], data: Input[Dataset], model: Input[Model], folder: Input[Dataset]) -> str:
    import json
    import os

    try:
        open(data.path, "a")
        writable = True
    except OSError:
        writable = False
    return json.dumps(
        [
            open(plain.path).read(),
            data.metadata,
            type(model).__name__,
            model.framework,
            sorted(os.listdir(folder.path)),
            data.uri == data.path,
            writable and os.getuid() != 0,
        ],
        sort_keys=True,
        ensure_ascii=False,
    )


class ArtifactTypesOutputs(NamedTuple):
    text: str
    data: Dataset


@dsl.pipeline
def artifact_types() -> ArtifactTypesOutputs:
    made = write_all()
    text = read_all(
        plain=made.outputs["plain"],
        data=made.outputs["data"],
        model=made.outputs["model"],
        folder=made.outputs["folder"],
    )
    return ArtifactTypesOutputs(text.output, made.outputs["data"])


@dsl.component
def measure(
    metrics: Output[Metrics],
    classification: Output[ClassificationMetrics],
    sliced: Output[SlicedClassificationMetrics],
    page: Output[HTML],
    notes: Output[Markdown],
):
    metrics.log_metric("accuracy", 0.75)
    classification.log_confusion_matrix(["cat", "dog"], [[3, 1], [0, 4]])
    classification.log_roc_curve([0.0, 0.5, 1.0], [0.0, 0.9, 1.0], [1.0, 0.5, 0.0])
    sliced._sliced_metrics = {}  # kfp 2.17 forgets to
    sliced.set_confusion_matrix_categories("slice a", ["x", "y"])
    sliced.log_confusion_matrix_row("slice a", "x", [1, 2])
    with open(page.path, "w") as file:
        file.write("<b>bold</b>")
    with open(notes.path, "w") as file:
        file.write("# Notes")


@dsl.component
def read_metrics(
    metrics: Input[Metrics], classification: Input[ClassificationMetrics], page: Input[HTML], notes: Input[Markdown]
) -> str:
    matrix = classification.metadata["confusionMatrix"]["rows"]
    return f"{metrics.metadata['accuracy']} {matrix} {open(page.path).read()} {open(notes.path).read()}"


@dsl.pipeline
def metrics() -> str:
    made = measure()
    names = ("metrics", "classification", "page", "notes")
    return read_metrics(**{name: made.outputs[name] for name in names}).output


@dsl.component
def with_custom_path(folder: str, data: Output[Dataset]):
    import os

    os.makedirs(folder, exist_ok=True)
    data.custom_path = os.path.join(folder, "here.txt")
    with open(data.custom_path, "w") as file:
        file.write("elsewhere")


@dsl.component
def read_custom_path(data: Input[Dataset]) -> str:
    with open(data.path) as file:
        return f"{file.read()} {data.path}"


@dsl.pipeline
def custom_path(folder: str) -> str:
    return read_custom_path(data=with_custom_path(folder=folder).outputs["data"]).output


@dsl.component
def returned(text: str) -> Dataset:
    data = Dataset(uri=dsl.get_uri(suffix="returned.txt"), metadata={"how": "returned"})
    with open(data.path, "w") as file:
        file.write(text)
    return data


@dsl.component
def returned_pair(text: str) -> NamedTuple("Outputs", data=Dataset, size=int):
    from typing import NamedTuple as Named

    data = Dataset(uri=dsl.get_uri("pair"))
    with open(data.path, "w") as file:
        file.write(text)
    return Named("Outputs", data=Dataset, size=int)(data=data, size=len(text))


@dsl.component
def read_returned(data: Dataset, pair: Dataset, size: int) -> str:
    return f"{open(data.path).read()} {data.metadata['how']} {open(pair.path).read()} {size}"


@dsl.pipeline
def pythonic() -> str:
    pair = returned_pair(text="pair")
    return read_returned(data=returned(text="one").output, pair=pair.outputs["data"], size=pair.outputs["size"]).output


@dsl.component
def read_imported(data: Input[Dataset]) -> NamedTuple("Outputs", text=str, metadata=dict, uri=str, name=str):
    return (open(data.path).read(), data.metadata, data.uri, data.name)


@dsl.component
def pick(text: str) -> str:
    return text


class ImportingOutputs(NamedTuple):
    text: str
    metadata: dict
    uri: str
    upstream: str


@dsl.pipeline
def importing(source: str, label: str = "blue") -> ImportingOutputs:
    picked = pick(text=label)
    task = dsl.importer(
        artifact_uri=source,
        artifact_class=Dataset,
        reimport=False,
        metadata={"label": label, picked.output: "as key", "nested": {"list": [picked.output, 1]}, "count": 3},
    )
    again = dsl.importer(artifact_uri=pick(text=source).output, artifact_class=Dataset, reimport=True)
    seen = read_imported(data=task.output)
    other = read_imported(data=again.output)
    return ImportingOutputs(seen.outputs["text"], seen.outputs["metadata"], seen.outputs["uri"], other.outputs["text"])


_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "embedded")


@dsl.component(embedded_artifact_path=_FOLDER)
def read_embedded(config: dsl.EmbeddedInput[Dataset]) -> str:
    import os

    parts = [open(os.path.join(config.path, name)).read().strip() for name in sorted(os.listdir(config.path))]
    return " ".join(parts)


@dsl.pipeline
def embedded() -> str:
    return read_embedded().output


@dsl.component
def leave(place: str, text: str) -> str:
    import os

    path = os.path.join(place, "notes", "left.txt")
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as file:
        file.write(text)
    return path


@dsl.component
def find(path: str, place: str, downloaded: Input[Dataset]) -> str:
    import os

    copy = os.path.join(place, ".artifacts", downloaded.uri.lstrip("/"))
    inside = downloaded.path != downloaded.uri and os.path.samefile(copy, downloaded.path)
    return f"{open(path).read()} {open(downloaded.path).read()} {inside}"


@dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
def workspace(source: str) -> str:
    left = leave(place=dsl.WORKSPACE_PATH_PLACEHOLDER, text="kept")
    data = dsl.importer(artifact_uri=source, artifact_class=Dataset, download_to_workspace=True)
    return find(path=left.output, place=dsl.WORKSPACE_PATH_PLACEHOLDER, downloaded=data.output).output
