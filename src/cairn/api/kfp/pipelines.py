"""PipelineService and PipelineUploadService of KFP v2beta1.

Source: kubeflow/pipelines backend/api/v2beta1/pipeline.proto, and kfp_server_api's two clients of it.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import msgspec

from cairn.api.access import Role
from cairn.api.http import Call, Reply
from cairn.api.kfp import messages, scoping
from cairn.api.kfp.lists import list_query
from cairn.api.kfp.messages import MESSAGE, TEXT, body_of, moment, tags_of
from cairn.api.kfp.spec_json import told
from cairn.api.kfp.uploads import uploaded_file
from cairn.api.named_buckets import check_bucket
from cairn.errors import InputRefused, UnsupportedFeature
from cairn.filters.listing import Listing
from cairn.pipelines.packages import read_package
from cairn.pipelines.types import PipelineVersion, UploadedPipeline
from cairn.spec.documents import MAX_BYTES
from cairn.spec.load import load_text

_PIPELINE: messages.Fields = {
    "pipeline_id": TEXT,
    "display_name": TEXT,
    "name": TEXT,
    "description": TEXT,
    "created_at": TEXT,
    "namespace": TEXT,
    "error": MESSAGE,
    "tags": MESSAGE,
}
_VERSION: messages.Fields = {
    "pipeline_id": TEXT,
    "pipeline_version_id": TEXT,
    "display_name": TEXT,
    "name": TEXT,
    "description": TEXT,
    "created_at": TEXT,
    "package_url": MESSAGE,
    "code_source_url": TEXT,
    "pipeline_spec": MESSAGE,
    "error": MESSAGE,
    "tags": MESSAGE,
}
_BOTH: messages.Fields = {"pipeline": MESSAGE, "pipeline_version": MESSAGE}
_NAMES = {"name": "name", "display_name": "display_name", "created_at": "create_time", "tags": "labels"}
_PIPELINE_NAMES = {**_NAMES, "id": "id", "pipeline_id": "id"}
_VERSION_NAMES = {
    "display_name": "display_name",
    "name": "display_name",
    "created_at": "create_time",
    "id": "id",
    "pipeline_version_id": "id",
    "tags": "labels",
}


# --- uploads ---------------------------------------------------------------------------------------------------------


def upload(call: Call) -> Reply:
    """A new pipeline and its first version, from a file."""
    content, filename = uploaded_file(call)
    text = _checked(content, filename)
    project = scoping.writable(call, call.first("namespace"))
    name = call.first("name") or call.first("display_name") or _stem(filename)
    pipeline = UploadedPipeline(
        "",
        name,
        call.first("display_name"),
        call.first("description"),
        project,
        tags=_tags(call),
        owner=call.identity.name,
    )
    version = _first_version(call, pipeline, text)
    made, _ = call.context.cairn.pipelines.upload(pipeline, version)
    return messages.reply(_pipeline(made))


def upload_version(call: Call) -> Reply:
    content, filename = uploaded_file(call)
    pipeline_id = call.first("pipelineid")
    if not pipeline_id:
        raise InputRefused("names no pipeline", place="pipelineid")
    _writable(call, pipeline_id)
    text = _checked(content, filename)
    version = PipelineVersion(
        "",
        pipeline_id,
        call.first("name") or call.first("display_name") or _stem(filename),
        text,
        call.first("display_name"),
        call.first("description"),
        tags=_tags(call),
        owner=call.identity.name,
    )
    return messages.reply(_version(call.context.cairn.pipelines.add_version(version)))


def _stem(filename: str) -> str:
    return os.path.basename(filename.replace("\\", "/")) or "pipeline"


def _tags(call: Call) -> dict[str, str]:
    """`tags` of a query: a JSON object."""
    text = call.first("tags")
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise InputRefused(f"is no JSON object of texts: {error}", place="tags") from None


def _checked(content: bytes, filename: str) -> str:
    """The pipeline's text as it is kept, refused here where it can never run. Raises SpecError with the place."""
    origin = _stem(filename)
    return load_text(read_package(content, origin=origin), origin=origin).text


def _first_version(call: Call, pipeline: UploadedPipeline, text: str, **more: Any) -> PipelineVersion:
    """It is called what the pipeline is called."""
    return PipelineVersion(
        "",
        "",
        pipeline.name,
        text,
        pipeline.display_name,
        pipeline.description,
        owner=call.identity.name,
        **{"tags": pipeline.tags, **more},
    )


# --- pipelines -------------------------------------------------------------------------------------------------------


def create(call: Call) -> Reply:
    """A pipeline without a version."""
    return messages.reply(_pipeline(call.context.cairn.pipelines.create(_asked(call, body_of(call, _PIPELINE)))))


def create_with_version(call: Call) -> Reply:
    """A pipeline and its first version, from a URL."""
    both = body_of(call, _BOTH)
    pipeline = _asked(call, messages.message(both.get("pipeline", {}), _PIPELINE, "pipeline"))
    asked = messages.message(both.get("pipeline_version", {}), _VERSION, "pipeline_version")
    text, url = _package(call, asked, "pipeline_version.package_url")
    version = _first_version(call, pipeline, text, package_url=url, code_source_url=asked.get("code_source_url", ""))
    made, _ = call.context.cairn.pipelines.upload(pipeline, version)
    return messages.reply(_pipeline(made))


def get(call: Call) -> Reply:
    return messages.reply(_pipeline(_readable(call, call.variables["pipeline_id"])))


def get_by_name(call: Call) -> Reply:
    project = scoping.home(call, call.first("namespace"))
    name = call.variables["name"]
    found = scoping.seen(call, lambda: call.context.cairn.pipelines.pipeline_named(name, project), "pipeline", name)
    return messages.reply(_pipeline(found))


def list_(call: Call) -> Reply:
    query = list_query(call, _PIPELINE_NAMES, scope="pipelines")
    projects = frozenset((scoping.home(call, call.first("namespace")),))
    listing = Listing(projects, query.where, query.orders, query.query, query.token, query.limit)
    found, token, count = call.context.cairn.pipelines.pipelines(listing)
    return messages.reply(
        {"pipelines": [messages.filled(_pipeline(one)) for one in found], "total_size": count, "next_page_token": token}
    )


def update(call: Call) -> Reply:
    """Display name, description and tags; what the body leaves out stays."""
    before = _writable(call, call.variables["pipeline.pipeline_id"])
    asked = body_of(call, _PIPELINE)
    _unchanged(asked, {"name": before.name, "pipeline_id": before.id})
    changed = msgspec.structs.replace(before, **_changes(asked))
    return messages.reply(_pipeline(call.context.cairn.pipelines.update(changed)))


def delete(call: Call) -> Reply:
    found = _writable(call, call.variables["pipeline_id"])
    call.context.cairn.pipelines.delete(found.id, cascade=call.first("cascade").lower() == "true")
    return messages.empty()


def _asked(call: Call, asked: dict[str, Any]) -> UploadedPipeline:
    name = asked.get("name") or asked.get("display_name") or ""
    if not name.strip():
        raise InputRefused("a pipeline needs a name", place="name")
    return UploadedPipeline(
        "",
        name,
        asked.get("display_name", ""),
        asked.get("description", ""),
        scoping.writable(call, asked.get("namespace", "")),
        tags=tags_of(asked),
        owner=call.identity.name,
    )


def _changes(asked: dict[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {name: asked[name] for name in ("display_name", "description") if name in asked}
    if "tags" in asked:
        changes["tags"] = tags_of(asked)
    return changes


def _unchanged(asked: dict[str, Any], fixed: dict[str, str]) -> None:
    for name, value in fixed.items():
        if asked.get(name, value) not in (value, ""):
            raise InputRefused("cannot be changed", place=name)


def _readable(call: Call, id_: str) -> UploadedPipeline:
    return scoping.seen(call, lambda: call.context.cairn.pipelines.pipeline(id_), "pipeline", id_)


def _writable(call: Call, id_: str) -> UploadedPipeline:
    return scoping.changed(call, lambda: call.context.cairn.pipelines.pipeline(id_), "pipeline", id_)


def _pipeline(pipeline: UploadedPipeline) -> dict[str, Any]:
    return {
        "pipeline_id": pipeline.id,
        "name": pipeline.name,
        "display_name": pipeline.display_name,
        "description": pipeline.description,
        "created_at": moment(pipeline.create_time),
        "namespace": pipeline.project,
        "tags": pipeline.tags,
    }


# --- versions --------------------------------------------------------------------------------------------------------


def create_version(call: Call) -> Reply:
    """From a URL."""
    pipeline = _writable(call, call.variables["pipeline_id"])
    asked = body_of(call, _VERSION)
    _unchanged(asked, {"pipeline_id": pipeline.id})
    name = asked.get("name") or asked.get("display_name") or ""
    if not name.strip():
        raise InputRefused("a version needs a name", place="name")
    text, url = _package(call, asked, "package_url")
    version = PipelineVersion(
        "",
        pipeline.id,
        name,
        text,
        asked.get("display_name", ""),
        asked.get("description", ""),
        package_url=url,
        code_source_url=asked.get("code_source_url", ""),
        tags=tags_of(asked),
        owner=call.identity.name,
    )
    return messages.reply(_version(call.context.cairn.pipelines.add_version(version)))


def get_version(call: Call) -> Reply:
    return messages.reply(_version(_version_seen(call, scoping.seen, "pipeline_id", "pipeline_version_id")))


def list_versions(call: Call) -> Reply:
    pipeline = _readable(call, call.variables["pipeline_id"])
    query = list_query(call, _VERSION_NAMES, scope=f"versions of {pipeline.id}")
    listing = Listing(None, query.where, query.orders, query.query, query.token, query.limit)
    found, token, count = call.context.cairn.pipelines.versions(pipeline.id, listing)
    versions = [messages.filled(_version(one)) for one in found]
    return messages.reply({"pipeline_versions": versions, "total_size": count, "next_page_token": token})


def update_version(call: Call) -> Reply:
    """Display name, description and tags; what the body leaves out stays."""
    names = ("pipeline_version.pipeline_id", "pipeline_version.pipeline_version_id")
    before = _version_seen(call, scoping.changed, *names)
    asked = body_of(call, _VERSION)
    fixed = {"name": before.name, "pipeline_id": before.pipeline_id, "pipeline_version_id": before.id}
    _unchanged(asked, {**fixed, "code_source_url": before.code_source_url})
    changed = msgspec.structs.replace(before, **_changes(asked))
    return messages.reply(_version(call.context.cairn.pipelines.update_version(changed)))


def delete_version(call: Call) -> Reply:
    found = _version_seen(call, scoping.changed, "pipeline_id", "pipeline_version_id")
    call.context.cairn.pipelines.delete_version(found.pipeline_id, found.id)
    return messages.empty()


def _version_seen(call: Call, how: Any, pipeline: str, version: str) -> PipelineVersion:
    """`how`: `scoping.seen` or `scoping.changed`."""
    pipeline_id, id_ = call.variables[pipeline], call.variables[version]
    found: PipelineVersion = how(
        call, lambda: call.context.cairn.pipelines.version(pipeline_id, id_), "pipeline version", id_
    )
    return found


def _package(call: Call, asked: dict[str, Any], place: str) -> tuple[str, str]:
    """The pipeline's text from where the request says it is, and that URL as it is recorded. Raises InputRefused."""
    if asked.get("pipeline_spec"):
        raise UnsupportedFeature("is output only", place="pipeline_spec", remedy="upload the file, or name its URL")
    found = messages.message(asked.get("package_url", {}), {"pipeline_url": TEXT}, place)
    url = found.get("pipeline_url", "")
    if not url:
        raise InputRefused("is missing", place=f"{place}.pipeline_url")
    check_bucket(call, url, Role.VIEWER, f"{place}.pipeline_url")
    content = call.context.cairn.store.read(url, MAX_BYTES)
    return load_text(read_package(content, origin=url), origin=url).text, _recorded(url)


def _recorded(url: str) -> str:
    """Without what may be credentials: a user and a query are for the fetching alone."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _version(version: PipelineVersion) -> dict[str, Any]:
    found = {
        "pipeline_id": version.pipeline_id,
        "pipeline_version_id": version.id,
        "name": version.name,
        "display_name": version.display_name,
        "description": version.description,
        "created_at": moment(version.create_time),
        "pipeline_spec": told(version.text),
        "tags": version.tags,
    }
    if version.package_url:
        found["package_url"] = {"pipeline_url": version.package_url}
    if version.code_source_url:
        found["code_source_url"] = version.code_source_url
    return found
