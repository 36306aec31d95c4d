"""Reading by the descriptors is held to protobuf's own reading, for every request of the API."""

import math
import random

import pytest
from google.protobuf.json_format import MessageToDict

from cairn.api.vertex import codec
from cairn.api.vertex.description import descriptor, message_class, methods, pool
from cairn.errors import InputRefused

JOB = "google.cloud.aiplatform.v1.PipelineJob"
LIST = methods()["PipelineService.ListPipelineJobs"]
CREATE = methods()["PipelineService.CreatePipelineJob"]


class Inventor:
    """Fills messages with anything that they can hold."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def message(self, name, depth=0):
        made = message_class(name)()
        self.fill(made, depth)
        return made

    def fill(self, message, depth):
        done = set()
        for field in message.DESCRIPTOR.fields:
            if self.random.random() < (0.4 if depth < 3 else 0.8):
                continue
            if field.containing_oneof is not None and field.containing_oneof.name in done:
                continue
            if field.message_type is not None and depth > 3 and not field.message_type.full_name.startswith("google.p"):
                continue
            self.put(message, field, depth)
            if field.containing_oneof is not None:
                done.add(field.containing_oneof.name)

    def put(self, message, field, depth):
        entry = field.message_type is not None and field.message_type.GetOptions().map_entry
        if entry:
            value = field.message_type.fields_by_name["value"]
            target = getattr(message, field.name)
            for key in ("a", "b-c"):
                if value.message_type is not None:
                    self.inside(target[key], depth)
                else:
                    target[key] = self.scalar(value)
        elif field.is_repeated and field.message_type is not None:
            for _ in range(2):
                self.inside(getattr(message, field.name).add(), depth)
        elif field.is_repeated:
            getattr(message, field.name).extend([self.scalar(field), self.scalar(field)])
        elif field.message_type is not None:
            target = getattr(message, field.name)
            target.SetInParent()
            self.inside(target, depth)
        else:
            setattr(message, field.name, self.scalar(field))

    def inside(self, message, depth):
        name = message.DESCRIPTOR.full_name
        if name == "google.protobuf.Timestamp":
            message.FromMicroseconds(self.random.choice([0, 1_795_275_476_515_618, 1_795_275_476_500_000, 999]))
        elif name == "google.protobuf.Duration":
            message.FromMilliseconds(self.random.choice([0, 1500, 3_600_000]))
        elif name == "google.protobuf.FieldMask":
            message.paths.extend(["display_name", "a.b_c"])
        elif name == "google.protobuf.Struct":
            message.update({"a": 1.5, "b": [True, None, "x"], "c": {"d": "e"}})
        elif name == "google.protobuf.Value":
            message.string_value = "x"
        elif name == "google.protobuf.ListValue":
            message.extend([1.5, "x"])
        elif name == "google.protobuf.Any":
            message.Pack(message_class(JOB)(name="x"))
        else:
            self.fill(message, depth + 1)

    def scalar(self, field):
        if field.enum_type is not None:
            return self.random.choice([value.number for value in field.enum_type.values])
        if field.type == field.TYPE_BYTES:
            return bytes(self.random.randrange(256) for _ in range(self.random.randrange(5)))
        kinds = {
            field.CPPTYPE_STRING: ["", "text", "ü\n\"'"],
            field.CPPTYPE_BOOL: [True, False],
            field.CPPTYPE_DOUBLE: [0.0, 1.5, -2.0, 1e300, math.inf, -math.inf],
            field.CPPTYPE_FLOAT: [0.0, 1.5, -2.0],
            field.CPPTYPE_INT32: [0, 1, -(2**31), 2**31 - 1],
            field.CPPTYPE_UINT32: [0, 1, 2**32 - 1],
            field.CPPTYPE_INT64: [0, 1, -(2**63), 2**63 - 1],
            field.CPPTYPE_UINT64: [0, 1, 2**64 - 1],
        }
        return self.random.choice(kinds[field.cpp_type])


REQUESTS = sorted({method.request for method in methods().values()})


@pytest.mark.parametrize("style", [{}, {"preserving_proto_field_name": True}, {"use_integers_for_enums": True}])
def test_every_request_is_read_as_protobuf_reads_it(style):
    for number, name in enumerate(REQUESTS):
        for turn in range(3):
            message = Inventor(f"{number} {turn}").message(name)
            canonical = MessageToDict(message, descriptor_pool=pool())
            assert codec.parse(name, MessageToDict(message, descriptor_pool=pool(), **style)) == canonical, name


def test_what_protobuf_writes_comes_back_through_grpc():
    for number, name in enumerate(REQUESTS):
        message = Inventor(number).message(name)
        canonical = codec.from_message(name, message.SerializeToString())
        assert message_class(name).FromString(codec.to_message(name, canonical)) == message, name


@pytest.mark.parametrize(
    ("job", "place"),
    [
        ({"pipelineSpecs": {}}, "pipelineSpecs"),
        ({"runtimeConfig": {"parameterValue": {}}}, "runtimeConfig.parameterValue"),
        ({"runtimeConfig": {"inputArtifacts": {"a": {"artifact": "1"}}}}, "runtimeConfig.inputArtifacts['a'].artifact"),
        ({"labels": {"a": 1}}, "labels['a']"),
        ({"labels": []}, "labels"),
        ({"displayName": 3}, "displayName"),
        ({"pipelineSpec": "x"}, "pipelineSpec"),
        ({"reservedIpRanges": ["a", 2]}, "reservedIpRanges[1]"),
        ({"reservedIpRanges": ["a", None]}, "reservedIpRanges[1]"),
        ({"createTime": "yesterday"}, "createTime"),
        ({"createTime": "2026-13-20T20:16:02Z"}, "createTime"),
        ({"state": "SUCCEEDED"}, "state"),
        ({"state": 99}, "state"),
        ({"state": True}, "state"),
        ({"error": {"code": 1.5}}, "error.code"),
        ({"error": {"code": 2**31}}, "error.code"),
        ({"displayName": "a", "display_name": "b"}, "displayName"),
        ({"displayName": "\ud800"}, "displayName"),
        ({"displayName": "a\x00"}, "displayName"),
        ({"pipelineSpec": {"a": ["\udfff"]}}, "pipelineSpec.a"),
        ({"pipelineSpec": {"\udfff": 1}}, "pipelineSpec"),
        ({"pipelineSpec": {"a": math.nan}}, "pipelineSpec.a"),
        ({"pipelineSpec": {"a": {"b": 10**400}}}, "pipelineSpec.a.b"),
        ({"runtimeConfig": {"parameterValues": {"x": math.inf}}}, "runtimeConfig.parameterValues['x']"),
        ([], "PipelineJob"),
        ("x", "PipelineJob"),
    ],
)
def test_a_refusal_names_the_place(job, place):
    with pytest.raises(InputRefused) as refused:
        codec.parse(JOB, job)
    assert refused.value.place == place


def test_both_spellings_numbers_as_text_and_enums_as_numbers_are_one():
    given = {
        "display_name": "x", "state": 4, "runtime_config": {"failurePolicy": "2"}, "createTime": None,
        "jobDetail": {"task_details": [{"taskId": 7, "parent_task_id": "9"}]},
        "startTime": "2026-11-20T21:16:02.5+01:00",
    }  # fmt: skip
    assert codec.parse(JOB, given) == {
        "displayName": "x",
        "state": "PIPELINE_STATE_SUCCEEDED",
        "runtimeConfig": {"failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST"},
        "jobDetail": {"taskDetails": [{"taskId": "7", "parentTaskId": "9"}]},
        "startTime": "2026-11-20T20:16:02.500Z",
    }


def test_one_of_several_can_be_set():
    value = "google.cloud.aiplatform.v1.Value"
    assert codec.parse(value, {"intValue": "3"}) == {"intValue": "3"}
    assert codec.parse(value, {"intValue": 0}) == {"intValue": "0"}  # a member of a oneof says something at 0 too
    with pytest.raises(InputRefused, match="excludes intValue"):
        codec.parse(value, {"intValue": "3", "stringValue": "x"})


def test_a_null_value_says_something():
    name = "google.cloud.aiplatform.v1.PredictRequest"
    assert codec.parse(name, {"parameters": None, "instances": [None], "endpoint": None}) == {
        "parameters": None,
        "instances": [None],
    }


def test_a_query_is_read_by_the_request():
    found = codec.parse_request(
        LIST,
        LIST.rules[0],
        variables={"parent": "projects/p/locations/l"},
        query=[("pageSize", "5"), ("filter", "a=b"), ("read_mask", "name,display_name"), ("$alt", "json;x")],
    )
    assert found == {
        "parent": "projects/p/locations/l",
        "pageSize": 5,
        "filter": "a=b",
        "readMask": "name,displayName",
    }


@pytest.mark.parametrize(
    "query",
    [[("pageSize", "x")], [("pagesize", "1")], [("pageSize", "1"), ("pageSize", "2")], [("filter.x", "1")],
     [("fields", "name")], [("", "")], [(".", "x")]],
)  # fmt: skip
def test_a_query_that_does_not_fit_is_refused(query):
    with pytest.raises(InputRefused):
        codec.parse_request(LIST, LIST.rules[0], query=query)


def test_nested_and_repeated_parameters_of_a_query():
    found = codec.parse_request(
        CREATE,
        CREATE.rules[0],
        body={"displayName": "x"},
        query=[("pipelineJobId", "a"), ("pipelineJob.encryptionSpec.kmsKeyName", "k"), ("pipeline_job.labels.a.b", "c"),
               ("pipelineJob.reservedIpRanges", "1"), ("pipelineJob.reservedIpRanges", "2")],
    )  # fmt: skip
    assert found == {
        "pipelineJobId": "a",
        "pipelineJob": {
            "displayName": "x",
            "encryptionSpec": {"kmsKeyName": "k"},
            "labels": {"a.b": "c"},
            "reservedIpRanges": ["1", "2"],
        },
    }


def test_numbers_that_json_lacks_are_written_as_protobuf_writes_them():
    assert codec.encode({"a": [math.nan, math.inf, -math.inf, 1.0]}) == b'{"a":["NaN","Infinity","-Infinity",1.0]}'


def test_bytes_that_are_no_message_are_refused():
    with pytest.raises(InputRefused):
        codec.from_message(JOB, b"\xff\xff\xff")
    with pytest.raises(InputRefused):
        codec.to_message(JOB, {"nme": 1})


def test_the_pool_is_our_own():
    from google.protobuf import descriptor_pool

    assert descriptor(JOB).file.pool is not descriptor_pool.Default()


@pytest.mark.parametrize(
    "runtime", [{"parameterValues": {"a": 10**400}}, {"parameters": {"a": {"doubleValue": 10**400}}}]
)
def test_a_number_beyond_a_double_is_refused(runtime):
    with pytest.raises(InputRefused):
        codec.parse("google.cloud.aiplatform.v1.PipelineJob", {"runtimeConfig": runtime})
