"""Artifacts, executions, contexts and events as aiplatform.v1 messages in canonical JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cairn.api.vertex.names import Place, artifact_name, context_name, execution_name
from cairn.api.vertex.times import put
from cairn.domain.artifacts import Artifact
from cairn.domain.lineage import Context, Event, EventType, Execution, ExecutionState
from cairn.domain.values import Spilled
from cairn.errors import InputRefused
from cairn.metadata.schemas import Schema
from cairn.metadata.types import LineageSubgraph, MetadataStore

DEFAULT_VERSION = "0.0.1"


def artifact_view(place: Place, one: Artifact) -> dict[str, Any]:
    found = _view(artifact_name(place, one.id), one, one.type.schema_title, one.type.schema_version)
    _fill(found, uri=one.uri, state=one.state)
    return found


def execution_view(place: Place, one: Execution) -> dict[str, Any]:
    found = _view(execution_name(place, one.id), one, one.schema_title, one.schema_version)
    _fill(found, state=one.state.value)
    return found


def context_view(place: Place, one: Context) -> dict[str, Any]:
    found = _view(context_name(place, one.id), one, one.schema_title, one.schema_version)
    _fill(found, parentContexts=[context_name(place, parent) for parent in one.parents])
    return found


def event_view(place: Place, one: Event) -> dict[str, Any]:
    found: dict[str, Any] = {
        "artifact": artifact_name(place, one.artifact_id),
        "execution": execution_name(place, one.execution_id),
        "type": one.type.value,
    }
    put(found, eventTime=one.time)
    _fill(found, labels=dict(one.labels))
    return found


def subgraph_view(place: Place, graph: LineageSubgraph) -> dict[str, Any]:
    found: dict[str, Any] = {}
    _fill(
        found,
        artifacts=[artifact_view(place, one) for one in graph.artifacts],
        executions=[execution_view(place, one) for one in graph.executions],
        events=[event_view(place, one) for one in graph.events],
    )
    return found


def store_view(place: Place, store: MetadataStore) -> dict[str, Any]:
    found: dict[str, Any] = {"name": f"{place}/metadataStores/default"}
    put(found, createTime=store.create_time, updateTime=store.create_time)
    _fill(found, description=store.description)
    return found


def schema_view(place: Place, schema: Schema) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": f"{place}/metadataStores/default/metadataSchemas/{schema.id}",
        "schemaVersion": schema.version,
        "schema": schema.content,
        "schemaType": schema.type,
    }
    put(found, createTime=schema.create_time)
    _fill(found, description=schema.description)
    return found


def changed_artifact(one: Artifact, message: Mapping[str, Any]) -> Artifact:
    """`one` with everything that the message says, and nothing that it leaves out."""
    type_ = msgspec.structs.replace(
        one.type,
        schema_title=message.get("schemaTitle", ""),
        schema_version=message.get("schemaVersion") or DEFAULT_VERSION,
    )
    return msgspec.structs.replace(
        one, type=type_, uri=message.get("uri", ""), state=_state(message), **_shared(message)
    )


def changed_execution(one: Execution, message: Mapping[str, Any]) -> Execution:
    """As `changed_artifact`."""
    try:
        state = ExecutionState(_state(message))
    except ValueError:
        raise InputRefused(f"{_state(message)!r} is no state of an execution", place="execution.state") from None
    return msgspec.structs.replace(one, state=state, **_schema(message), **_shared(message))


def changed_context(one: Context, message: Mapping[str, Any]) -> Context:
    """As `changed_artifact`."""
    return msgspec.structs.replace(one, **_schema(message), **_shared(message))


def event_of(message: Mapping[str, Any], artifact_id: str, execution_id: str, place: str) -> Event:
    try:
        type_ = EventType(message.get("type", ""))
    except ValueError:
        raise InputRefused("an event is of the type INPUT or OUTPUT", place=f"{place}.type") from None
    labels = tuple(sorted(message.get("labels", {}).items()))
    return Event(artifact_id, execution_id, type_, labels=labels)


def _view(name: str, one: Artifact | Execution | Context, schema_title: str, version: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    _fill(
        found,
        displayName=one.display_name,
        description=one.description,
        schemaTitle=schema_title,
        schemaVersion=version or (DEFAULT_VERSION if schema_title else ""),
        labels=one.labels,
    )
    found["metadata"] = {key: _plain(value) for key, value in one.metadata.items()}  # clients update it in place
    found["etag"] = str(one.update_time)
    put(found, createTime=one.create_time, updateTime=one.update_time)
    return found


def _fill(found: dict[str, Any], **values: Any) -> None:
    found.update((name, value) for name, value in values.items() if value)


def _plain(value: Any) -> Any:
    return value.uri if isinstance(value, Spilled) else value


def _state(message: Mapping[str, Any]) -> str:
    found = str(message.get("state", ""))
    return "" if found == "STATE_UNSPECIFIED" else found


def _schema(message: Mapping[str, Any]) -> dict[str, str]:
    title = message.get("schemaTitle", "")
    return {"schema_title": title, "schema_version": message.get("schemaVersion") or (DEFAULT_VERSION if title else "")}


def _shared(message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "display_name": message.get("displayName", ""),
        "description": message.get("description", ""),
        "labels": dict(message.get("labels", {})),
        "metadata": dict(message.get("metadata") or {}),
    }
