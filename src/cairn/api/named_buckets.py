"""Buckets that a request names elsewhere than in its path: where a pipeline lies, where a run's outputs go."""

from __future__ import annotations

from cairn.api.access import EVERY_PROJECT, Role
from cairn.api.http import Call
from cairn.errors import NotFound, PermissionDenied


def check_bucket(call: Call, uri: str, role: Role, place: str) -> None:
    """Whether who asks may do this in the bucket of `uri`: one of another project is not there. What lies in no bucket,
    or in one that does not exist yet, passes. Raises NotFound, PermissionDenied, InputRefused for no name of a bucket.
    """
    bucket = call.context.cairn.bucket_of(uri)
    if bucket is None:
        return
    held = call.identity.role_in(bucket.project or EVERY_PROJECT)
    if held is Role.NONE:
        raise NotFound(f"there is no object {uri[:200]!r}", place=place)
    if held < role:
        raise PermissionDenied(f"needs the role {role.name.lower()} in bucket {bucket.name}", place=place)
