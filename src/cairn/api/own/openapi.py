"""The OpenAPI 3.1 description of Cairn's own API, made from the operations themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from cairn import __version__
from cairn.api.access import Scope
from cairn.api.own import types
from cairn.api.own.operations import Operation

_REASONS = {
    400: "The request is refused; the message names the place and the remedy.",
    401: "Credentials are missing or wrong.",
    403: "The identity may not do this.",
    404: "There is no such thing, or it is in another project.",
    409: "It exists already, or was changed meanwhile.",
    413: "The body is larger than this takes.",
    429: "More requests than are granted; Retry-After says when.",
    503: "The server drains, or the database is busy.",
}
_ALWAYS = (401, 403, 413, 429, 503)


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    used = [one for operation in operations for one in (operation.body, operation.answer) if _is_struct(one)]
    _, components = msgspec.json.schema_components(
        [*dict.fromkeys(used), types.Error], ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Cairn",
            "version": __version__,
            "description": "What Vertex AI and Kubeflow Pipelines lack: live events, explanations, resuming, probes.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(operation: Operation) -> dict[str, Any]:
    errors = dict.fromkeys((*operation.statuses, *_ALWAYS))
    said: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [
            {
                "name": one.name,
                "in": one.place,
                "required": one.required,
                "description": one.description,
                "schema": one.schema,
            }
            for one in operation.parameters
        ],
        "responses": {
            "200": {"description": operation.summary, "content": _content(operation.answer)},
            **{str(code): {"description": _REASONS[code], "content": _content(types.Error)} for code in sorted(errors)},
        },
        "security": [] if operation.access.scope is Scope.PUBLIC else [{"bearer": []}, {}],
    }
    if operation.body is not None:
        said["requestBody"] = {"required": False, "content": _content(operation.body)}
    return said


def _content(answer: Any) -> dict[str, Any]:
    if isinstance(answer, str):
        return {answer: {} if answer == "text/event-stream" else {"schema": {"type": "string"}}}
    if not _is_struct(answer):
        return {"application/json": {"schema": {"type": "object"}}}
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer.__name__}"}}}


def _is_struct(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, msgspec.Struct)
