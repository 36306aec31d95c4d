"""TensorboardService's points: written, read in batches, sampled, exported page by page; and blobs."""

from __future__ import annotations

import base64
import time
from typing import Any

from cairn.api.http import Call
from cairn.api.vertex.tensorboard_names import parse
from cairn.api.vertex.times import microseconds, timestamp
from cairn.errors import InputRefused
from cairn.filters.vertex import parse_filter, parse_order
from cairn.tensorboards.events import ValueKind
from cairn.tensorboards.types import Entry, Level, Point, PointValue, SeriesPoints

EXPORTED, MAX_EXPORTED = 1000, 10_000  # points of a page, as the API documents
MAX_BATCH = 1000  # series in one batch
_FIELDS = {"scalar": ValueKind.SCALAR, "tensor": ValueKind.TENSOR, "blobs": ValueKind.BLOB_SEQUENCE}


def write_experiment(request: dict[str, Any], call: Call) -> dict[str, Any]:
    where, experiment = parse(
        request.get("tensorboardExperiment", ""), Level.EXPERIMENT, field := "tensorboardExperiment"
    )
    series = []
    for at, one in enumerate(request.get("writeRunDataRequests") or []):
        place = f"writeRunDataRequests[{at}]"
        there, run = parse(one.get("tensorboardRun", ""), Level.RUN, f"{place}.tensorboardRun")
        if (there, run[:2]) != (where, experiment):
            raise InputRefused(f"is not in {request[field]}", place=f"{place}.tensorboardRun")
        series += _series(run, one, f"{place}.")
    call.context.cairn.tensorboards.write(where, series)
    return {}


def write_run(request: dict[str, Any], call: Call) -> dict[str, Any]:
    where, run = parse(request.get("tensorboardRun", ""), Level.RUN, "tensorboardRun")
    call.context.cairn.tensorboards.write(where, _series(run, request))
    return {}


def batch_read(request: dict[str, Any], call: Call) -> dict[str, Any]:
    """At most 1,000 points of each series of scalars, and 100 of others, evenly chosen."""
    where, tensorboard = parse(request.get("tensorboard", ""), Level.TENSORBOARD, "tensorboard")
    names = request.get("timeSeries") or []
    if len(names) > MAX_BATCH:
        raise InputRefused(f"{len(names)} are named; {MAX_BATCH} are the most", place="timeSeries")
    found = []
    for at, name in enumerate(names):
        there, path = parse(name, Level.SERIES, f"timeSeries[{at}]")
        if (there, path[:1]) != (where, tensorboard):
            raise InputRefused(f"is not in {request['tensorboard']}", place=f"timeSeries[{at}]")
        found.append(_data(*call.context.cairn.tensorboards.read(path, where)))
    return {"timeSeriesData": found} if found else {}


def read(request: dict[str, Any], call: Call) -> dict[str, Any]:
    where, path = parse(request.get("tensorboardTimeSeries", ""), Level.SERIES, "tensorboardTimeSeries")
    most = request.get("maxDataPoints", 0)
    if most < -1:
        raise InputRefused("must be positive, or -1 for all", place="maxDataPoints")
    wanted = parse_filter(request.get("filter", ""))
    return {"timeSeriesData": _data(*call.context.cairn.tensorboards.read(path, where, most=most, wanted=wanted))}


def export(request: dict[str, Any], call: Call) -> dict[str, Any]:
    where, path = parse(request.get("tensorboardTimeSeries", ""), Level.SERIES, "tensorboardTimeSeries")
    size = request.get("pageSize", 0)
    if size < 0:
        raise InputRefused("a page has at least one point", place="pageSize")
    text, order = request.get("filter", ""), request.get("orderBy", "")
    points, token = call.context.cairn.tensorboards.page_points(
        path,
        where,
        wanted=parse_filter(text),
        orders=parse_order(order),
        query=f"{where}\n{text}\n{order}",
        token=request.get("pageToken", ""),
        limit=min(size or EXPORTED, MAX_EXPORTED),
    )
    answer: dict[str, Any] = {"timeSeriesDataPoints": [_point(one) for one in points]} if points else {}
    return {**answer, "nextPageToken": token} if token else answer


def read_blobs(request: dict[str, Any], call: Call) -> list[dict[str, Any]]:
    """A message for each blob: the method streams."""
    where, path = parse(request.get("timeSeries", ""), Level.SERIES, "timeSeries")
    found = call.context.cairn.tensorboards.blobs(path, where, request.get("blobIds") or [])
    return [{"blobs": [{"id": id_, "data": base64.b64encode(content).decode()}]} for id_, content in found]


HANDLERS = {
    "TensorboardService.WriteTensorboardExperimentData": write_experiment,
    "TensorboardService.WriteTensorboardRunData": write_run,
    "TensorboardService.BatchReadTensorboardTimeSeriesData": batch_read,
    "TensorboardService.ReadTensorboardTimeSeriesData": read,
    "TensorboardService.ExportTensorboardTimeSeriesData": export,
    "TensorboardService.ReadTensorboardBlobData": read_blobs,
}


def _series(run: tuple[str, ...], request: dict[str, Any], place: str = "") -> list[SeriesPoints]:
    found = []
    for at, data in enumerate(request.get("timeSeriesData") or []):
        field = f"{place}timeSeriesData[{at}]"
        id_, kind = data.get("tensorboardTimeSeriesId", ""), data.get("valueType", "")
        if not id_:
            raise InputRefused("is required", place=f"{field}.tensorboardTimeSeriesId")
        if kind not in set(ValueKind):
            raise InputRefused(f"is required: one of {', '.join(ValueKind)}", place=f"{field}.valueType")
        values = data.get("values") or []
        points = tuple(_taken(one, ValueKind(kind), f"{field}.values[{n}]") for n, one in enumerate(values))
        found.append(SeriesPoints((*run, id_), ValueKind(kind), points))
    return found


def _taken(message: dict[str, Any], kind: ValueKind, place: str) -> Point:
    held = [field for field in _FIELDS if field in message]
    if [_FIELDS[field] for field in held] != [kind]:
        raise InputRefused(f"holds no value of a series of {kind}", place=place)
    value: PointValue
    content = message[held[0]]
    if kind is ValueKind.SCALAR:
        value = float(content.get("value", 0.0))
    elif kind is ValueKind.TENSOR:
        value = base64.b64decode(content.get("value", ""))
    else:
        value = tuple(blob.get("id", "") for blob in content.get("values") or [])
    wall_time = microseconds(message["wallTime"]) if "wallTime" in message else time.time_ns() // 1000
    return Point(int(message.get("step", 0)), wall_time, value)


def _data(entry: Entry, points: list[Point]) -> dict[str, Any]:
    found: dict[str, Any] = {"tensorboardTimeSeriesId": entry.id, "valueType": str(entry.kind)}
    return {**found, "values": [_point(one) for one in points]} if points else found


def _point(point: Point) -> dict[str, Any]:
    found: dict[str, Any] = {"wallTime": timestamp(point.wall_time)}
    if point.step:
        found["step"] = str(point.step)
    if isinstance(point.value, bytes):
        found["tensor"] = {"value": base64.b64encode(point.value).decode()}
    elif isinstance(point.value, tuple):
        found["blobs"] = {"values": [{"id": id_} for id_ in point.value]}
    else:
        found["scalar"] = {"value": point.value}
    return found
