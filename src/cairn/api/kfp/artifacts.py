"""ArtifactService of KFP v2beta1, the reading part: the artifacts of the metadata store.

Source: kubeflow/pipelines backend/api/v2beta1/artifact.proto.
"""

from __future__ import annotations

from typing import Any

from cairn.api.http import Call, Reply
from cairn.api.kfp import messages, scoping
from cairn.api.kfp.lists import list_query
from cairn.api.kfp.messages import moment
from cairn.domain.artifacts import Artifact
from cairn.domain.runs import DEFAULT_LOCATION
from cairn.errors import NotFound
from cairn.metadata.types import Search, StoreName

_NAMES = {
    "name": "display_name",
    "display_name": "display_name",
    "artifact_id": "name",
    "id": "name",
    "created_at": "create_time",
    "uri": "uri",
    "schema_title": "schema_title",
    "description": "description",
}
_TYPES = {
    "system.Artifact": "Artifact",
    "system.Model": "Model",
    "system.Dataset": "Dataset",
    "system.HTML": "HTML",
    "system.Markdown": "Markdown",
    "system.Metrics": "Metric",
    "system.ClassificationMetrics": "ClassificationMetric",
    "system.SlicedClassificationMetrics": "SlicedClassificationMetric",
}


def get(call: Call) -> Reply:
    """By its id, in whichever project the caller may see."""
    id_ = call.variables["artifact_id"]
    cairn = call.context.cairn
    visible = call.identity.projects
    for project in cairn.records.projects() if visible is None else sorted(visible):
        for location in cairn.records.locations(project):
            store = StoreName(project, location)
            try:
                return messages.reply(_told(cairn.metadata.artifact(id_, store), project))
            except NotFound:
                continue
    raise NotFound(f"there is no artifact {id_[:80]!r}")


def list_(call: Call) -> Reply:
    project = scoping.home(call, call.first("namespace"))
    query = list_query(call, _NAMES, scope="artifacts")
    search = Search(query.where, query.orders, query.query, query.token, query.limit)
    found = call.context.cairn.records.search_artifacts(StoreName(project, DEFAULT_LOCATION), search)
    artifacts = [_told(one, project) for one in found.items]
    return messages.reply({"artifacts": artifacts, "next_page_token": found.next_token})


def _told(artifact: Artifact, project: str) -> dict[str, Any]:
    """A type of a user's own is an Artifact, with its title in the metadata's `schema_title`."""
    title = artifact.type.schema_title
    metadata = artifact.metadata if title in _TYPES else {**artifact.metadata, "schema_title": title}
    return messages.filled(
        {
            "artifact_id": artifact.id,
            "name": artifact.display_name,
            "description": artifact.description,
            "type": _TYPES.get(title, "Artifact"),
            "uri": artifact.uri,
            "metadata": metadata,
            "created_at": moment(artifact.create_time),
            "namespace": project,
        }
    )
