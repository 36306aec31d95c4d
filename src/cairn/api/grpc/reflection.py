"""grpc.reflection v1 and v1alpha: what grpcurl and its like ask before they call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from cairn.api.access import READ_ANY
from cairn.api.grpc import descriptions
from cairn.api.grpc.descriptions import HEALTH, REFLECTION, message, parsed
from cairn.api.grpc.methods import Asked, Conversation, services
from cairn.api.status import Code
from cairn.api.vertex import description

if TYPE_CHECKING:
    from google.protobuf.descriptor import FileDescriptor


def methods() -> Mapping[str, Conversation]:
    found = {}
    for package in REFLECTION:
        name = f"grpc.{package.rpartition('.')[2]}.ServerReflectionInfo"
        path = f"/{package}.ServerReflection/ServerReflectionInfo"
        found[path] = Conversation(name, READ_ANY, partial(_converse, package))
    return found


async def _converse(package: str, ask: Asked) -> AsyncIterator[bytes]:
    while (data := await ask()) is not None:
        request = parsed(f"{package}.ServerReflectionRequest", data)
        answer = message(f"{package}.ServerReflectionResponse")(valid_host=request.host)
        answer.original_request.CopyFrom(request)
        _fill(answer, request)
        yield bytes(answer.SerializeToString())


def _fill(answer: Any, request: Any) -> None:
    kind = request.WhichOneof("message_request")
    try:
        _ANSWERS[kind](answer, getattr(request, kind))
    except KeyError:
        answer.error_response.error_code = int(Code.NOT_FOUND)
        answer.error_response.error_message = "there is no such file or symbol"


def _services(answer: Any, _: str) -> None:
    names = {*services(), f"{HEALTH}.Health", *(f"{package}.ServerReflection" for package in REFLECTION)}
    for name in sorted(names):
        answer.list_services_response.service.add(name=name)


def _file(answer: Any, name: str) -> None:
    _put(answer, _found(lambda pool: pool.FindFileByName(name)))


def _symbol(answer: Any, symbol: str) -> None:
    _put(answer, _found(lambda pool: pool.FindFileContainingSymbol(symbol)))


def _extension(answer: Any, request: Any) -> None:
    kind, number = request.containing_type, request.extension_number
    _put(answer, _found(lambda pool: pool.FindExtensionByNumber(pool.FindMessageTypeByName(kind), number).file))


def _extensions(answer: Any, kind: str) -> None:
    numbers = _found(lambda pool: [one.number for one in pool.FindAllExtensions(pool.FindMessageTypeByName(kind))])
    answer.all_extension_numbers_response.base_type_name = kind
    answer.all_extension_numbers_response.extension_number.extend(sorted(numbers))


_ANSWERS: Mapping[str | None, Callable[[Any, Any], None]] = {
    "list_services": _services,
    "file_by_filename": _file,
    "file_containing_symbol": _symbol,
    "file_containing_extension": _extension,
    "all_extension_numbers_of_type": _extensions,
}


def _found(look: Callable[[Any], Any]) -> Any:
    """In the API's own description, else in that of gRPC's services. Raises KeyError."""
    try:
        return look(description.pool())
    except KeyError:
        return look(descriptions.pool())


def _put(answer: Any, file: FileDescriptor) -> None:
    """The file and all that it needs, which spares the client to ask for each."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    seen: dict[str, FileDescriptor] = {}
    waiting = [file]
    while waiting:
        one = waiting.pop()
        if one.name not in seen:
            seen[one.name] = one
            waiting.extend(one.dependencies)
    for one in seen.values():
        copied = FileDescriptorProto()
        one.CopyToProto(copied)
        answer.file_descriptor_response.file_descriptor_proto.append(copied.SerializeToString())
