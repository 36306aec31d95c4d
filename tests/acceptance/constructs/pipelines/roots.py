"""Pipeline roots: a bucket's URI that stands for a directory of the home, and `dsl.get_uri` below it."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Dataset, Input, Output


@dsl.component
def write(data: Output[Dataset]) -> str:
    with open(data.path, "w") as file:
        file.write("in a bucket")
    return data.path


@dsl.component
def returned() -> Dataset:
    data = Dataset(uri=dsl.get_uri(suffix="own/name.txt"))
    import os

    os.makedirs(os.path.dirname(data.path), exist_ok=True)
    with open(data.path, "w") as file:
        file.write("by get_uri")
    return data


@dsl.component
def read(data: Input[Dataset], other: Input[Dataset], path: str) -> NamedTuple("Outputs", uri=str, path=str, text=str):
    text = " ".join([open(data.path).read(), open(other.path).read(), open(path).read()])
    return (data.uri, data.path, text)


class BucketRootOutputs(NamedTuple):
    uri: str
    path: str
    text: str


@dsl.pipeline(pipeline_root="gs://acme-pipelines/root")
def bucket_root() -> BucketRootOutputs:
    written = write()
    seen = read(data=written.outputs["data"], other=returned().output, path=written.outputs["Output"])
    return BucketRootOutputs(seen.outputs["uri"], seen.outputs["path"], seen.outputs["text"])
