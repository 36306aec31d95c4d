"""Filters and orders of pipeline jobs, in the records' terms (`records/run_pages.COLUMNS`)."""

from __future__ import annotations

import msgspec

from cairn.errors import InputRefused
from cairn.filters.tree import And, Comparison, Filter, Membership, Not, Or, Order
from cairn.filters.vertex import parse_filter, parse_order

_FIELDS = {
    "pipeline_name": "pipeline_name",
    "display_name": "display_name",
    "pipeline_job_user_id": "job_id",
    "state": "state",
    "create_time": "create_time",
    "start_time": "start_time",
    "update_time": "update_time",
    "end_time": "end_time",
    "labels": "labels",
    "schedule_name": "schedule",
}
_STATE = "PIPELINE_STATE_"
# aiplatform.v1 PipelineState by number, as some clients write it
_STATES = ("UNSPECIFIED", "QUEUED", "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLING", "CANCELLED", "PAUSED")
_ABSENT = frozenset(("UNSPECIFIED", "QUEUED", "PAUSED"))  # no run is ever in these
_ORDERS = ("create_time", "update_time", "end_time", "start_time", "display_name")


def read_filter(text: str) -> Filter | None:
    """Raises InputRefused with the offset of what is wrong."""
    found = parse_filter(text)
    return None if found is None else _translated(found)


def read_order(text: str) -> tuple[Order, ...]:
    """() is newest first. Raises InputRefused."""
    found = parse_order(text)
    for order in found:
        if order.field not in _ORDERS:
            raise InputRefused(
                f"{order.field[:80]!r} is not a field to order by", place="orderBy", remedy=", ".join(_ORDERS)
            )
    return found


def _translated(part: Filter) -> Filter:
    if isinstance(part, Not):
        return Not(_translated(part.part))
    if isinstance(part, And):
        return And(tuple(map(_translated, part.parts)))
    if isinstance(part, Or):
        return Or(tuple(map(_translated, part.parts)))
    field = _FIELDS.get(part.field[0])
    if field is None or isinstance(part, Membership):
        raise InputRefused(
            f"there is no field {'.'.join(part.field)[:80]!r}",
            place=f"filter, offset {part.place}",
            remedy=f"fields: {', '.join(_FIELDS)}",
        )
    named = msgspec.structs.replace(part, field=(field, *part.field[1:]))
    if field == "state":
        return _state(named)
    if field == "schedule":
        return msgspec.structs.replace(named, value=str(part.value).rpartition("/")[2])
    return named


def _state(part: Comparison) -> Filter:
    word = str(part.value).removeprefix(_STATE)
    if word.isdecimal() and int(word) < len(_STATES):
        word = _STATES[int(word)]
    if word not in _ABSENT:
        return msgspec.structs.replace(part, value=word)
    nothing = Comparison(("job_id",), "=", "", place=part.place)
    return Not(nothing) if part.operator == "!=" else nothing
