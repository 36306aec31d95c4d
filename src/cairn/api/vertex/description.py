"""What the API looks like: `description.binpb` and `methods.json`, both made by tools/generate_vertex.py."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

from cairn.errors import InputRefused

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, MethodDescriptor
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message import Message


class Rule(msgspec.Struct, frozen=True):
    """One HTTP rule (google.api.HttpRule). `body`: the field that the body is, "*" for the whole request, "" for
    none."""

    verb: str
    template: str
    body: str = ""


class Operation(msgspec.Struct, frozen=True):
    """Full names of what a long-running method's operation holds."""

    response: str
    metadata: str


class Method(msgspec.Struct, frozen=True):
    """One method. `name` is "PipelineService.CreatePipelineJob", `path` what gRPC calls it, `request` and `response`
    full names of messages."""

    name: str
    path: str
    request: str
    response: str
    rules: tuple[Rule, ...] = ()
    operation: Operation | None = None
    streams: tuple[str, ...] = ()  # of "request", "response"

    @property
    def verb(self) -> str:
        return self.name.partition(".")[2]


class _Written(msgspec.Struct):
    packages: dict[str, str]
    methods: dict[str, msgspec.Raw]


@cache
def methods() -> Mapping[str, Method]:
    """Every method, by "Service.Method"."""
    content = (files(__package__) / "methods.json").read_bytes()
    written = msgspec.json.decode(content, type=_Written)
    found = {}
    for name, raw in written.methods.items():
        entry = msgspec.json.decode(raw)
        found[name] = msgspec.convert({"name": name, **entry}, Method)
    return found


@cache
def packages() -> Mapping[str, str]:
    """The client packages, with versions, that the description was made of."""
    return msgspec.json.decode((files(__package__) / "methods.json").read_bytes(), type=_Written).packages


@cache
def pool() -> DescriptorPool:
    """A pool of our own: the process's default pool belongs to whoever imports a generated module."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from google.protobuf.descriptor_pool import DescriptorPool

    described = FileDescriptorSet.FromString((files(__package__) / "description.binpb").read_bytes())
    made = DescriptorPool()
    for file in described.file:
        made.AddSerializedFile(file.SerializeToString())
    return made


@cache
def descriptor(name: str) -> Descriptor:
    """Of a message by its full name. Raises InputRefused for one that the API does not have."""
    try:
        return pool().FindMessageTypeByName(name)
    except KeyError:
        raise InputRefused(f"the API has no message {name!r}") from None


@cache
def message_class(name: str) -> type[Message]:
    """Raises InputRefused for a message that the API does not have."""
    from google.protobuf.message_factory import GetMessageClass

    return GetMessageClass(descriptor(name))


def method_descriptor(method: Method) -> MethodDescriptor:
    """For reflection."""
    service, _, name = method.path[1:].partition("/")
    return pool().FindServiceByName(service).FindMethodByName(name)
