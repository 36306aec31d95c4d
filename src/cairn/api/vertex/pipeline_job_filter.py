"""Filters and orders of pipeline jobs, in the records' terms (`records/run_pages.COLUMNS`)."""

from __future__ import annotations

from cairn.api.vertex.run_filter import RunFilter
from cairn.errors import InputRefused
from cairn.filters.tree import Filter, Order
from cairn.filters.vertex import parse_order

_FILTER = RunFilter(
    {
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
    },
    "PIPELINE_STATE_",
)
_ORDERS = ("create_time", "update_time", "end_time", "start_time", "display_name")


def read_filter(text: str) -> Filter | None:
    """Raises InputRefused with the offset of what is wrong."""
    return _FILTER.read(text)


def read_order(text: str) -> tuple[Order, ...]:
    """() is newest first. Raises InputRefused."""
    found = parse_order(text)
    for order in found:
        if order.field not in _ORDERS:
            raise InputRefused(
                f"{order.field[:80]!r} is not a field to order by", place="orderBy", remedy=", ".join(_ORDERS)
            )
    return found
