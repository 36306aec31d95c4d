"""Every method that this version has, by "Service.Method".

A handler is `handler(request, call) -> answer` on canonical protobuf JSON (`codec`); REST and gRPC are two faces over
it. One of a long-running method returns the finished response, which `dispatch` wraps into an operation; one of a
method that streams its response returns a list of messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from cairn.api.grpc.encoding import encoded
from cairn.api.http import Call
from cairn.api.vertex import (
    custom_jobs,
    hyperparameter_tuning_jobs,
    locations,
    metadata,
    operations,
    pipeline_jobs,
    projects,
    schedules,
    tensorboards,
    training_pipelines,
    vizier,
)
from cairn.api.vertex.codec import HTTP_BODY
from cairn.api.vertex.description import Method, methods
from cairn.errors import Unimplemented

VertexHandler: TypeAlias = Callable[[dict[str, Any], Call], Any]

_MODULES = (
    pipeline_jobs,
    custom_jobs,
    training_pipelines,
    hyperparameter_tuning_jobs,
    schedules,
    tensorboards,
    vizier,
    metadata,
    operations,
    locations,
    projects,
)
_HANDLERS: dict[str, VertexHandler] = {
    name: handler for module in _MODULES for name, handler in module.HANDLERS.items()
}


def handlers() -> Mapping[str, VertexHandler]:
    return _HANDLERS


def handler_of(method: Method) -> VertexHandler:
    """Raises Unimplemented, saying what there is."""
    handler = handlers().get(method.name)
    if handler is None:
        services = ", ".join(sorted({name.partition(".")[0] for name in handlers()}))
        raise Unimplemented(f"{method.name} is not in this version of Cairn", remedy=f"there are parts of {services}")
    return handler


def dispatch(method: Method, request: dict[str, Any], call: Call) -> Any:
    """The method's answer as canonical JSON: of a long-running one its operation. Raises what handlers raise."""
    answer = handler_of(method)(request, call)
    if method.operation is not None:
        answer = operations.finished(method, request, answer, call)
    if call.context.shared.get("check_answers") and method.response != HTTP_BODY:
        for message in answer if method.streams else (answer,):
            encoded(method.response, message)  # raises for what is no such message
    return answer


def method(name: str) -> Method:
    """Raises KeyError."""
    return methods()[name]
