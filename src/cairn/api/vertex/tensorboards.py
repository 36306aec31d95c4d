"""TensorboardService: Tensorboards, experiments, runs and time series; their points are in `tensorboard_data`."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import msgspec

from cairn.api.http import Call
from cairn.api.vertex import masks, tensorboard_data
from cairn.api.vertex.tensorboard_names import name_of, parent_of, parse
from cairn.api.vertex.times import put, timestamp
from cairn.errors import InputRefused, Unimplemented
from cairn.filters.vertex import parse_filter, parse_order
from cairn.tensorboards.events import ValueKind
from cairn.tensorboards.types import Entry, Level, Totals, Where

_MESSAGE = "google.cloud.aiplatform.v1."


class _Kind(NamedTuple):
    """What differs between the levels; `field` is the resource's in requests, `page` and `most` are documented."""

    level: Level
    message: str
    field: str
    plural: str
    page: int
    most: int


_TENSORBOARD = _Kind(Level.TENSORBOARD, "Tensorboard", "tensorboard", "tensorboards", 100, 100)
_EXPERIMENT = _Kind(
    Level.EXPERIMENT, "TensorboardExperiment", "tensorboardExperiment", "tensorboardExperiments", 50, 1000
)
_RUN = _Kind(Level.RUN, "TensorboardRun", "tensorboardRun", "tensorboardRuns", 50, 1000)
_SERIES = _Kind(Level.SERIES, "TensorboardTimeSeries", "tensorboardTimeSeries", "tensorboardTimeSeries", 50, 1000)


def create(kind: _Kind, request: dict[str, Any], call: Call) -> dict[str, Any]:
    entry = _asked(kind, request, call)
    return _view(call.context.cairn.tensorboards.create(entry), call)


def batch_create(kind: _Kind, request: dict[str, Any], call: Call) -> dict[str, Any]:
    """All or none. Those of runs may name their experiment or not; time series name their runs."""
    where, experiment = parse(request.get("parent", ""), Level.EXPERIMENT, "parent")
    requests = request.get("requests") or []
    if not requests:
        raise InputRefused("names nothing to make", place="requests")
    entries = []
    for at, one in enumerate(requests):
        if kind is _RUN and not one.get("parent"):
            one = {**one, "parent": request["parent"]}
        entry = _asked(kind, one, call, f"requests[{at}].")
        if Where(entry.project, entry.location) != where or entry.path[:2] != experiment:
            raise InputRefused(f"is not in {request['parent']}", place=f"requests[{at}].parent")
        entries.append(entry)
    made = call.context.cairn.tensorboards.create_all(entries)
    return {kind.plural: _views(made, where, call)}


def get(kind: _Kind, request: dict[str, Any], call: Call) -> dict[str, Any]:
    where, path = parse(request.get("name", ""), kind.level)
    return _view(call.context.cairn.tensorboards.get(kind.level, path, where), call)


def list_(kind: _Kind, request: dict[str, Any], call: Call) -> dict[str, Any]:
    where, parent = parent_of(request.get("parent", ""), kind.level)
    size = request.get("pageSize", 0)
    if size < 0:
        raise InputRefused("a page has at least one entry", place="pageSize")
    text, order = request.get("filter", ""), request.get("orderBy", "")
    found, token = call.context.cairn.tensorboards.page(
        kind.level,
        parent,
        where,
        wanted=parse_filter(text),
        orders=parse_order(order),
        query=f"{text}\n{order}",
        token=request.get("pageToken", ""),
        limit=min(size or kind.page, kind.most),
    )
    views = _views(found, where, call)
    masked = [masks.masked(_MESSAGE + kind.message, view, request.get("readMask", "")) for view in views]
    answer: dict[str, Any] = {kind.plural: masked} if masked else {}
    return {**answer, "nextPageToken": token} if token else answer


def update(kind: _Kind, request: dict[str, Any], call: Call) -> dict[str, Any]:
    """What the mask names; without one, what is set. What is for output only, or immutable, is passed over."""
    given = request.get(kind.field) or {}
    where, path = parse(given.get("name", ""), kind.level, f"{kind.field}.name")
    service = call.context.cairn.tensorboards
    before = service.get(kind.level, path, where)
    seen = _view(before, call)
    after = masks.merged(_MESSAGE + kind.message, seen, given, request.get("updateMask", ""))
    changed = _entry(kind, before, after)
    if changed == before:
        return seen
    return _view(service.update(changed, etag=given.get("etag", "")), call)


def delete(kind: _Kind, request: dict[str, Any], call: Call) -> dict[str, Any]:
    where, path = parse(request.get("name", ""), kind.level)
    service = call.context.cairn.tensorboards
    service.get(kind.level, path, where)
    service.delete(kind.level, path, where)
    return {}


def usage(request: dict[str, Any], call: Call) -> dict[str, Any]:
    """Who has looked at it in a browser is not counted: no month has any."""
    where, path = parse(request.get("tensorboard", ""), Level.TENSORBOARD, "tensorboard")
    call.context.cairn.tensorboards.get(Level.TENSORBOARD, path, where)
    return {}


def size(request: dict[str, Any], call: Call) -> dict[str, Any]:
    where, path = parse(request.get("tensorboard", ""), Level.TENSORBOARD, "tensorboard")
    found = call.context.cairn.tensorboards.size(path, where)
    return {"storageSizeByte": str(found)} if found else {}


HANDLERS = {
    **{
        f"TensorboardService.{verb}{kind.message}{plural}": partial(handler, kind)
        for kind in (_TENSORBOARD, _EXPERIMENT, _RUN, _SERIES)
        for verb, handler, plural in (
            ("Create", create, ""),
            ("Get", get, ""),
            ("List", list_, "" if kind is _SERIES else "s"),
            ("Update", update, ""),
            ("Delete", delete, ""),
        )
    },
    "TensorboardService.BatchCreateTensorboardRuns": partial(batch_create, _RUN),
    "TensorboardService.BatchCreateTensorboardTimeSeries": partial(batch_create, _SERIES),
    "TensorboardService.ReadTensorboardUsage": usage,
    "TensorboardService.ReadTensorboardSize": size,
    **tensorboard_data.HANDLERS,
}


def _asked(kind: _Kind, request: dict[str, Any], call: Call, place: str = "") -> Entry:
    where, parent = parent_of(request.get("parent", ""), kind.level, f"{place}parent")
    message = request.get(kind.field) or {}
    field = f"{place}{kind.field}"
    id_ = request.get(f"{kind.field}Id", "")
    if kind in (_EXPERIMENT, _RUN) and not id_:
        raise InputRefused("is required", place=f"{field}Id")
    if kind in (_TENSORBOARD, _RUN, _SERIES) and not message.get("displayName"):
        raise InputRefused("is required", place=f"{field}.displayName")
    if message.get("encryptionSpec"):
        raise Unimplemented(
            "keys of one's own do not encrypt anything in this version", place=f"{field}.encryptionSpec"
        )
    entry = Entry(kind.level, (*parent, id_), where.project, where.location, owner=call.identity.name)
    if kind is _SERIES:
        value = message.get("valueType", "")
        if value not in set(ValueKind):
            raise InputRefused(f"is required: one of {', '.join(ValueKind)}", place=f"{field}.valueType")
        plugin, data = message.get("pluginName", ""), message.get("pluginData", "")
        entry = msgspec.structs.replace(entry, kind=ValueKind(value), plugin=plugin, plugin_data=data)
    if kind is _EXPERIMENT:
        entry = msgspec.structs.replace(entry, source=message.get("source", ""))
    return _entry(kind, entry, message)


def _entry(kind: _Kind, before: Entry, message: dict[str, Any]) -> Entry:
    """With what may change of it."""
    after = msgspec.structs.replace(
        before,
        display_name=message.get("displayName", ""),
        description=message.get("description", ""),
        labels=dict(message.get("labels") or {}),
    )
    if kind is _TENSORBOARD:
        after = msgspec.structs.replace(after, default=bool(message.get("isDefault")))
    if kind is _SERIES:
        after = msgspec.structs.replace(after, plugin_data=message.get("pluginData", ""))
    return after


def _view(entry: Entry, call: Call) -> dict[str, Any]:
    return _views([entry], Where(entry.project, entry.location), call)[0]


def _views(entries: list[Entry], where: Where, call: Call) -> list[dict[str, Any]]:
    service = call.context.cairn.tensorboards
    series = [entry.path for entry in entries if entry.level is Level.SERIES]
    totals = dict(zip(series, service.totals(series, where) if series else [], strict=True))
    found = []
    for entry in entries:
        view: dict[str, Any] = {"name": name_of(entry), "displayName": entry.display_name, "etag": entry.etag}
        view |= {"description": entry.description, "labels": dict(entry.labels)}
        put(view, createTime=entry.create_time, updateTime=entry.update_time)
        if entry.level is Level.TENSORBOARD:
            prefix, count = service.blob_prefix(where), service.run_count(entry.path, where)
            view |= {"blobStoragePathPrefix": prefix, "runCount": count, "isDefault": entry.default}
        elif entry.level is Level.EXPERIMENT:
            view["source"] = entry.source
        elif entry.level is Level.SERIES:
            view |= _series_view(entry, totals[entry.path])
        found.append({name: value for name, value in view.items() if value not in ("", 0, {})})
    return found


def _series_view(entry: Entry, totals: Totals) -> dict[str, Any]:
    view: dict[str, Any] = {
        "valueType": str(entry.kind),
        "pluginName": entry.plugin,
        "pluginData": entry.plugin_data,
    }
    if totals.points:
        held = {"maxStep": str(totals.max_step), "maxWallTime": timestamp(totals.max_wall_time)}
        if entry.kind is ValueKind.BLOB_SEQUENCE:
            held["maxBlobSequenceLength"] = str(totals.max_blobs)
        view["metadata"] = held
    return view
