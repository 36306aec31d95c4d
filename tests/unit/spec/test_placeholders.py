"""Placeholders: parsed once, put in once, by kfp.local's rules for text."""

import json

import pytest

from cairn.errors import SpecError
from cairn.spec.placeholders import PlaceholderContext, compile_command, resolve_text, resolve_value

INPUT = {
    "inputs": {
        "parameterValues": {
            "text": "a b",
            "whole": 3,
            "real": 0.5,
            "flag": True,
            "list": [1, "x"],
            "struct": {"k": "v"},
            "tricky": "{{$.pipeline_job_name}}",
            "quote": 'say "hi"\n',
            "nothing": None,
        },
        "artifacts": {
            "data": {"artifacts": [{"name": "n1", "uri": "gs://b/d", "metadata": {"rows": 7, "deep": {"a": [1]}}}]},
            "moved": {"artifacts": [{"uri": "gs://b/m", "customPath": "/custom/m"}]},
            "empty": {"artifacts": []},
        },
    },
    "outputs": {
        "parameters": {"out": {"outputFile": "/tmp/out"}},
        "artifacts": {"model": {"artifacts": [{"uri": "gs://b/model", "metadata": {}}]}},
        "outputFile": "/tmp/output_metadata.json",
    },
}


@pytest.fixture
def context():
    return PlaceholderContext(
        executor_input=INPUT,
        path_of=lambda uri: uri.replace("gs://", "/gcs/"),
        job_name="job-1",
        job_uuid="uuid-1",
        job_resource_name="projects/p/job-1",
        task_name="train",
        task_uuid="uuid-2",
        pipeline_root="gs://root",
        create_time=1_700_000_000_123_456,
        schedule_time=1_700_000_060_000_000,
        workspace_path="/kfp-workspace",
        project="acme",
        location="europe-west4",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("{{$.inputs.parameters['text']}}", "a b"),
        ('{{$.inputs.parameters["text"]}}', "a b"),
        ("{{$.inputs.parameters[''text'']}}", "a b"),
        ("--n={{$.inputs.parameters['whole']}}", "--n=3"),
        ("{{$.inputs.parameters['real']}}/{{$.inputs.parameters['flag']}}", "0.5/true"),
        ("{{$.inputs.parameters['list']}}", '[1, "x"]'),
        ("{{$.inputs.parameters['struct']}}", '{"k": "v"}'),
        ("{{$.inputs.parameters['nothing']}}", "null"),
        ("{{$.inputs.parameters['tricky']}}", "{{$.pipeline_job_name}}"),
        ("{{$.inputs.parameters['quote'].json_escape[0]}}", 'say "hi"\n'),
        ("{{$.inputs.parameters['quote'].json_escape[1]}}", 'say \\"hi\\"\\n'),
        ("{{$.inputs.artifacts['data'].uri}}", "gs://b/d"),
        ("{{$.inputs.artifacts['data'].path}}", "/gcs/b/d"),
        ("{{$.inputs.artifacts['data'].name}}", "n1"),
        ("{{$.inputs.artifacts['moved'].path}}", "/custom/m"),
        ("{{$.inputs.artifacts['data'].metadata['rows']}}", "7"),
        ("{{$.inputs.artifacts['data'].metadata['deep']['a']}}", "[1]"),
        ("{{$.inputs.artifacts['data'].metadata['none']}}", "null"),
        ("{{$.inputs.artifacts['data']}}", json.dumps(INPUT["inputs"]["artifacts"]["data"]["artifacts"])),
        ("{{$.outputs.artifacts['model'].path}}", "/gcs/b/model"),
        ("{{$.outputs.artifacts['model'].metadata}}", "{}"),
        ("{{$.outputs.parameters['out'].output_file}}", "/tmp/out"),
        ("{{$.outputs.output_file}}", "/tmp/output_metadata.json"),
        ("{{$.outputMetadataUri}}", "/tmp/output_metadata.json"),
        ("{{$.pipeline_job_name}} {{$.pipeline_job_uuid}}", "job-1 uuid-1"),
        ("{{$.pipeline_google_cloud_project_id}}/{{$.pipeline_google_cloud_location}}", "acme/europe-west4"),
        ("<{{$.pipeline_service_account}}{{$.pipeline_network}}>", "<>"),
        ("{{$.pipeline_job_resource_name}}", "projects/p/job-1"),
        ("{{$.pipeline_task_name}} {{$.pipeline_task_uuid}}", "train uuid-2"),
        ("{{$.pipeline_root}}{{$.workspace_path}}", "gs://root/kfp-workspace"),
        ("{{$.pipeline_job_create_time_utc}}", "2023-11-14T22:13:20Z"),
        ("{{$.pipeline_job_schedule_time_utc}}", "2023-11-14T22:14:20Z"),
        ("{{$}}", json.dumps(INPUT)),
        ("{{$.json_escape[1]}}", json.dumps(json.dumps(INPUT))[1:-1]),
        ("{{ $.x }} {$} {{x}}", "{{ $.x }} {$} {{x}}"),
    ],
)
def test_each_placeholder_becomes_its_text(context, text, expected):
    assert resolve_text(text, context) == expected
    assert compile_command([text]).resolve(context) == (expected,)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ('{"Concat": ["a-", "{{$.inputs.parameters[\'whole\']}}"]}', ("a-3",)),
        ('{"IfPresent": {"InputName": "text", "Then": ["--t", "{{$.inputs.parameters[\'text\']}}"]}}', ("--t", "a b")),
        ('{"IfPresent": {"InputName": "nothing", "Then": ["--t"]}}', ()),
        ('{"IfPresent": {"InputName": "nothing", "Then": "a", "Else": "b"}}', ("b",)),
        ('{"IfPresent": {"InputName": "data", "Then": "a"}}', ("a",)),
        ('{"IfPresent": {"InputName": "empty", "Then": "a", "Else": ["b", "c"]}}', ("b", "c")),
        ('{"IfPresent": {"InputName": "text", "Then": {"Concat": ["x", "y"]}}}', ("xy",)),
        ('{"Concat": ["a", {"IfPresent": {"InputName": "nothing", "Then": "b"}}, "c"]}', ("ac",)),
        ('{"Concat": ["a", {"IfPresent": {"InputName": "text", "Then": ["b", {"Concat": ["c"]}]}}]}', ("abc",)),
        ('{"Concat": ["{\\"k\\": \\"", "{{$.inputs.parameters[\'text\']}}", "\\"}"]}', ('{"k": "a b"}',)),
        ('{"other": "{{$.inputs.parameters[\'text\']}}"}', ('{"other": "a b"}',)),
        ('{"Concat": not json', ('{"Concat": not json',)),
    ],
)
def test_concat_and_if_present(context, word, expected):
    assert compile_command(["first", word]).resolve(context) == ("first", *expected)


@pytest.mark.parametrize(
    "text",
    ["{{$.foo}}", "{{$.inputs.parameters['x'].uri}}", "{{$.inputs.artifacts['x'].size}}", "{{$.inputs}}", "{{$x}}"],
)
def test_what_is_no_placeholder_is_refused_in_an_argument_and_stays_in_source(context, text):
    with pytest.raises(SpecError, match="is no placeholder"):
        compile_command([text])
    assert compile_command([f"print()\n'{text}'"]).resolve(context) == (f"print()\n'{text}'",)


def test_constants_are_resolved_inside_lists_and_mappings(context):
    value = {
        "{{$.pipeline_task_name}}": ["{{$.inputs.parameters['whole']}}", 1, {"a": "x{{$.inputs.parameters['real']}}"}]
    }
    assert resolve_value(value, context) == {"train": ["3", 1, {"a": "x0.5"}]}


def test_a_constant_that_is_one_parameter_keeps_its_type(context):
    assert resolve_value("{{$.inputs.parameters['list']}}", context) == [1, "x"]
    assert resolve_value("{{$.inputs.parameters['whole']}}!", context) == "3!"


def test_values_without_placeholders_come_back_untouched(context):
    value = [1, {"a": None}, "{{"]
    assert resolve_value(value, context) == value
