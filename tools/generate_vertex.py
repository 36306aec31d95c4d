"""Describe the Vertex AI API to Cairn: PYTHON tools/generate_vertex.py [DIRECTORY]

PYTHON is the interpreter of an environment with the newest `google-cloud-aiplatform` (2.x) and
`google-cloud-resource-manager`; nothing of Cairn's own is needed. Written are, by default into src/cairn/api/vertex/:

  description.binpb   a google.protobuf.FileDescriptorSet: google.cloud.aiplatform.v1, Projects.GetProject,
                      google.longrunning, google.cloud.location, and every file they refer to, dependencies first
  methods.json        every method of these services: its gRPC path, types, streaming, HTTP rules, and for a
                      long-running one the types of its response and metadata

The client package holds no .proto files. Messages are taken from its descriptors (whose names lose the trailing
underscore that Python asks for), services are put together from its gRPC stubs, rules come from its REST transport,
types of long-running operations from its client's code. The same versions of PACKAGES give the same bytes.
"""

import ast
import importlib
import inspect
import json
import os
import re
import sys
from importlib.metadata import version

import grpc
from google.cloud import aiplatform_v1, resourcemanager_v3
from google.cloud.location import locations_pb2
from google.longrunning import operations_pb2
from google.protobuf import descriptor_pb2, empty_pb2
from google.protobuf.message import Message

DIRECTORY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src", "cairn", "api", "vertex")
PACKAGES = (  # what the descriptors come from
    "google-cloud-aiplatform",
    "google-cloud-resource-manager",
    "googleapis-common-protos",
    "protobuf",
)
HELD_BACK = {"google.cloud.resourcemanager.v3": {"GetProject"}}  # of these packages only the methods named
_LOWER = re.compile(r"locations/\*/(?!operations/)")


class Recorder(grpc.Channel):
    """A channel that notes what a stub would call."""

    def __init__(self):
        self.last = None

    def _note(self, kind):
        def stub(path, request_serializer=None, response_deserializer=None, *_, **__):
            self.last = (path, kind, _type_of(request_serializer), _type_of(response_deserializer))
            return lambda *_, **__: None

        return stub

    unary_unary = property(lambda self: self._note("unary_unary"))
    unary_stream = property(lambda self: self._note("unary_stream"))
    stream_unary = property(lambda self: self._note("stream_unary"))
    stream_stream = property(lambda self: self._note("stream_stream"))

    def subscribe(self, callback, try_to_connect=False): ...

    def unsubscribe(self, callback): ...

    def close(self): ...

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def _type_of(function):
    """The descriptor of the message that a (de)serializer is of."""
    owner = getattr(function, "__self__", None)
    if owner is None:  # protobuf's own: Type.SerializeToString is a method descriptor of the type
        owner = function.__objclass__
    return _descriptor(owner)


def _descriptor(kind):
    return kind.DESCRIPTOR if isinstance(kind, type) and issubclass(kind, Message) else kind.pb().DESCRIPTOR


def package_methods(package):
    """[(service, gRPC method, …)] of a generated client package."""
    directory = os.path.dirname(package.__file__)
    with open(os.path.join(directory, "gapic_metadata.json")) as file:
        metadata = json.load(file)
    found = []
    for service, clients in sorted(metadata["services"].items()):
        module = f"{package.__name__}.services.{_snake(service)}"
        rpcs = clients["clients"]["grpc"]["rpcs"]
        transport_class = getattr(importlib.import_module(f"{module}.transports.grpc"), f"{service}GrpcTransport")
        rest = getattr(importlib.import_module(f"{module}.transports.rest_base"), f"_Base{service}RestTransport")
        client = importlib.import_module(f"{module}.client")
        recorder = Recorder()
        transport = transport_class(channel=recorder)
        transport._logged_channel = recorder  # an intercepted channel asks for stubs only when they are called
        transport._stubs = {}
        operations = operation_types(client, getattr(client, f"{service}Client"))
        for rpc, python in sorted(rpcs.items()):
            name = python["methods"][0]
            if rpc not in HELD_BACK.get(metadata["protoPackage"], {rpc}):
                continue
            getattr(transport, name)
            path, kind, request, response = recorder.last
            rules = rules_of(getattr(rest, f"_Base{rpc}", None))
            found.append((path, kind, request, response, rules, operations.get(name)))
    return found


def rules_of(base):
    """HTTP rules as a transport's `_BaseMethod` has them; [] where REST cannot (client streaming)."""
    options = getattr(base, "_get_http_options", None)
    rules = []
    for option in options() if options else ():
        rule = {"verb": option["method"].upper(), "template": option["uri"], "body": option.get("body", "")}
        rules.append(rule)
    return rules


def operation_types(module, client):
    """By method, the descriptors of (response, metadata) of those that answer with an operation."""
    found = {}
    tree = ast.parse(inspect.getsource(client).replace("\t", "    "))
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "from_gapic":
                metadata = next(word.value for word in call.keywords if word.arg == "metadata_type")
                found[function.name] = tuple(_descriptor(_named(module, node)) for node in (call.args[2], metadata))
    return found


def _named(module, node):
    """What an expression like `empty_pb2.Empty` names in a module."""
    return (
        getattr(_named(module, node.value), node.attr) if isinstance(node, ast.Attribute) else getattr(module, node.id)
    )


def mixin_methods():
    """Operations and Locations: their rules stand in every service's transport, below /ui; /v1 is the same. Of the
    operations only those that lie right below a location: the server names its own so."""
    base = importlib.import_module("google.cloud.aiplatform_v1.services.pipeline_service.transports.rest_base")
    rest = base._BasePipelineServiceRestTransport
    empty = empty_pb2.Empty.DESCRIPTOR
    operation = operations_pb2.Operation.DESCRIPTOR
    operations, locations = "google.longrunning.Operations", "google.cloud.location.Locations"
    methods = [
        (operations, "ListOperations", operations_pb2, None),
        (operations, "GetOperation", operations_pb2, operation),
        (operations, "DeleteOperation", operations_pb2, empty),
        (operations, "CancelOperation", operations_pb2, empty),
        (operations, "WaitOperation", operations_pb2, operation),
        (locations, "ListLocations", locations_pb2, None),
        (locations, "GetLocation", locations_pb2, locations_pb2.Location.DESCRIPTOR),
    ]
    found = []
    for service, name, module, response in methods:
        request = getattr(module, f"{name}Request").DESCRIPTOR
        response = response or getattr(module, f"{name}Response").DESCRIPTOR
        rules = []
        for rule in rules_of(getattr(rest, f"_Base{name}")):
            if rule["template"].startswith("/ui/{name=projects/") and not _LOWER.search(rule["template"]):
                rules.append({**rule, "template": rule["template"].replace("/ui/", "/v1/", 1)})
                rules.append(rule)
        found.append((f"/{service}/{name}", "unary_unary", request, response, rules, None))
    return found


class Files:
    """File descriptors, each after those it needs, and services added to them."""

    def __init__(self):
        self.files = {}

    def add(self, file):
        if file.name in self.files:
            return
        for dependency in file.dependencies:
            self.add(dependency)
        copy = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(copy)
        for message in copy.message_type:
            _renamed(message)
        if not copy.public_dependency and not copy.weak_dependency:  # proto-plus keeps them in a set
            copy.dependency.sort()
        self.files[file.name] = copy

    def add_method(self, path, kind, request, response):
        for descriptor in (request, response):
            self.add(descriptor.file)
        full, _, name = path[1:].partition("/")
        package, _, service_name = full.rpartition(".")
        if any(f"{file.package}.{one.name}" == full and name in [method.name for method in one.method]
               for file in self.files.values() for one in file.service):  # fmt: skip
            return
        place = f"{package.replace('.', '/')}/{_snake(service_name)}.services.proto"
        file = self.files.setdefault(
            place, descriptor_pb2.FileDescriptorProto(name=place, package=package, syntax="proto3")
        )
        for descriptor in (request, response):
            if descriptor.file.name not in file.dependency:
                file.dependency.append(descriptor.file.name)
        service = next((one for one in file.service if one.name == service_name), None) or file.service.add(
            name=service_name
        )
        service.method.add(
            name=name,
            input_type=f".{request.full_name}",
            output_type=f".{response.full_name}",
            client_streaming=kind.startswith("stream"),
            server_streaming=kind.endswith("stream"),
        )

    def serialised(self):
        ordered, done = [], set()

        def visit(name):
            if name in done:
                return
            done.add(name)
            for dependency in self.files[name].dependency:
                visit(dependency)
            ordered.append(self.files[name])

        for name in sorted(self.files):
            visit(name)
        return descriptor_pb2.FileDescriptorSet(file=ordered).SerializeToString(deterministic=True)


def _renamed(message):
    """proto-plus calls a field `type_` where the API calls it `type`."""
    for field in message.field:
        if field.name.endswith("_"):
            field.name = field.name.rstrip("_")
    for nested in message.nested_type:
        _renamed(nested)


def _snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def main(directory):
    files = Files()
    described = {}
    methods = [*package_methods(aiplatform_v1), *package_methods(resourcemanager_v3), *mixin_methods()]
    extra = [operations_pb2.Operation, locations_pb2.Location, empty_pb2.Empty]
    for name in sorted(dir(aiplatform_v1)):
        kind = getattr(aiplatform_v1, name)
        if isinstance(kind, type) and hasattr(kind, "pb") and hasattr(kind, "meta"):
            extra.append(kind)
    for kind in extra:
        files.add(_descriptor(kind).file)
    for path, kind, request, response, rules, operation in methods:
        if path.endswith("/GetProject"):  # version 1 of that API has it at the same place
            rules.append({**rules[0], "template": rules[0]["template"].replace("/v3/", "/v1/", 1)})
        full, _, name = path[1:].partition("/")
        files.add_method(path, kind, request, response)
        entry = {"path": path, "request": request.full_name, "response": response.full_name, "rules": rules}
        if kind != "unary_unary":
            sides = zip(("request", "response"), kind.split("_"), strict=True)
            entry["streams"] = [side for side, how in sides if how == "stream"]
        if operation:
            for descriptor in operation:
                files.add(descriptor.file)
            entry["operation"] = {"response": operation[0].full_name, "metadata": operation[1].full_name}
        described[f"{full.rpartition('.')[2]}.{name}"] = entry
    packages = {name: version(name) for name in PACKAGES}
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "description.binpb"), "wb") as file:
        file.write(files.serialised())
    with open(os.path.join(directory, "methods.json"), "w") as file:
        lines = [f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(described.items())]
        made = f'"packages": {json.dumps(packages)},\n"methods": {{\n' + ",\n".join(lines)
        file.write("{\n" + made + "\n}\n}\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else DIRECTORY)
