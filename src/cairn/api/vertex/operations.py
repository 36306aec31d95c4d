"""google.longrunning.Operations. What this version does takes no longer than its request: operations are recorded
done, for the clients that come back and ask."""

from __future__ import annotations

import secrets
import time
from typing import Any

import msgspec

from cairn.api.http import Call
from cairn.api.vertex import codec
from cairn.api.vertex.description import Method, descriptor
from cairn.api.vertex.names import Place, place_of, resource
from cairn.api.vertex.times import timestamp
from cairn.domain.documents import Document
from cairn.errors import InputRefused

KIND = "operation"
KEPT_SECONDS = 7 * 24 * 3600  # a client asks within minutes
_TYPE = "type.googleapis.com/"
_PAGE = 1000


def finished(method: Method, request: dict[str, Any], answer: Any, call: Call) -> dict[str, Any]:
    """Record what a long-running method came to; the operation, done."""
    assert method.operation is not None
    now = time.time_ns() // 1000
    place = place_of(_resource_of(request))
    response = msgspec.json.decode(codec.encode(answer or {}))
    body: dict[str, Any] = {
        "metadata": _metadata(method.operation.metadata, now),
        "response": {"@type": _TYPE + method.operation.response, **response},
    }
    _prune(call, now)
    document = Document(
        KIND,
        str(secrets.randbelow(9 * 10**18) + 10**18),
        place.project,
        place.location,
        display_name=method.name,
        owner=call.identity.name,
        due=now + KEPT_SECONDS * 1_000_000,
        create_time=now,
        update_time=now,
        body=body,
    )
    return _view(call.context.cairn.records.create_document(document))


def get(request: dict[str, Any], call: Call) -> dict[str, Any]:
    return _view(_find(request, call))


def list_(request: dict[str, Any], call: Call) -> dict[str, Any]:
    if request.get("filter"):
        raise InputRefused("operations are listed without a filter in this version", place="filter")
    place = place_of(request.get("name", ""), "name")
    found, token = call.context.cairn.records.page_documents(
        KIND,
        projects=[place.project],
        location=place.location,
        token=request.get("pageToken", ""),
        limit=_page_size(request.get("pageSize", 0)),
    )
    answer: dict[str, Any] = {"operations": [_view(one) for one in found]}
    return {**answer, "nextPageToken": token} if token else answer


def wait(request: dict[str, Any], call: Call) -> dict[str, Any]:
    """Every operation is done when it is told of."""
    return _view(_find(request, call))


def cancel(request: dict[str, Any], call: Call) -> dict[str, Any]:
    """One that is done stays done, as the API says."""
    _find(request, call)
    return {}


def delete(request: dict[str, Any], call: Call) -> dict[str, Any]:
    place, id_ = resource(request.get("name", ""), "operations")
    call.context.cairn.records.delete_document(KIND, id_, project=place.project, location=place.location)
    return {}


HANDLERS = {
    "Operations.GetOperation": get,
    "Operations.ListOperations": list_,
    "Operations.WaitOperation": wait,
    "Operations.CancelOperation": cancel,
    "Operations.DeleteOperation": delete,
}


def _find(request: dict[str, Any], call: Call) -> Document:
    place, id_ = resource(request.get("name", ""), "operations")
    return call.context.cairn.records.document(KIND, id_, project=place.project, location=place.location)


def _view(document: Document) -> dict[str, Any]:
    name = f"{Place(document.project, document.location)}/operations/{document.id}"
    return {"name": name, **document.body, "done": True}


def _metadata(name: str, now: int) -> dict[str, Any]:
    found: dict[str, Any] = {"@type": _TYPE + name}
    if "generic_metadata" in descriptor(name).fields_by_name:
        found["genericMetadata"] = {"createTime": timestamp(now), "updateTime": timestamp(now)}
    return found


def _resource_of(request: dict[str, Any]) -> str:
    """The first name in a request: of its parent, or of the thing itself, perhaps inside the message it carries."""
    for value in (request.get("parent"), request.get("name"), *request.values()):
        if isinstance(value, str) and value.startswith("projects/"):
            return value
    for value in request.values():
        if isinstance(value, dict) and str(value.get("name", "")).startswith("projects/"):
            return str(value["name"])
    raise InputRefused("names no project", place="parent")


def _page_size(asked: int) -> int:
    if asked < 0:
        raise InputRefused("a page has at least one entry", place="pageSize")
    return min(asked or 100, _PAGE)


def _prune(call: Call, now: int) -> None:
    """A few at a time: no request pays for many."""
    records = call.context.cairn.records
    for old in records.due_documents(KIND, now, limit=10):
        records.delete_document(KIND, old.id, project=old.project, location=old.location)
