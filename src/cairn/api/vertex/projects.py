"""GetProject of the Cloud Resource Manager: clients compare its number with a bucket's, and turn numbers into ids."""

from __future__ import annotations

from typing import Any

from cairn.api.access import Role
from cairn.api.http import Call
from cairn.domain.projects import project_number
from cairn.errors import InputRefused, NotFound


def get(request: dict[str, Any], call: Call) -> dict[str, Any]:
    """By name, or by the number of a project that holds something. Raises NotFound."""
    name = request.get("name", "")
    asked = name.removeprefix("projects/")
    if not asked or "/" in asked or asked == name:
        raise InputRefused(f"{name[:200]!r} names no project: projects/PROJECT", place="name")
    project = _named(asked, call) if asked.isdecimal() else asked
    if call.identity.role_in(project) is Role.NONE:
        raise NotFound(f"there is no project {asked!r}")
    return {
        "name": f"projects/{project_number(project)}",
        "projectId": project,
        "displayName": project,
        "state": "ACTIVE",
    }


HANDLERS = {"Projects.GetProject": get}


def _named(number: str, call: Call) -> str:
    known = call.context.cairn.records.projects()
    return next((project for project in known if project_number(project) == number), number)
