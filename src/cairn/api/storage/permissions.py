"""IAM and access lists, as far as clients ask for them.

Roles are Cairn's, by project. A policy that a client sets is checked, told back to it, and not kept: a grant that is
believed to hold and does not would be worse than one that is seen not to be there.
"""

from __future__ import annotations

from typing import Any

from cairn.api.access import EVERY_PROJECT, Role
from cairn.api.http import Call, Reply, json_reply
from cairn.api.storage.asking import body, bucket_for
from cairn.domain.projects import project_number
from cairn.errors import InputRefused, NotFound, Unimplemented

_READS = ("get", "list", "getIamPolicy")


def get_policy(call: Call) -> Reply:
    bucket = bucket_for(call, Role.VIEWER)
    return json_reply(_policy(bucket.name, []))


def set_policy(call: Call) -> Reply:
    """Vertex's client grants its service account what everybody of the project has here anyway."""
    bucket = bucket_for(call, Role.EDITOR)
    bindings = body(call).get("bindings", [])
    if not isinstance(bindings, list) or not all(isinstance(one, dict) and one.get("role") for one in bindings):
        raise InputRefused("must be a list of {role, members}", place="bindings")
    if any(member in {"allUsers", "allAuthenticatedUsers"} for one in bindings for member in one.get("members", [])):
        raise Unimplemented("a bucket is open to the roles of its project only", place="bindings")
    return json_reply(_policy(bucket.name, bindings))


def test_permissions(call: Call) -> Reply:
    bucket = bucket_for(call, Role.VIEWER)
    held = call.identity.role_in(bucket.project or EVERY_PROJECT)
    asked = call.all("permissions")
    granted = [name for name in asked if held >= Role.EDITOR or name.rpartition(".")[2] in _READS]
    return json_reply({"kind": "storage#testIamPermissionsResponse", "permissions": granted})


def list_acl(call: Call) -> Reply:
    """None: access is by project, as with uniform bucket-level access."""
    bucket_for(call, Role.VIEWER)
    kind = "storage#bucketAccessControls" if "object" not in call.variables else "storage#objectAccessControls"
    return json_reply({"kind": kind, "items": []})


def change_acl(call: Call) -> Reply:
    bucket_for(call, Role.EDITOR)
    raise InputRefused(
        "Cannot use ACL API to update bucket policy when uniform bucket-level access is enabled.",
        remedy="give roles by project: `cairn tokens`",
    )


def service_account(call: Call) -> Reply:
    project = call.variables["project"]
    if call.identity.role_in(project) is Role.NONE:
        raise NotFound(f"there is no project {project!r}")
    address = f"service-{project_number(project)}@gs-project-accounts.iam.gserviceaccount.com"
    return json_reply({"kind": "storage#serviceAccount", "email_address": address})


def _policy(bucket: str, bindings: list[Any]) -> dict[str, Any]:
    resource = f"projects/_/buckets/{bucket}"
    return {"kind": "storage#policy", "resourceId": resource, "version": 1, "etag": "CAE=", "bindings": bindings}
