"""What is asked of lists of runs most often, as a filter."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cairn.filters.tree import And, Comparison, Filter, Membership


def wanted_runs(states: Collection[str], pipeline: str, labels: Mapping[str, str]) -> Filter | None:
    """Runs in one of some states, of one pipeline, with all of some labels; None when nothing is asked for."""
    parts: list[Filter] = [Comparison(("labels", name), "=", value) for name, value in labels.items()]
    if states:
        parts.append(Membership(("state",), tuple(map(str, states))))
    if pipeline:
        parts.append(Comparison(("pipeline_name",), "=", pipeline))
    return And(tuple(parts)) if parts else None
