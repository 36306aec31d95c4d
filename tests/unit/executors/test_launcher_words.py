"""What a launcher is told, and what it writes."""

from __future__ import annotations

import pytest

from cairn.engine.ports import NativeCall
from cairn.errors import StepError
from cairn.executors.native.launcher_words import Launch, read_gcp_resources, without_empty, write_gcp_resources


def call(*words: str, project: str = "default") -> NativeCall:
    said = ("--type", "CustomJob", "--payload", "{}", "--gcp_resources", "/out/r", *words)
    return NativeCall("CustomJob", said, project, "local", "run", "task", key="k")


@pytest.mark.parametrize(
    ("own", "wanted", "owner", "made"),
    [
        ("default", "acme", "", "acme"),
        ("default", "acme", "owner", "acme"),
        ("default", "", "", "default"),
        ("default", "acme", "anna", "default"),  # she may have no rights there
        ("vision", "acme", "", "vision"),
        ("vision", "vision", "anna", "vision"),
    ],
)
def test_where_a_job_is_made(own: str, wanted: str, owner: str, made: str) -> None:
    launch = Launch.of(call("--project", wanted, "--location", "us-central1", project=own), owner)
    assert (launch.project, launch.location) == (made, "us-central1")
    assert launch.project_said == (wanted if wanted != made else "")
    assert launch.uri("customJobs", "7") == (
        f"https://us-central1-aiplatform.googleapis.com/v1/projects/{made}/locations/us-central1/customJobs/7"
    )


def test_what_is_missing_is_named() -> None:
    with pytest.raises(StepError, match="--payload and --gcp_resources"):
        Launch.of(NativeCall("CustomJob", (), "p", "l", "run", "task", key="k"))


def test_what_is_empty_is_left_out_until_nothing_more_goes() -> None:
    given = {"a": {"b": {"c": ""}}, "n": 0, "list": [{}, [], 0, "", {"x": None}, {"y": 1}], "keep": [False]}
    assert without_empty(given) == {"list": [0, "", {"y": 1}], "keep": [False]}


def test_resources_are_written_as_protobuf_does_and_read_again(tmp_path) -> None:
    path = tmp_path / "outputs" / "gcp_resources"
    uri = "https://l-aiplatform.googleapis.com/v1/projects/p/locations/l/customJobs/7"
    write_gcp_resources(str(path), "CustomJob", uri)
    assert path.read_text() == (
        "{\n"
        '  "resources": [\n'
        "    {\n"
        '      "resourceType": "CustomJob",\n'
        f'      "resourceUri": "{uri}"\n'
        "    }\n"
        "  ]\n"
        "}"
    )
    (read,) = read_gcp_resources(path.read_text())
    assert (read.type, read.project, read.location, read.collection, read.id) == (
        "CustomJob", "p", "l", "customJobs", "7",
    )  # fmt: skip
    snake = '{"resources": [{"resource_type": "DataflowJob", "resource_uri": "https://dataflow.googleapis.com/x"}]}'
    assert [(one.type, one.collection) for one in read_gcp_resources(snake)] == [("DataflowJob", "")]
    for text in ("nonsense", "[]", '{"resources": [1]}', '{"resources": 3}'):
        with pytest.raises(StepError, match="is no gcp_resources"):
            read_gcp_resources(text)
