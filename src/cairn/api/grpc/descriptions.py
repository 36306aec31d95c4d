"""Messages of gRPC's own services, from the descriptors beside this file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.descriptor_pool import DescriptorPool

HEALTH = "grpc.health.v1"
REFLECTION = ("grpc.reflection.v1alpha", "grpc.reflection.v1")


@cache
def pool() -> DescriptorPool:
    from google.protobuf import descriptor_pool, text_format
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    made = descriptor_pool.DescriptorPool()
    alpha = (files(__package__) / "reflection.txtpb").read_text()
    stable = alpha.replace("reflection.v1alpha", "reflection.v1").replace("reflection/v1alpha", "reflection/v1")
    for text in ((files(__package__) / "health.txtpb").read_text(), alpha, stable):
        made.Add(text_format.Parse(text, FileDescriptorProto()))
    return made


@cache
def message(name: str) -> Any:
    """The class of a message, by its full name."""
    from google.protobuf.message_factory import GetMessageClass

    return GetMessageClass(pool().FindMessageTypeByName(name))


def parsed(name: str, data: bytes) -> Any:
    """Raises InputRefused for bytes that are none."""
    from google.protobuf.message import DecodeError

    from cairn.errors import InputRefused

    try:
        return message(name).FromString(data)
    except DecodeError as error:
        raise InputRefused(f"is no {name}: {error}") from None
