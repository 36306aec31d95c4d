"""ScheduleService: schedules of pipeline jobs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from cairn.api.access import Role
from cairn.api.http import Call
from cairn.api.named_buckets import check_bucket
from cairn.api.vertex import masks
from cairn.api.vertex.names import Place, place_of, resource
from cairn.api.vertex.pipeline_job_request import check_job_id, configuration_of, read_job, submission_of
from cairn.api.vertex.times import microseconds, put
from cairn.domain.runs import Submission
from cairn.errors import InputRefused, NotFound, Unimplemented
from cairn.filters.vertex import parse_filter, parse_order
from cairn.schedules.types import Change, Definition, Schedule, ScheduleState, Trigger

MESSAGE = "google.cloud.aiplatform.v1.Schedule"
DEFAULT_PAGE, MAX_PAGE = 100, 1000
_REQUEST = "createPipelineJobRequest"
_COUNTS = {
    "maxRunCount": "max_run_count",
    "maxConcurrentRunCount": "max_concurrent_run_count",
    "maxConcurrentActiveRunCount": "max_concurrent_active_run_count",
}
_TIMES = {"startTime": "start", "endTime": "end"}


def create(request: dict[str, Any], call: Call) -> dict[str, Any]:
    place = place_of(request.get("parent", ""))
    message = request.get("schedule") or {}
    for field in ("displayName", "cron", "maxConcurrentRunCount"):
        if not message.get(field):
            raise InputRefused("is required", place=f"schedule.{field}")
    submission, definition = _read_request(message, place, call)
    fields: dict[str, Any] = {name: int(message.get(field, 0)) for field, name in _COUNTS.items()}
    fields |= {name: microseconds(message[field]) for field, name in _TIMES.items() if field in message}
    _check_counts(fields)
    schedule = Schedule(
        str(secrets.randbelow(9 * 10**18) + 10**18),
        Trigger(message["cron"]),
        submission,
        display_name=message["displayName"],
        project=place.project,
        location=place.location,
        allow_queueing=message.get("allowQueueing", False),
        owner=call.identity.name,
        **fields,
    )
    return _view(call.context.cairn.schedules.create(schedule, definition), call, definition)


def get(request: dict[str, Any], call: Call) -> dict[str, Any]:
    return _view(_find(request, call), call)


def list_(request: dict[str, Any], call: Call) -> dict[str, Any]:
    place = place_of(request.get("parent", ""))
    size = request.get("pageSize", 0)
    if size < 0:
        raise InputRefused("a page has at least one entry", place="pageSize")
    text, order = request.get("filter", ""), request.get("orderBy", "")
    found, token = call.context.cairn.schedules.page(
        projects=[place.project],
        location=place.location,
        where=parse_filter(text),
        orders=parse_order(order),
        query=f"schedules\n{text}\n{order}",
        token=request.get("pageToken", ""),
        limit=min(size or DEFAULT_PAGE, MAX_PAGE),
    )
    views = []
    for schedule in found:
        try:
            views.append(_view(schedule, call))
        except NotFound:  # deleted since
            continue
    answer: dict[str, Any] = {"schedules": views} if views else {}
    return {**answer, "nextPageToken": token} if token else answer


def update(request: dict[str, Any], call: Call) -> dict[str, Any]:
    """What the mask names; without one, what is set. What is for output only is passed over, as the API says."""
    given = request.get("schedule") or {}
    schedule = _find(given, call, "schedule.name")
    before = _view(schedule, call)
    mask = request.get("updateMask", "")
    after = masks.merged(MESSAGE, before, given, mask)
    names = {path[0] for path in masks.mask_paths(mask)} or set(given)
    changed = {name for name in names if after.get(name) != before.get(name)}
    for name in changed & {"displayName", "cron", *_TIMES, _REQUEST, "maxConcurrentRunCount"}:
        if name not in after:
            raise InputRefused("cannot be unset", place=f"schedule.{name}")
    fields: dict[str, Any] = {_COUNTS[name]: int(after.get(name, 0)) for name in changed & _COUNTS.keys()}
    fields |= {_TIMES[name]: microseconds(after[name]) for name in changed & _TIMES.keys()}
    _check_counts(fields)
    if "displayName" in changed:
        fields["display_name"] = after["displayName"]
    if "cron" in changed:
        fields["trigger"] = Trigger(after["cron"])
    if "allowQueueing" in changed:
        fields["allow_queueing"] = after.get("allowQueueing", False)
    definition = None
    if _REQUEST in changed:
        place = Place(schedule.project, schedule.location)
        fields["submission"], definition = _read_request(after, place, call)
        fields["definition"] = definition
    if not fields:
        return before
    return _view(call.context.cairn.schedules.update(schedule, Change(**fields)), call, definition)


def pause(request: dict[str, Any], call: Call) -> dict[str, Any]:
    call.context.cairn.schedules.pause(_find(request, call))
    return {}


def resume(request: dict[str, Any], call: Call) -> dict[str, Any]:
    call.context.cairn.schedules.resume(_find(request, call), catch_up=request.get("catchUp", False))
    return {}


def delete(request: dict[str, Any], call: Call) -> dict[str, Any]:
    call.context.cairn.schedules.delete(_find(request, call))
    return {}


HANDLERS = {
    "ScheduleService.CreateSchedule": create,
    "ScheduleService.GetSchedule": get,
    "ScheduleService.ListSchedules": list_,
    "ScheduleService.UpdateSchedule": update,
    "ScheduleService.PauseSchedule": pause,
    "ScheduleService.ResumeSchedule": resume,
    "ScheduleService.DeleteSchedule": delete,
}


def _find(request: Mapping[str, Any], call: Call, field: str = "name") -> Schedule:
    place, id_ = resource(request.get("name", ""), "schedules", field)
    return call.context.cairn.schedules.get(id_, project=place.project, location=place.location)


def _check_counts(fields: Mapping[str, Any]) -> None:
    for field, name in _COUNTS.items():
        count = fields.get(name, 0)
        if count < 0 or (count == 0 and name in fields and field == "maxConcurrentRunCount"):
            raise InputRefused(f"{count} is too few", place=f"schedule.{field}")


def _read_request(message: Mapping[str, Any], place: Place, call: Call) -> tuple[Submission, Definition]:
    """What each run is handed in with, and what is told back. Raises InputRefused with the place."""
    if "createNotebookExecutionJobRequest" in message:
        raise Unimplemented("schedules of notebook executions are not in this version of Cairn")
    request = message.get(_REQUEST)
    field = f"schedule.{_REQUEST}"
    if not request:
        raise InputRefused("is required", place=field)
    if request.get("parent") and place_of(request["parent"], f"{field}.parent") != place:
        raise InputRefused(f"a schedule makes jobs where it is itself: {place}", place=f"{field}.parent")
    cairn, job = call.context.cairn, request.get("pipelineJob") or {}
    check_bucket(call, job.get("templateUri", ""), Role.VIEWER, f"{field}.pipelineJob.templateUri")
    pipeline = read_job(cairn, job, field=f"{field}.pipelineJob")
    job_id = request.get("pipelineJobId", "")
    submission = submission_of(
        cairn,
        place,
        job,
        field=f"{field}.pipelineJob",
        job_id=check_job_id(job_id) if job_id else "",
        owner=call.identity.name,
        configuration=configuration_of(call.headers),
    )
    root = submission.pipeline_root or pipeline.default_root
    check_bucket(call, root, Role.EDITOR, f"{field}.pipelineJob.runtimeConfig.gcsOutputDirectory")
    return submission, Definition(pipeline.text, {"vertex": {_REQUEST: request}})


def _view(schedule: Schedule, call: Call, definition: Definition | None = None) -> dict[str, Any]:
    definition = definition or call.context.cairn.schedules.definition(schedule)
    place = Place(schedule.project, schedule.location)
    trigger = schedule.trigger
    found: dict[str, Any] = {
        "name": f"{place}/schedules/{schedule.id}",
        "displayName": schedule.display_name,
        "state": str(schedule.state),
        "cron": _zoned(trigger) if trigger.cron else f"@every {trigger.interval_seconds}s",
        _REQUEST: definition.client.get("vertex", {}).get(_REQUEST) or _request_of(place, schedule, definition),
        "startedRunCount": str(schedule.started_run_count),
        "allowQueueing": schedule.allow_queueing,
        "catchUp": schedule.catch_up,
    }
    found |= {field: str(getattr(schedule, name)) for field, name in _COUNTS.items() if getattr(schedule, name)}
    put(
        found,
        createTime=schedule.create_time,
        updateTime=schedule.update_time,
        startTime=schedule.start or schedule.create_time,
        endTime=schedule.end,
        nextRunTime=schedule.next_run_time if schedule.state is ScheduleState.ACTIVE else 0,
        lastPauseTime=schedule.last_pause_time,
        lastResumeTime=schedule.last_resume_time,
    )
    if schedule.last_run.scheduled_run_time:
        last: dict[str, Any] = {"runResponse": schedule.last_run.response}
        put(last, scheduledRunTime=schedule.last_run.scheduled_run_time)
        found["lastScheduledRunResponse"] = last
    return {name: value for name, value in found.items() if value not in (False, "0", "")}


def _zoned(trigger: Trigger) -> str:
    return f"TZ={trigger.time_zone} {trigger.cron}" if trigger.time_zone and "TZ=" not in trigger.cron else trigger.cron


def _request_of(place: Place, schedule: Schedule, definition: Definition) -> dict[str, Any]:
    """Of a schedule that no Vertex client has made."""
    template = schedule.submission
    job: dict[str, Any] = {"runtimeConfig": {"parameterValues": template.parameters}}
    if template.display_name:
        job["displayName"] = template.display_name
    if template.labels:
        job["labels"] = template.labels
    if definition.text:
        outer = msgspec.json.decode(definition.text, type=dict[str, msgspec.Raw])
        job["pipelineSpec"] = outer.get("pipelineSpec") or msgspec.Raw(definition.text.encode())
    return {"parent": str(place), "pipelineJob": job}
