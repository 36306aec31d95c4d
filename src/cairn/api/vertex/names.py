"""Resource names: `projects/P/locations/L/pipelineJobs/ID` taken apart and put together."""

from __future__ import annotations

import re
from typing import NamedTuple

from cairn.errors import InputRefused

_LOCATION = re.compile(r"projects/([^/]+)/locations/([^/]+)")


class Place(NamedTuple):
    project: str
    location: str

    def __str__(self) -> str:
        return f"projects/{self.project}/locations/{self.location}"


def place_of(name: str, field: str = "parent") -> Place:
    """Of the location itself, or of anything below it. Raises InputRefused."""
    found = _LOCATION.match(name)
    if found is None or name[found.end() : found.end() + 1] not in ("", "/"):
        raise InputRefused(f"{name[:200]!r} names no location: projects/PROJECT/locations/LOCATION", place=field)
    return Place(found[1], found[2])


def resource(name: str, collection: str, field: str = "name") -> tuple[Place, str]:
    """Where `…/COLLECTION/ID` is, and its id. Raises InputRefused."""
    found = re.fullmatch(rf"(projects/[^/]+/locations/[^/]+)/{collection}/([^/]+)", name)
    if found is None:
        wanted = f"projects/PROJECT/locations/LOCATION/{collection}/ID"
        raise InputRefused(f"{name[:200]!r} is no name of this kind: {wanted}", place=field)
    return place_of(found[1], field), found[2]


def artifact_name(place: Place, artifact_id: str) -> str:
    return f"{place}/metadataStores/default/artifacts/{artifact_id}"


def execution_name(place: Place, execution_id: str) -> str:
    return f"{place}/metadataStores/default/executions/{execution_id}"


def context_name(place: Place, context_id: str) -> str:
    return f"{place}/metadataStores/default/contexts/{context_id}"
