"""A run's parameters, from Python and from the command line."""

import pytest
from tests.unit.spec.documents import change, compiled, text_of

from cairn.domain.artifacts import Artifact, ArtifactType
from cairn.errors import ParameterError
from cairn.spec.load import load_text
from cairn.spec.parameters import check_artifacts, parse_argument, resolve_parameters

DECLARED = {
    "text": {"parameterType": "STRING"},
    "whole": {"parameterType": "NUMBER_INTEGER", "defaultValue": 10.0, "isOptional": True},
    "real": {"parameterType": "NUMBER_DOUBLE", "defaultValue": 1, "isOptional": True},
    "flag": {"parameterType": "BOOLEAN", "isOptional": True},
    "items": {"parameterType": "LIST", "isOptional": True},
    "more": {"parameterType": "STRUCT", "isOptional": True},
    "size": {"parameterType": "STRING", "isOptional": True, "literals": ["small", "large"]},
}


def pipeline_with(parameters, artifacts=None):
    document = compiled("say")[0]
    change(document, "root/inputDefinitions", {"parameters": parameters, "artifacts": artifacts or {}})
    change(document, "root/dag/tasks/say/inputs", {"parameters": {"text": {"runtimeValue": {"constant": "x"}}}})
    return load_text(text_of([document]), origin="x")


@pytest.fixture
def pipeline():
    return pipeline_with(DECLARED)


def test_defaults_are_applied_and_types_kept(pipeline):
    resolved = resolve_parameters(pipeline, {"text": "a", "items": [1, 2.5]})
    assert resolved == {
        "text": "a", "whole": 10, "real": 1.0, "flag": None, "items": [1, 2.5], "more": None, "size": None,
    }  # fmt: skip
    assert [type(resolved[name]) for name in ("whole", "real")] == [int, float]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "needs a value for text"),
        ({"text": "a", "hole": 1}, "did you mean 'whole'"),
        ({"text": 5}, "text is wanted"),
        ({"text": "a", "whole": 1.5}, "whole number"),
        ({"text": "a", "whole": "1"}, "whole number"),
        ({"text": "a", "whole": 1e300}, "whole number"),
        ({"text": "a", "whole": True}, "whole number"),
        ({"text": "a", "real": "x"}, "number is wanted"),
        ({"text": "a", "flag": 1}, "true or false"),
        ({"text": "a", "items": {}}, "list is wanted"),
        ({"text": "a", "more": []}, "mapping is wanted"),
        ({"text": "a", "size": "medium"}, "'small', 'large'"),
    ],
)
def test_what_does_not_fit_is_refused(pipeline, given, words):
    with pytest.raises(ParameterError) as raised:
        resolve_parameters(pipeline, given)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("text=5", "5"),
        ("text=a=b", "a=b"),
        ("text=", ""),
        ("text=null", "null"),
        ("whole=3", 3),
        ("whole=3.0", 3),
        ("whole=null", None),
        ("real=3", 3.0),
        ("real=1e-3", 0.001),
        ("flag=true", True),
        ("flag=False", False),
        ('items=[1, "a"]', [1, "a"]),
        ('more={"a": 1}', {"a": 1}),
        ("size=large", "large"),
    ],
)
def test_arguments_are_read_by_declared_type(pipeline, argument, expected):
    name, value = parse_argument(pipeline, argument)
    assert name == argument.partition("=")[0]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    "argument",
    ["text", "=x", "nope=1", "whole=many", "whole=1.5", "real=NaN", "flag=yes", "items=1,2", "more=[1]", "size=huge"],
)
def test_arguments_that_cannot_be_read_are_refused(pipeline, argument):
    with pytest.raises(ParameterError):
        parse_argument(pipeline, argument)


def test_an_artifact_is_held_to_its_declaration():
    declared = {"data": {"artifactType": {"schemaTitle": "system.Dataset"}}}
    pipeline = pipeline_with({}, declared)
    dataset = Artifact("a", ArtifactType("system.Dataset"), "/a")
    check_artifacts(pipeline, {"data": (dataset,)})
    with pytest.raises(ParameterError, match="given none"):
        check_artifacts(pipeline, {})
    with pytest.raises(ParameterError, match=r"system\.Model is given where system\.Dataset is wanted"):
        check_artifacts(pipeline, {"data": (Artifact("m", ArtifactType("system.Model"), "/m"),)})
    with pytest.raises(ParameterError, match=r"no input artifact 'date' \(did you mean 'data'"):
        check_artifacts(pipeline, {"date": (dataset,)})
    with pytest.raises(ParameterError, match="not a parameter"):
        parse_argument(pipeline, "data=gs://x")
    check_artifacts(pipeline_with({}, {"data": {**declared["data"], "isOptional": True}}), {})


def test_a_final_status_cannot_be_given_to_a_run():
    with pytest.raises(ParameterError, match="TASK_FINAL_STATUS"):
        resolve_parameters(pipeline_with({"status": {"parameterType": "TASK_FINAL_STATUS"}}), {"status": {}})
