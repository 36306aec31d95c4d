"""Buckets: create, get, list, change, delete; who may use them is Cairn's own matter, so IAM and ACLs only tell it."""

from __future__ import annotations

import msgspec

from cairn.api.access import EVERY_PROJECT, Role
from cairn.api.http import Call, Reply, json_reply
from cairn.api.storage import resources
from cairn.api.storage.asking import answer, body, bucket_for, conditions, decode_token, encode_token, page_size
from cairn.domain.objects import Bucket
from cairn.domain.runs import DEFAULT_PROJECT
from cairn.errors import InputRefused, NotFound, PermissionDenied, PreconditionFailed


def create(call: Call) -> Reply:
    """Raises AlreadyExists, also for one of another project: names are shared by all."""
    project = call.first("project") or DEFAULT_PROJECT
    _check_project(call, project, Role.EDITOR)
    given = body(call)
    name = given.get("name")
    if not isinstance(name, str):
        raise InputRefused("Required", place="name")
    bucket = resources.bucket_of(given, Bucket(name, project=project))
    made = call.context.cairn.objects.buckets.create(bucket)
    return answer(call, resources.bucket_json(made, call.base_url, full=_full(call)))


def get(call: Call) -> Reply:
    bucket = bucket_for(call, Role.VIEWER)
    if not conditions(call).met(bucket):
        unchanged = msgspec.structs.replace(conditions(call), metageneration=None).met(bucket)
        if unchanged:
            raise PreconditionFailed("At least one of the pre-conditions you specified did not hold.")
        return Reply(304, headers={"etag": bucket.etag})
    told = resources.bucket_json(bucket, call.base_url, full=_full(call))
    if _would_ask_google(call):
        told["projectNumber"] = f"project:{bucket.project}"
    return answer(call, told)


def _would_ask_google(call: Call) -> bool:
    """Whether a number would be compared with what Google says of the project.

    Vertex's client does that before each submit (aiplatform.utils.gcs_utils._verify_bucket_ownership), over an address
    that only the shim can turn to us: 53 s without a network, and an answer of no use with one. It takes what is no
    number for an answer, at once, logs it, and goes on.
    """
    asks = "gl-python/" in call.headers.get("x-goog-api-client", "") and call.first("projection") == "noAcl"
    return asks and "x-cairn-shim" not in call.headers


def list_all(call: Call) -> Reply:
    """Those of the project, and those of which nobody knows whose they are."""
    project = call.first("project")
    if project:
        _check_project(call, project, Role.VIEWER)
    prefix, after = call.first("prefix"), decode_token(call.first("pageToken"))
    found = [
        bucket
        for bucket in call.context.cairn.objects.buckets.list()
        if bucket.name.startswith(prefix) and bucket.name > after and _shown(call, bucket, project)
    ]
    limit = page_size(call)
    told: dict[str, object] = {
        "kind": "storage#buckets",
        "items": [resources.bucket_json(bucket, call.base_url) for bucket in found[:limit]],
    }
    if len(found) > limit:
        told["nextPageToken"] = encode_token(found[limit - 1].name)
    return answer(call, told)


def patch(call: Call) -> Reply:
    bucket = resources.bucket_of(body(call), bucket_for(call, Role.EDITOR))
    made = call.context.cairn.objects.buckets.replace(bucket, conditions(call))
    return answer(call, resources.bucket_json(made, call.base_url, full=_full(call)))


def update(call: Call) -> Reply:
    """As patch, but what is not said is taken away."""
    before = bucket_for(call, Role.EDITOR)
    bucket = resources.bucket_of(body(call), msgspec.structs.replace(before, labels={}, options={}))
    made = call.context.cairn.objects.buckets.replace(bucket, conditions(call))
    return answer(call, resources.bucket_json(made, call.base_url, full=_full(call)))


def delete(call: Call) -> Reply:
    bucket = bucket_for(call, Role.EDITOR)
    call.context.cairn.objects_of(bucket.name).delete_bucket(bucket.name, conditions(call))
    return Reply(204)


def storage_layout(call: Call) -> Reply:
    bucket = bucket_for(call, Role.VIEWER)
    told = resources.bucket_json(bucket, call.base_url)
    layout = {"kind": "storage#storageLayout", "bucket": bucket.name}
    return json_reply({**layout, "location": told["location"], "locationType": told["locationType"]})


def _full(call: Call) -> bool:
    return call.first("projection") == "full"


def _shown(call: Call, bucket: Bucket, project: str) -> bool:
    if project and bucket.project not in {"", project}:
        return False
    return call.identity.role_in(bucket.project or EVERY_PROJECT) >= Role.VIEWER


def _check_project(call: Call, project: str, role: Role) -> None:
    if project == EVERY_PROJECT or len(project) > 200 or not project.isprintable() or "/" in project:
        raise InputRefused("is no project", place="project")
    held = call.identity.role_in(project)
    if held is Role.NONE:
        raise NotFound(f"there is no project {project!r}")
    if held < role:
        raise PermissionDenied(f"needs the role {role.name.lower()}", place=project)
