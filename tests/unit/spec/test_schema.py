"""The field tables say what the protobuf descriptors say."""

import importlib.metadata
import importlib.util
import sys

import pytest

from cairn.spec.reader import Bad, read
from cairn.spec.schema import ENUMS, KUBERNETES_REFUSED, MESSAGES, PIPELINE

SCALARS = {1: "double", 3: "int64", 5: "int32", 8: "bool", 9: "string"}
WELL_KNOWN = {
    "google.protobuf.Value": "value",
    "google.protobuf.Struct": "struct",
    "google.protobuf.Duration": "duration",
}
# Declared as Struct, and held to these messages by every backend.
STRUCTS = {"PipelineSpec.deploymentSpec": "PipelineDeploymentConfig"}


def descriptors(distribution: str, module: str):
    """A generated module, loaded by its file: importing its package would run kfp's `__init__`."""
    pytest.importorskip("google.rpc.status_pb2", reason="googleapis-common-protos")
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed")
    path = next(str(file.locate()) for file in files if file.name == f"{module}.py")
    if module not in sys.modules:
        spec = importlib.util.spec_from_file_location(module, path)
        sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module])
    return sys.modules[module].DESCRIPTOR.message_types_by_name


def compare(descriptor, name: str, seen: set[str]) -> None:
    if name in seen:
        return
    seen.add(name)
    assert set(MESSAGES[name]) == {field.json_name for field in descriptor.fields}, name
    for field in descriptor.fields:
        type_, _, group = MESSAGES[name][field.json_name].partition(" @")
        place = f"{name}.{field.json_name}"
        oneof = field.containing_oneof
        assert group == (oneof.name if oneof and not oneof.name.startswith("_") else ""), place
        compare_type(field, type_, place, seen)


def compare_type(field, type_: str, place: str, seen: set[str]) -> None:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        assert type_[:1] == "{", place
        compare_type(message.fields_by_name["value"], type_[1:-1], place, seen)
        return
    if type_.startswith("["):
        assert field.is_repeated, place
        type_ = type_[1:-1]
    if message is not None and message.full_name in WELL_KNOWN:
        assert type_ in (WELL_KNOWN[message.full_name], STRUCTS.get(place)), place
    elif message is not None:
        compare(message, type_, seen)
    elif field.enum_type is not None:
        values = tuple(value.name for value in field.enum_type.values)
        assert type_.startswith("enum "), place
        assert ENUMS[type_[5:]] == values, place
    else:
        assert type_ == SCALARS[field.type], place


def test_tables_match_the_pipeline_specification():
    messages = descriptors("kfp-pipeline-spec", "pipeline_spec_pb2")
    seen: set[str] = set()
    compare(messages["PipelineSpec"], "PipelineSpec", seen)
    compare(messages["PlatformSpec"], "PlatformSpec", seen)
    compare(messages["PipelineDeploymentConfig"], "PipelineDeploymentConfig", seen)
    assert seen == set(PIPELINE)


def test_tables_match_the_kubernetes_configuration():
    descriptors("kfp-pipeline-spec", "pipeline_spec_pb2")
    messages = descriptors("kfp-kubernetes", "kubernetes_executor_config_pb2")
    config = messages["KubernetesExecutorConfig"]
    known = set(MESSAGES["KubernetesExecutorConfig"])
    assert {field.json_name for field in config.fields} - set(KUBERNETES_REFUSED) == known
    for field in config.fields:
        type_ = MESSAGES["KubernetesExecutorConfig"].get(field.json_name)
        if type_ is not None:
            compare_type(field, type_, field.json_name, {"TaskParameter", "TaskOutputParameter"})


@pytest.mark.parametrize(
    ("message", "given", "read_as"),
    [
        (
            "RetryPolicy",
            {"max_retry_count": "3", "backoff_duration": "1.5s"},
            {"maxRetryCount": 3, "backoffDuration": 1.5},
        ),
        ("RetryPolicy", {"maxRetryCount": 3.0, "backoffFactor": 2}, {"maxRetryCount": 3, "backoffFactor": 2.0}),
        ("TriggerPolicy", {"strategy": 2, "condition": None}, {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}),
        ("ValueOrRuntimeParameter", {"constant": None}, {"constant": None}),
        ("Value", {"int_value": "7"}, {"intValue": 7}),
    ],
)
def test_json_is_read_as_protobuf_reads_it(message, given, read_as):
    assert read(message, given) == read_as


def test_an_error_names_the_whole_way_down():
    with pytest.raises(Bad) as raised:
        read("DagSpec", {"tasks": {"a": {"inputs": {"parameters": {"lr": {"runtimeValue": {"constand": 1}}}}}}})
    assert raised.value.refused("x.yaml").place == "x.yaml: tasks.a.inputs.parameters.lr.runtimeValue"
    assert "'constant'" in raised.value.message
