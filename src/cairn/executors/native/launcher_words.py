"""What a launcher of Google's pipeline components was told, and what it writes: `gcp_resources`.

Source: google-cloud-pipeline-components, `container/v1/gcp_launcher` (parser_util, json_util, job_remote_runner) and
`proto/gcp_resources.proto`.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

import msgspec

from cairn.domain.runs import DEFAULT_PROJECT
from cairn.engine.ports import NativeCall
from cairn.errors import StepError
from cairn.spec.native_steps import options

_EVERYBODY = ("", "owner")  # of runs that no login was asked for
_RESOURCE = re.compile(
    r"https://[^/]*aiplatform\.googleapis\.com/v1(?:beta1)?/"
    r"projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/(?P<collection>[A-Za-z]+)/(?P<id>[^/]+)$"
)


class Launch(msgspec.Struct, frozen=True):
    """`project` and `location` are where the resource is made."""

    payload: str
    project: str
    location: str
    gcp_resources: str  # a path
    execution_metrics: str = ""  # a path
    project_said: str = ""  # when it is another one

    @staticmethod
    def of(call: NativeCall, owner: str = "") -> Launch:
        """`owner`: of the run. Raises StepError."""
        said = options(call.arguments)
        missing = [name for name in ("--payload", "--gcp_resources") if name not in said]
        if missing:
            raise StepError(f"the launcher is not given {' and '.join(missing)}")
        wanted = said.get("--project", "")
        # A run of a project, or of somebody who had to say who they are, makes nothing in another project: whoever may
        # run here need not have rights there.
        free = call.project == DEFAULT_PROJECT and owner in _EVERYBODY
        project = wanted or call.project if free else call.project
        return Launch(
            payload=said["--payload"],
            project=project,
            location=said.get("--location", "") or call.location,
            gcp_resources=said["--gcp_resources"],
            execution_metrics=said.get("--execution_metrics", ""),
            project_said=wanted if wanted != project else "",
        )

    def message(self) -> dict[str, Any]:
        """The payload without what is empty, as the launcher sends it. Raises StepError."""
        try:
            found = json.loads(self.payload, strict=False)
        except ValueError as error:
            raise StepError(f"the launcher's --payload is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise StepError("the launcher's --payload is no JSON object")
        message: dict[str, Any] = without_empty(found)
        return message

    def uri(self, collection: str, id_: str) -> str:
        name = f"projects/{self.project}/locations/{self.location}/{collection}/{id_}"
        return f"https://{self.location}-aiplatform.googleapis.com/v1/{name}"


def without_empty(value: Any) -> Any:
    """Mappings lose what is falsy, lists what is an empty mapping or list, until nothing more goes."""
    if isinstance(value, dict):
        kept = {name: without_empty(inner) for name, inner in value.items() if inner}
        return {name: inner for name, inner in kept.items() if inner}
    if isinstance(value, list):
        kept_items = [without_empty(inner) for inner in value]
        return [inner for inner in kept_items if inner is not None and inner not in ({}, [])]
    return value


def write_gcp_resources(path: str, kind: str, uri: str) -> None:
    """GcpResources as `json_format.MessageToJson` writes it. Raises OSError."""
    write_text(path, json.dumps({"resources": [{"resourceType": kind, "resourceUri": uri}]}, indent=2))


def write_text(path: str, text: str) -> None:
    """There whole or not at all. Raises OSError."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(path + ".tmp", path)


class Resource(msgspec.Struct, frozen=True):
    type: str
    uri: str
    project: str = ""
    location: str = ""
    collection: str = ""  # such as customJobs; "" where it is none of Vertex AI
    id: str = ""


def read_gcp_resources(text: str) -> list[Resource]:
    """Raises StepError."""
    try:
        listed = json.loads(text, strict=False)
        entries = listed.get("resources") or []
        pairs = [
            (
                str(entry.get("resourceType") or entry.get("resource_type") or ""),
                str(entry.get("resourceUri") or entry.get("resource_uri") or ""),
            )
            for entry in entries
        ]
    except (ValueError, AttributeError, TypeError):
        raise StepError(f"{text[:80]!r} is no gcp_resources") from None
    found = []
    for kind, uri in pairs:
        match = _RESOURCE.match(uri)
        found.append(Resource(kind, uri, **match.groupdict()) if match else Resource(kind, uri))
    return found
