"""Held to protobuf's own json_format over every message of the API."""

import random
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from cairn.api.grpc.encoding import encoded
from cairn.api.vertex.description import message_class, methods, pool

TEXTS = ("", "a", "projects/p/locations/l", "ü€😀", "x" * 200, "\n\t\0")
INTEGERS = (0, 1, 127, 128, 300, 2**31 - 1)
WELL_KNOWN: dict[str, Any] = {
    "google.protobuf.Timestamp": [
        "2026-11-21T15:00:00Z",
        "1970-01-01T00:00:00Z",
        "1950-02-03T04:05:06.789Z",
        "2026-01-02T03:04:05.000001Z",
        "2026-01-02T03:04:05.123456789+02:00",
    ],
    "google.protobuf.Duration": ["0s", "1.5s", "-1.500s", "-0.000000001s", "86400s"],
    "google.protobuf.FieldMask": ["", "displayName", "displayName,runtimeConfig.parameterValues"],
    "google.protobuf.Empty": [{}],
    "google.protobuf.Struct": [{}, {"a": 1, "b": [None, True, {"c": "d"}], "": -0.5}],
    "google.protobuf.ListValue": [[], [1, "a", None, [], {}]],
    "google.protobuf.Value": [None, 0, 1.5, "", "a", False, True, [], [1], {}, {"a": {"b": [1]}}],
    "google.protobuf.Any": [
        {},
        {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.5s"},
        {"@type": "type.googleapis.com/google.protobuf.Empty"},
        {"@type": "type.googleapis.com/google.cloud.aiplatform.v1.PipelineJob", "displayName": "a"},
    ],
    "google.protobuf.DoubleValue": [0.0, 1.5],
    "google.protobuf.FloatValue": [0.0, 1.5],
    "google.protobuf.Int64Value": ["0", "-5"],
    "google.protobuf.UInt64Value": ["0", "5"],
    "google.protobuf.Int32Value": [0, -5],
    "google.protobuf.UInt32Value": [0, 5],
    "google.protobuf.BoolValue": [False, True],
    "google.protobuf.StringValue": ["", "a"],
    "google.protobuf.BytesValue": ["", "AAEC"],
}


def scalar(field: FieldDescriptor, chance: random.Random) -> Any:
    number = chance.choice(INTEGERS)
    signed = chance.choice((number, -number))
    if field.enum_type is not None:
        return chance.choice(field.enum_type.values).name
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return chance.choice((0.0, 0.5, -2.0, 1e6, "NaN", "Infinity", "-Infinity", 3))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return chance.choice((True, False))
    if field.type == FieldDescriptor.TYPE_STRING:
        return chance.choice(TEXTS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return chance.choice(("", "AAEC", "_-8="))
    if field.type in (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_SFIXED64):
        return str(signed * chance.choice((1, 2**31)))
    if field.type in (FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64):
        return str(number)
    unsigned = field.type in (FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_FIXED32)
    return number if unsigned else signed


def key(field: FieldDescriptor, chance: random.Random) -> str:
    value = scalar(field, chance)
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def one(field: FieldDescriptor, chance: random.Random, depth: int) -> Any:
    return made(field.message_type, chance, depth - 1) if field.message_type is not None else scalar(field, chance)


def made(message: Descriptor, chance: random.Random, depth: int = 3) -> Any:
    """A random value of a message, as canonical JSON."""
    if message.full_name in WELL_KNOWN:
        return chance.choice(WELL_KNOWN[message.full_name])
    found: dict[str, Any] = {}
    chosen = set()
    for field in message.fields:
        group = field.containing_oneof
        if chance.random() < 0.4 or depth <= 0 or (group is not None and group.name in chosen):
            continue
        if group is not None:
            chosen.add(group.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            entry = field.message_type.fields_by_name
            value = {key(entry["key"], chance): one(entry["value"], chance, depth) for _ in range(chance.randrange(3))}
        elif field.is_repeated:
            value = [one(field, chance, depth) for _ in range(chance.randrange(3))]
        else:
            value = one(field, chance, depth)
        found[field.json_name] = value
    return found


NAMES = sorted({name for method in methods().values() for name in (method.request, method.response)})


def reference(name: str, value: Any) -> Any:
    return json_format.ParseDict(value, message_class(name)(), descriptor_pool=pool())


@pytest.mark.parametrize("part", range(8))
def test_it_writes_what_protobuf_writes(part):
    chance = random.Random(part)
    for name in NAMES[part::8]:
        for _ in range(3):
            value = made(message_class(name).DESCRIPTOR, chance)
            told = message_class(name).FromString(encoded(name, value))
            expected = reference(name, value)
            # by text: NaN is not equal to itself
            assert str(told) == str(expected), (name, value)


JOB = "google.cloud.aiplatform.v1.PipelineJob"


def test_raw_json_stands_for_what_it_says():
    spec = {"root": {"dag": {"tasks": {"a": {"x": [1, None, "ü"]}}}}}
    written = encoded(JOB, {"name": "a", "pipelineSpec": msgspec.Raw(msgspec.json.encode(spec))})
    again = encoded(JOB, {"name": "a", "pipelineSpec": msgspec.Raw(msgspec.json.encode(spec))})
    assert written == again
    assert message_class(JOB).FromString(written) == reference(JOB, {"name": "a", "pipelineSpec": spec})
    listed = {"pipelineJobs": [msgspec.Raw(b'{"displayName": "b"}')]}
    found = message_class(JOB.replace("PipelineJob", "ListPipelineJobsResponse")).FromString(
        encoded(JOB.replace("PipelineJob", "ListPipelineJobsResponse"), listed)
    )
    assert found.pipeline_jobs[0].display_name == "b"


@pytest.mark.parametrize(
    "value", [{"nothing": 1}, {"state": "NO_STATE"}, {"displayName": 5}, {"createTime": "yesterday"}]
)
def test_what_does_not_fit_is_not_written(value):
    with pytest.raises((ValueError, TypeError)):
        encoded(JOB, value)
