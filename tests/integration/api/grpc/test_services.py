"""gRPC's own services, with the clients that ship with it."""

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from cairn.api.grpc import descriptions


@pytest.fixture
def running(host):
    return host()


@pytest.fixture
def channel(running):
    with grpc.insecure_channel(running.url[7:]) as opened:
        yield opened


def test_health(channel, running):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", "google.longrunning.Operations"):
        assert health.Check(health_pb2.HealthCheckRequest(service=service)).status == 1
    with pytest.raises(grpc.RpcError) as refused:
        health.Check(health_pb2.HealthCheckRequest(service="no.Service"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    watch = health.Watch(health_pb2.HealthCheckRequest(service="no.Service"), timeout=20)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()
    running.server.context.draining = True
    assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.NOT_SERVING


def test_reflection_describes_what_can_be_called(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    services = set(database.get_services())
    assert {"google.longrunning.Operations", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} <= services
    for service in services:
        file = database.FindFileContainingSymbol(service)
        assert service.rpartition(".")[2] in {one.name for one in file.service}
    with pytest.raises(KeyError):
        database.FindFileContainingSymbol("no.Service")


@pytest.mark.parametrize("package", descriptions.REFLECTION)
def test_one_stream_takes_many_questions(channel, package):
    call = channel.stream_stream(
        f"/{package}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    kind = "google.protobuf.MethodOptions"
    asked = [
        reflection_pb2.ServerReflectionRequest(host="a", list_services=""),
        reflection_pb2.ServerReflectionRequest(file_by_filename="no.proto"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="google.longrunning.Operation"),
        reflection_pb2.ServerReflectionRequest(all_extension_numbers_of_type=kind),
        reflection_pb2.ServerReflectionRequest(),
    ]
    answers = list(call(iter(asked), timeout=20))
    assert [one.original_request for one in answers] == asked
    assert answers[0].valid_host == "a"
    assert answers[1].error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    files = [FileDescriptorProto.FromString(one) for one in answers[2].file_descriptor_response.file_descriptor_proto]
    assert {dependency for file in files for dependency in file.dependency} <= {file.name for file in files}
    assert answers[4].HasField("error_response")


def test_the_descriptions_are_those_of_the_packages():
    for module in (health_pb2, reflection_pb2):
        ours, theirs = FileDescriptorProto(), FileDescriptorProto()
        descriptions.pool().FindFileByName(module.DESCRIPTOR.name).CopyToProto(ours)
        module.DESCRIPTOR.CopyToProto(theirs)
        assert ours == theirs


def test_the_stubs_of_reflection_work(channel):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    assert next(stub.ServerReflectionInfo(asked, timeout=20)).list_services_response.service
