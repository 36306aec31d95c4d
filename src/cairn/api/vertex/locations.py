"""google.cloud.location.Locations. A location is a name like a project: nothing is elsewhere because of it."""

from __future__ import annotations

from typing import Any

from cairn.api.http import Call
from cairn.api.vertex.names import Place, place_of
from cairn.domain.runs import DEFAULT_LOCATION
from cairn.errors import InputRefused


def get(request: dict[str, Any], call: Call) -> dict[str, Any]:  # noqa: ARG001
    return _view(place_of(request.get("name", ""), "name"))


def list_(request: dict[str, Any], call: Call) -> dict[str, Any]:
    """Those that something was recorded in, and the default one."""
    name = request.get("name", "")
    project = name.removeprefix("projects/")
    if "/" in project or not project or project == name:
        raise InputRefused(f"{name[:200]!r} names no project: projects/PROJECT", place="name")
    found = {DEFAULT_LOCATION, *call.context.cairn.records.locations(project)}
    return {"locations": [_view(Place(project, location)) for location in sorted(found)]}


HANDLERS = {"Locations.GetLocation": get, "Locations.ListLocations": list_}


def _view(place: Place) -> dict[str, Any]:
    return {"name": str(place), "locationId": place.location, "displayName": place.location}
