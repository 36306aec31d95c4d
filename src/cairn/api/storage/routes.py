"""The routes of this front.

Names of objects come percent-encoded as one segment, and from gcsfs' batches as they are: `{object=**}` takes both.
"""

from __future__ import annotations

from cairn.api.access import READ_ANY, WRITE_ANY, Access
from cairn.api.context import Context
from cairn.api.front import Front
from cairn.api.http import Handler, Route
from cairn.api.routing import Router
from cairn.api.storage import batch, buckets, media, objects, permissions, uploads, xml
from cairn.api.storage.threads import moved_apart
from cairn.api.storage.wording import worded
from cairn.domain.objects import OBJECT_LIMIT

_B = "/storage/v1/b/{bucket}"
_O = _B + "/o/{object=**}"
_RESOURCE_BYTES = 1024 * 1024
_BATCH_BYTES = 16 * 1024 * 1024
_ENTITIES = (_B + "/acl", _B + "/defaultObjectAcl", _B + "/o/{object}/acl")
# Parts of the storage API that clients may try.
_UNSERVED = (
    _B + "/notificationConfigs",
    _B + "/anywhereCaches",
    _B + "/folders",
    _B + "/managedFolders",
    _B + "/operations",
    "/storage/v1/projects/{project}/hmacKeys",
)


def front(context: Context) -> Front:  # noqa: ARG001
    metadata = [*_buckets(), *_permissions(), *_objects(), *_unserved()]
    batched = batch.over(Router(metadata))
    routes = [*metadata, *_media(), *xml.routes()]
    for name, template in (("batch", "/batch/storage/v1"), ("batch_of_old_clients", "/batch")):
        routes.append(Route("POST", template, batched, READ_ANY, f"storage.{name}", limit=_BATCH_BYTES))
    prefixes = ("/storage/", "/upload/storage/", "/resumable/upload/storage/", "/download/storage/", "/batch")
    return Front("storage", prefixes, routes, worded, xml.meant)


def _buckets() -> list[Route]:
    return [
        _route("POST", "/storage/v1/b", buckets.create, WRITE_ANY, "buckets.insert"),
        _route("GET", "/storage/v1/b", buckets.list_all, READ_ANY, "buckets.list"),
        _route("GET", _B, buckets.get, READ_ANY, "buckets.get"),
        _route("PATCH", _B, buckets.patch, WRITE_ANY, "buckets.patch"),
        _route("PUT", _B, buckets.update, WRITE_ANY, "buckets.update"),
        _route("DELETE", _B, buckets.delete, WRITE_ANY, "buckets.delete"),
        _route("GET", _B + "/storageLayout", buckets.storage_layout, READ_ANY, "buckets.getStorageLayout"),
    ]


def _permissions() -> list[Route]:
    routes = [
        _route("GET", _B + "/iam", permissions.get_policy, READ_ANY, "buckets.getIamPolicy"),
        _route("PUT", _B + "/iam", permissions.set_policy, WRITE_ANY, "buckets.setIamPolicy"),
        _route("GET", _B + "/iam/testPermissions", permissions.test_permissions, READ_ANY, "buckets.testPermissions"),
        _route(
            "GET",
            "/storage/v1/projects/{project}/serviceAccount",
            permissions.service_account,
            READ_ANY,
            "projects.serviceAccount",
        ),
    ]
    for template in _ENTITIES:
        name = template.removeprefix(_B).replace("/o/{object}", "/object").strip("/").replace("/", ".")
        routes.append(_route("GET", template, permissions.list_acl, READ_ANY, f"{name}.list"))
        routes.append(_route("POST", template, permissions.change_acl, WRITE_ANY, f"{name}.insert"))
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            one = f"{template}/{{entity}}"
            routes.append(_route(method, one, permissions.change_acl, WRITE_ANY, f"{name}.{method.lower()}"))
    return routes


def _objects() -> list[Route]:
    move = moved_apart(objects.move)
    other = "/b/{to_bucket}/o/{to_object=**}"
    return [
        _route("GET", _B + "/o", moved_apart(objects.list_all), READ_ANY, "objects.list"),
        _route("GET", _O, objects.get, READ_ANY, "objects.get"),
        _route("PATCH", _O, moved_apart(objects.patch), WRITE_ANY, "objects.patch"),
        _route("PUT", _O, moved_apart(objects.update), WRITE_ANY, "objects.update"),
        _route("DELETE", _O, moved_apart(objects.delete), WRITE_ANY, "objects.delete"),
        _route("POST", _B + "/o/{object}/copyTo" + other, objects.copy, WRITE_ANY, "objects.copy"),
        _route("POST", _B + "/o/{object}/rewriteTo" + other, objects.rewrite, WRITE_ANY, "objects.rewrite"),
        _route("POST", _B + "/o/{object}/moveTo/o/{to_object=**}", move, WRITE_ANY, "objects.move"),
        _route("POST", _B + "/o/{object}/compose", objects.compose, WRITE_ANY, "objects.compose"),
    ]


def _media() -> list[Route]:
    routes = [_route("GET", "/download" + _O, media.download, READ_ANY, "objects.download")]
    for prefix, name in (("/upload", "upload"), ("/resumable/upload", "resumable")):
        template = f"{prefix}{_B}/o"
        for method, handler in (("POST", uploads.insert), ("PUT", uploads.append), ("DELETE", uploads.cancel)):
            named = f"storage.objects.{name}.{method.lower()}"
            routes.append(Route(method, template, handler, WRITE_ANY, named, limit=OBJECT_LIMIT, streams=True))
    return routes


def _unserved() -> list[Route]:
    routes = []
    for template in _UNSERVED:
        name = template.rpartition("/")[2]
        for method in ("GET", "POST"):
            routes.append(_route(method, template, objects.unserved, READ_ANY, f"{name}.{method.lower()}"))
    return routes


def _route(method: str, template: str, handler: Handler, access: Access, name: str) -> Route:
    return Route(method, template, handler, access, f"storage.{name}", limit=_RESOURCE_BYTES)
