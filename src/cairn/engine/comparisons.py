"""Why a task was computed or taken from the cache: what it was compared with, part by part."""

from __future__ import annotations

from typing import Any

from cairn.domain.runs import Run, TaskRecord
from cairn.engine.cache import explain
from cairn.engine.ports import CacheEntry, RunRecords
from cairn.errors import NotFound


def why(records: RunRecords, run: Run, record: TaskRecord) -> dict[str, Any]:
    """`task, verdict, reason, key, compared_with {run_id, task}, parts [{name, now, then, same}]`.

    Raises NotFound for a task that never came to be compared.
    """
    comparison = record.comparison
    if comparison is None or not comparison.verdict:
        what = "it holds other tasks" if record.kind != "leaf" else f"it is {record.state} and was never looked up"
        raise NotFound(f"has no cache key: {what}", place=record.path)
    found: dict[str, Any] = {
        "task": record.path,
        "verdict": comparison.verdict,
        "reason": comparison.reason,
        "key": comparison.key,
        "compared_with": None,
        "parts": [],
    }
    if comparison.verdict == "off":
        return found
    nearest: CacheEntry | None = None
    if comparison.source_run:
        found["compared_with"] = {"run_id": comparison.source_run, "task": comparison.source_path}
    if comparison.verdict not in ("hit", "waits"):
        scope = f"{run.project}/{run.location}/{run.pipeline_name}"
        before = record.start_time or record.create_time
        nearest = records.nearest(scope, record.component, before=before, path=record.path)
        if nearest is not None:
            found["compared_with"] = {"run_id": nearest.run_uid, "task": nearest.path}
        name = _job_id(records, nearest.run_uid) if nearest is not None else ""
        found["reason"] = comparison.reason or explain(comparison.parts, nearest, name)
    then = comparison.parts if comparison.source_run else nearest.parts if nearest is not None else {}
    for name in sorted(comparison.parts.keys() | then.keys()):
        now, before_then = comparison.parts.get(name), then.get(name)
        found["parts"].append(
            {"name": name, "now": now, "then": before_then, "same": now == before_then if then else None}
        )
    return found


def _job_id(records: RunRecords, run_uid: str) -> str:
    try:
        return records.run(run_uid).job_id
    except NotFound:
        return run_uid
