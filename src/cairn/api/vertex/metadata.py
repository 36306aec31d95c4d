"""MetadataService: stores, artifacts, executions, contexts, lineage and schemas."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from cairn.api.http import Call
from cairn.api.vertex import masks
from cairn.api.vertex.metadata_view import (
    artifact_view,
    changed_artifact,
    changed_context,
    changed_execution,
    context_view,
    event_of,
    execution_view,
    schema_view,
    store_view,
    subgraph_view,
)
from cairn.api.vertex.names import Place, artifact_name, context_name, execution_name, place_of
from cairn.domain.artifacts import Artifact, ArtifactType
from cairn.domain.lineage import Context, Execution, ExecutionState
from cairn.errors import InputRefused, NotFound, Unimplemented
from cairn.filters.vertex import parse_filter
from cairn.metadata.editing import MetadataEditor, page_size
from cairn.metadata.schemas import Schema, SchemaRegistry
from cairn.metadata.service import MAX_HOPS
from cairn.metadata.types import Noun, Page, StoreName

Answer = dict[str, Any]

_STORE = re.compile(r"(projects/[^/]+/locations/[^/]+)/metadataStores/([^/]+)")
_MESSAGE = "google.cloud.aiplatform.v1."


class _Kind(NamedTuple):
    """What differs between artifacts, executions and contexts."""

    noun: Noun
    message: str
    empty: Any
    changed: Callable[[Any, Any], Any]
    view: Callable[[Place, Any], Answer]
    name: Callable[[Place, str], str]

    @property
    def plural(self) -> str:
        return f"{self.noun}s"


_ARTIFACT = _Kind(
    "artifact", "Artifact", Artifact("", ArtifactType(""), "", state=""), changed_artifact, artifact_view, artifact_name
)
_EXECUTION = _Kind(
    "execution",
    "Execution",
    Execution("", "", ExecutionState.UNSPECIFIED),
    changed_execution,
    execution_view,
    execution_name,
)
_CONTEXT = _Kind("context", "Context", Context("", ""), changed_context, context_view, context_name)


def create(kind: _Kind, request: Answer, call: Call) -> Answer:
    place = _parent(request)
    message = request.get(kind.noun, {})
    given = request.get(f"{kind.noun}Id", "")
    made = kind.changed(msgspec.structs.replace(kind.empty, id=given), message)
    editor = _editor(call)
    makers: dict[Noun, Callable[[StoreName, Any], Any]] = {
        "artifact": editor.create_artifact,
        "execution": editor.create_execution,
        "context": editor.create_context,
    }
    return kind.view(place, makers[kind.noun](_store(place), made))


def get(kind: _Kind, request: Answer, call: Call) -> Answer:
    place, id_ = _resource(request.get("name", ""), kind.plural)
    service = call.context.cairn.metadata
    readers: dict[Noun, Callable[[str, StoreName], Any]] = {
        "artifact": service.artifact,
        "execution": service.execution,
        "context": service.context,
    }
    return kind.view(place, readers[kind.noun](id_, _store(place)))


def list_(kind: _Kind, request: Answer, call: Call) -> Answer:
    place = _parent(request)
    editor = _editor(call)
    readers: dict[Noun, Callable[..., Page[Any]]] = {
        "artifact": editor.artifacts,
        "execution": editor.executions,
        "context": editor.contexts,
    }
    page = readers[kind.noun](
        _store(place),
        text=request.get("filter", ""),
        order=request.get("orderBy", ""),
        token=request.get("pageToken", ""),
        size=request.get("pageSize", 0),
    )
    return _page(kind.plural, [kind.view(place, one) for one in page.items], page.next_token)


def update(kind: _Kind, request: Answer, call: Call) -> Answer:
    """Without a mask, everything that the message says."""
    message = request.get(kind.noun, {})
    place, id_ = _resource(message.get("name", ""), kind.plural, f"{kind.noun}.name")
    mask = request.get("updateMask", "")

    def change(before: Any) -> Any:
        return kind.changed(before, masks.merged(_MESSAGE + kind.message, kind.view(place, before), message, mask))

    editor = _editor(call)
    changers: dict[Noun, Callable[..., Any]] = {
        "artifact": editor.update_artifact,
        "execution": editor.update_execution,
        "context": editor.update_context,
    }
    options = {"etag": message.get("etag", ""), "or_create": bool(request.get("allowMissing"))}
    return kind.view(place, changers[kind.noun](_store(place), id_, change, **options))


def delete(kind: _Kind, request: Answer, call: Call) -> Answer:
    place, id_ = _resource(request.get("name", ""), kind.plural)
    _editor(call).delete(kind.noun, _store(place), id_, etag=request.get("etag", ""))
    return {}


def purge(kind: _Kind, request: Answer, call: Call) -> Answer:
    place = _parent(request)
    force = bool(request.get("force"))
    count, sample = _editor(call).purge(kind.noun, _store(place), request.get("filter", ""), force=force)
    answer: Answer = {"purgeCount": str(count)} if count else {}
    return {**answer, "purgeSample": [kind.name(place, id_) for id_ in sample]} if sample else answer


# --- joining, and what is joined ---


def add_execution_events(request: Answer, call: Call) -> Answer:
    place, execution = _resource(request.get("execution", ""), "executions", "execution")
    events = []
    for at, message in enumerate(request.get("events", [])):
        [artifact] = _ids([message.get("artifact", "")], "artifacts", place, f"events[{at}].artifact")
        events.append(event_of(message, artifact, execution, f"events[{at}]"))
    _editor(call).add_events(_store(place), execution, events)
    return {}


def add_context_artifacts_and_executions(request: Answer, call: Call) -> Answer:
    place, context = _resource(request.get("context", ""), "contexts", "context")
    artifacts = _ids(request.get("artifacts", []), "artifacts", place, "artifacts")
    executions = _ids(request.get("executions", []), "executions", place, "executions")
    _editor(call).add_to_context(_store(place), context, artifacts, executions)
    return {}


def add_context_children(request: Answer, call: Call) -> Answer:
    place, context = _resource(request.get("context", ""), "contexts", "context")
    children = _ids(request.get("childContexts", []), "contexts", place, "childContexts")
    _editor(call).add_children(_store(place), context, children)
    return {}


def remove_context_children(request: Answer, call: Call) -> Answer:
    place, context = _resource(request.get("context", ""), "contexts", "context")
    children = _ids(request.get("childContexts", []), "contexts", place, "childContexts")
    _editor(call).remove_children(_store(place), context, children)
    return {}


def query_context_lineage(request: Answer, call: Call) -> Answer:
    place, context = _resource(request.get("context", ""), "contexts", "context")
    return subgraph_view(place, call.context.cairn.metadata.context_lineage(context, _store(place)))


def query_execution(request: Answer, call: Call) -> Answer:
    place, execution = _resource(request.get("execution", ""), "executions", "execution")
    return subgraph_view(place, call.context.cairn.metadata.execution_inputs_and_outputs(execution, _store(place)))


def query_artifact_lineage(request: Answer, call: Call) -> Answer:
    place, artifact = _resource(request.get("artifact", ""), "artifacts", "artifact")
    # Without a value everything is meant, and 0 means the artifact alone: of the two, a message can only say the first.
    none = "0" in (call.first("maxHops"), call.first("max_hops"))
    hops = 0 if none else int(request.get("maxHops", MAX_HOPS))
    if hops < 0:
        raise InputRefused("it must not be negative", place="maxHops")
    where = parse_filter(request.get("filter", ""))
    service = call.context.cairn.metadata
    return subgraph_view(place, service.artifact_lineage(artifact, max_hops=hops, where=where, store=_store(place)))


# --- stores and schemas ---


def create_store(request: Answer, call: Call) -> Answer:
    """There is one store in each project and location, as clients know it: `default`."""
    place = place_of(request.get("parent", ""))
    id_ = request.get("metadataStoreId", "default")
    if id_ != "default":
        raise Unimplemented(
            f"a store {id_[:40]!r}: each project and location has one", remedy="use metadataStores/default"
        )
    message = request.get("metadataStore", {})
    if message.get("encryptionSpec"):
        call.notes["warning"] = '299 - "encryptionSpec is not used: the store lies in the home, unencrypted"'
    return store_view(place, _editor(call).create_store(_store(place), message.get("description", "")))


def get_store(request: Answer, call: Call) -> Answer:
    place = _parent(request, "name")
    return store_view(place, _editor(call).store(_store(place)))


def list_stores(request: Answer, call: Call) -> Answer:
    place = place_of(request.get("parent", ""))
    page_size(request.get("pageSize", 0))
    try:
        return _page("metadataStores", [store_view(place, _editor(call).store(_store(place)))], "")
    except NotFound:
        return {}


def delete_store(request: Answer, call: Call) -> Answer:
    _editor(call).drop_store(_store(_parent(request, "name")))
    return {}


def create_schema(request: Answer, call: Call) -> Answer:
    place = _parent(request)
    message = request.get("metadataSchema", {})
    schema = Schema(
        request.get("metadataSchemaId", ""),
        "",
        message.get("schema", ""),
        message.get("schemaType", "METADATA_SCHEMA_TYPE_UNSPECIFIED"),
        message.get("schemaVersion", "0.0.1"),
        message.get("description", "")[:1024],
    )
    return schema_view(place, _schemas(call).create(_store(place), schema))


def get_schema(request: Answer, call: Call) -> Answer:
    place, id_ = _resource(request.get("name", ""), "metadataSchemas")
    return schema_view(place, _schemas(call).read(_store(place), id_))


def list_schemas(request: Answer, call: Call) -> Answer:
    place = _parent(request)
    size = page_size(request.get("pageSize", 0))
    token = request.get("pageToken", "") or "0"
    if not re.fullmatch(r"[0-9]{1,9}", token):
        raise InputRefused("it belongs to another list", place="pageToken", remedy="begin with the first page")
    found = _schemas(call).all(_store(place), request.get("filter", ""))
    start = int(token)
    more = str(start + size) if len(found) > start + size else ""
    return _page("metadataSchemas", [schema_view(place, one) for one in found[start : start + size]], more)


HANDLERS: dict[str, Callable[[Answer, Call], Answer]] = {
    "MetadataService.AddExecutionEvents": add_execution_events,
    "MetadataService.AddContextArtifactsAndExecutions": add_context_artifacts_and_executions,
    "MetadataService.AddContextChildren": add_context_children,
    "MetadataService.RemoveContextChildren": remove_context_children,
    "MetadataService.QueryContextLineageSubgraph": query_context_lineage,
    "MetadataService.QueryExecutionInputsAndOutputs": query_execution,
    "MetadataService.QueryArtifactLineageSubgraph": query_artifact_lineage,
    "MetadataService.CreateMetadataStore": create_store,
    "MetadataService.GetMetadataStore": get_store,
    "MetadataService.ListMetadataStores": list_stores,
    "MetadataService.DeleteMetadataStore": delete_store,
    "MetadataService.CreateMetadataSchema": create_schema,
    "MetadataService.GetMetadataSchema": get_schema,
    "MetadataService.ListMetadataSchemas": list_schemas,
}
for _kind in (_ARTIFACT, _EXECUTION, _CONTEXT):
    HANDLERS |= {
        f"MetadataService.Create{_kind.message}": partial(create, _kind),
        f"MetadataService.Get{_kind.message}": partial(get, _kind),
        f"MetadataService.List{_kind.message}s": partial(list_, _kind),
        f"MetadataService.Update{_kind.message}": partial(update, _kind),
        f"MetadataService.Delete{_kind.message}": partial(delete, _kind),
        f"MetadataService.Purge{_kind.message}s": partial(purge, _kind),
    }


def _editor(call: Call) -> MetadataEditor:
    return call.context.cairn.metadata_editor


def _schemas(call: Call) -> SchemaRegistry:
    return call.context.cairn.metadata_schemas


def _store(place: Place) -> StoreName:
    return StoreName(place.project, place.location)


def _parent(request: Answer, field: str = "parent") -> Place:
    """Where the metadata store named in a request is. Raises InputRefused, NotFound."""
    name = request.get(field, "")
    found = _STORE.fullmatch(name)
    if found is None:
        wanted = "projects/PROJECT/locations/LOCATION/metadataStores/default"
        raise InputRefused(f"{name[:200]!r} names no metadata store: {wanted}", place=field)
    return _only_store(found)


def _resource(name: str, collection: str, field: str = "name") -> tuple[Place, str]:
    found = re.fullmatch(rf"{_STORE.pattern}/{collection}/([^/]+)", name)
    if found is None:
        wanted = f"projects/PROJECT/locations/LOCATION/metadataStores/default/{collection}/ID"
        raise InputRefused(f"{name[:200]!r} is no name of this kind: {wanted}", place=field)
    return _only_store(found), found[3]


def _only_store(found: re.Match[str]) -> Place:
    if found[2] != "default":
        raise NotFound(f"there is no metadata store {found[2][:40]!r}", remedy="use metadataStores/default")
    return place_of(found[1])


def _ids(names: Sequence[str], collection: str, place: Place, field: str) -> list[str]:
    """Of things that lie in the same store: another project is not this request's to touch."""
    found = []
    for name in names:
        where, id_ = _resource(name, collection, field)
        if where != place:
            raise InputRefused(f"{name[:200]!r} lies in another metadata store", place=field)
        found.append(id_)
    return found


def _page(name: str, items: list[Answer], token: str) -> Answer:
    answer: Answer = {name: items} if items else {}
    return {**answer, "nextPageToken": token} if token else answer
