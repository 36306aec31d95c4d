"""RecurringRunService of KFP v2beta1: the same record as a Vertex schedule.

Source: kubeflow/pipelines backend/api/v2beta1/recurring_run.proto.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cairn.api.http import Call, Reply
from cairn.api.kfp import experiments, messages, runs, scoping, spec_json
from cairn.api.kfp.lists import list_query
from cairn.api.kfp.messages import FLAG, INTEGER, MESSAGE, TEXT, WORD, body_of, integer, micros, moment
from cairn.api.kfp.run_view import FACE
from cairn.errors import InputRefused
from cairn.filters.tree import And, Comparison, Scalar
from cairn.schedules.types import Definition, PipelineReference, Schedule, ScheduleState, Trigger

_RECURRING_RUN: messages.Fields = {
    "recurring_run_id": TEXT,
    "display_name": TEXT,
    "description": TEXT,
    "pipeline_version_id": TEXT,
    "pipeline_spec": MESSAGE,
    "pipeline_version_reference": MESSAGE,
    "runtime_config": MESSAGE,
    "service_account": TEXT,
    "max_concurrency": INTEGER,
    "trigger": MESSAGE,
    "mode": WORD,
    "created_at": TEXT,
    "updated_at": TEXT,
    "status": WORD,
    "error": MESSAGE,
    "no_catchup": FLAG,
    "namespace": TEXT,
    "experiment_id": TEXT,
    "plugins_input": MESSAGE,
}
_TRIGGER: messages.Fields = {"cron_schedule": MESSAGE, "periodic_schedule": MESSAGE}
_CRON: messages.Fields = {"start_time": TEXT, "end_time": TEXT, "cron": TEXT}
_PERIODIC: messages.Fields = {"start_time": TEXT, "end_time": TEXT, "interval_second": INTEGER}
_NAMES = {
    "id": "id",
    "recurring_run_id": "id",
    "name": "display_name",
    "display_name": "display_name",
    "created_at": "create_time",
    "updated_at": "update_time",
    "status": "state",
    "experiment_id": "experiment",
}
_ENABLE, _DISABLE = ("ENABLE", 1), ("DISABLE", 2)


def create(call: Call) -> Reply:
    asked = body_of(call, _RECURRING_RUN)
    if not asked.get("display_name", "").strip():
        raise InputRefused("is missing", place="display_name")
    experiment = runs.experiment_of(call, asked.get("experiment_id", ""))
    pipeline, submission = runs.submission_of(call, asked, experiment)
    trigger, start, end = _trigger(asked)
    concurrency = integer(asked.get("max_concurrency", 1), "max_concurrency")
    if concurrency < 1:
        raise InputRefused("is at least 1", place="max_concurrency")
    reference = _reference(asked, submission.client[FACE].get("pipeline_version_reference"))
    schedule = Schedule(
        "",
        trigger,
        submission,
        display_name=asked["display_name"],
        description=asked.get("description", ""),
        project=submission.project,
        location=submission.location,
        reference=reference,
        pipeline_name=pipeline.name,
        start=start,
        end=end,
        max_concurrent_run_count=concurrency,
        allow_queueing=True,
        no_catchup=asked.get("no_catchup", False),
        macros=True,
        owner=call.identity.name,
    )
    definition = Definition("" if reference else pipeline.text)
    paused = not _enabled(asked.get("mode", "ENABLE"))
    made = call.context.cairn.schedules.create(schedule, definition, paused=paused, backfill=True)
    return messages.reply(_told(call, made))


def get(call: Call) -> Reply:
    return messages.reply(_told(call, _named(call, scoping.seen)))


def list_(call: Call) -> Reply:
    query = list_query(call, _NAMES, words=_words, scope="recurring runs")
    projects = scoping.visible(call, call.first("namespace"))
    where = query.where
    if experiment_id := call.first("experiment_id"):
        experiment = experiments.readable(call, experiment_id)
        projects = frozenset((experiment.project,))
        belongs = Comparison(("experiment",), "=", experiment.id)
        where = belongs if where is None else And((where, belongs))
    schedules = call.context.cairn.schedules
    found, token = schedules.page(
        projects=projects, where=where, orders=query.orders, query=query.query, token=query.token, limit=query.limit
    )
    count = call.context.cairn.records.count_documents("schedule", projects=projects, where=where)
    told = [_told(call, one) for one in found]
    return messages.reply({"recurringRuns": told, "total_size": count, "next_page_token": token})


def enable(call: Call) -> Reply:
    """What fell due meanwhile is made up for; with `no_catchup`, the latest of it."""
    call.context.cairn.schedules.resume(_named(call, scoping.changed), catch_up=True)
    return messages.empty()


def disable(call: Call) -> Reply:
    call.context.cairn.schedules.pause(_named(call, scoping.changed))
    return messages.empty()


def delete(call: Call) -> Reply:
    """Its runs stay."""
    call.context.cairn.schedules.delete(_named(call, scoping.changed))
    return messages.empty()


def _named(call: Call, how: Callable[..., Schedule]) -> Schedule:
    """`how`: `scoping.seen` or `scoping.changed`."""
    id_ = call.variables["recurring_run_id"]
    return how(call, lambda: call.context.cairn.schedules.find(id_), "recurring run", id_)


def _trigger(asked: dict[str, Any]) -> tuple[Trigger, int, int]:
    """When it fires, and between which times (0: no bound)."""
    trigger = messages.message(asked.get("trigger", {}), _TRIGGER, "trigger")
    if len(trigger) != 1:
        raise InputRefused("one of cron_schedule and periodic_schedule is wanted", place="trigger")
    if "cron_schedule" in trigger:
        found = messages.message(trigger["cron_schedule"], _CRON, "trigger.cron_schedule")
        made = Trigger(cron=found.get("cron", ""), dialect="robfig")
    else:
        found = messages.message(trigger["periodic_schedule"], _PERIODIC, "trigger.periodic_schedule")
        seconds = integer(found.get("interval_second", 0), "trigger.periodic_schedule.interval_second")
        made = Trigger(interval_seconds=seconds)
    start, end = (micros(found[name], f"trigger.{name}") if name in found else 0 for name in ("start_time", "end_time"))
    return made, start, end


def _reference(asked: dict[str, Any], told: dict[str, str] | None) -> PipelineReference | None:
    """Without a version in the request, each run is of the version that is the newest by then."""
    if told is None:
        return None
    given = asked.get("pipeline_version_reference", {})
    named = asked.get("pipeline_version_id") or given.get("pipeline_version_id") or given.get("pipelineVersionId")
    if not named:
        del told["pipeline_version_id"]
    return PipelineReference(told["pipeline_id"], told.get("pipeline_version_id", ""))


def _enabled(mode: Any) -> bool:
    if mode in _ENABLE:
        return True
    if mode in _DISABLE:
        return False
    raise InputRefused(f"{str(mode)[:40]!r} is neither ENABLE nor DISABLE", place="mode")


def _words(field: str, value: Scalar) -> Scalar:
    """A status as the records have it."""
    if field != "state":
        return value
    found = {"ENABLED": ScheduleState.ACTIVE, "DISABLED": ScheduleState.PAUSED}.get(str(value).upper())
    if found is None:
        raise InputRefused(f"{str(value)[:40]!r} is neither ENABLED nor DISABLED", place="filter")
    return str(found)


def _told(call: Call, schedule: Schedule) -> dict[str, Any]:
    active = schedule.state is ScheduleState.ACTIVE
    submission = schedule.submission
    said = submission.client.get(FACE, {})
    plain = {"parameters": submission.parameters, "pipeline_root": submission.pipeline_root}
    found: dict[str, Any] = {
        "recurring_run_id": schedule.id,
        "display_name": schedule.display_name,
        "description": schedule.description,
        "namespace": schedule.project,
        "experiment_id": submission.experiment,
        "created_at": moment(schedule.create_time),
        "updated_at": moment(schedule.update_time),
        "status": "ENABLED" if active else "DISABLED",
        "mode": "ENABLE" if active else "DISABLE",
        "max_concurrency": str(schedule.limit),
        "no_catchup": schedule.no_catchup,
        "service_account": said.get("service_account", ""),
        "runtime_config": said.get("runtime_config", plain),
        "trigger": _told_trigger(schedule),
    }
    if schedule.reference is not None:
        reference = {"pipeline_id": schedule.reference.pipeline_id}
        if schedule.reference.version_id:
            reference["pipeline_version_id"] = schedule.reference.version_id
        found["pipeline_version_reference"] = reference
    else:
        found["pipeline_spec"] = spec_json.told(call.context.cairn.schedules.definition(schedule).text)
    if schedule.last_run.response.startswith("refused: "):
        found["error"] = {"code": 3, "message": schedule.last_run.response, "details": []}
    return messages.filled(found)


def _told_trigger(schedule: Schedule) -> dict[str, Any]:
    times = {name: moment(time) for name, time in (("start_time", schedule.start), ("end_time", schedule.end)) if time}
    if schedule.trigger.cron:
        zone = schedule.trigger.time_zone
        cron = f"CRON_TZ={zone} {schedule.trigger.cron}" if zone else schedule.trigger.cron
        return {"cron_schedule": {**times, "cron": cron}}
    return {"periodic_schedule": {**times, "interval_second": str(schedule.trigger.interval_seconds)}}
