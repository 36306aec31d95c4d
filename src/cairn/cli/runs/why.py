"""`cairn runs why`: what a step's cache key was made of, and which part made it miss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cairn.cli import options, output, words
from cairn.cli.opening import opened
from cairn.cli.runs.listing import find_task
from cairn.cli.tables import facts, table
from cairn.engine.cache import explain
from cairn.errors import NotFound

if TYPE_CHECKING:
    from cairn.domain.runs import Run, TaskRecord
    from cairn.engine.ports import CacheEntry
    from cairn.wiring import Cairn


@click.command()
@options.run_argument
@options.task_argument(required=True)
@options.as_json
def why(reference: str, task: str, *, as_json: bool) -> None:
    """Say what TASK of RUN was compared by, with which earlier result, and which part differed."""
    with opened() as cairn:
        run = options.find_run(cairn, reference)
        record = find_task(cairn, run, task)
        found = compared(cairn, run, record)
        if as_json:
            output.print_json(found)
            return
        facts([("task", record.path), ("verdict", found["verdict"]), ("because", found["reason"])])
        if found["parts"]:
            rows = [
                (
                    part["name"],
                    "" if part["same"] is None else "same" if part["same"] else "differs",
                    words.value(part["now"] or "", 60),
                    words.value(part["then"] or "", 60) if not part["same"] else "",
                )
                for part in found["parts"]
            ]
            table(("part", "", "now", "then"), rows)


def compared(cairn: Cairn, run: Run, record: TaskRecord) -> dict[str, Any]:
    """The comparison as `--json` tells it. Raises NotFound for a task that never came to be compared."""
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
    if comparison.verdict != "hit":
        scope = f"{run.project}/{run.location}/{run.pipeline_name}"
        before = record.start_time or record.create_time
        nearest = cairn.records.nearest(scope, record.component, before=before, path=record.path)
        if nearest is not None:
            found["compared_with"] = {"run_id": nearest.run_uid, "task": nearest.path}
        name = _job_id(cairn, nearest.run_uid) if nearest is not None else ""
        found["reason"] = comparison.reason or explain(comparison.parts, nearest, name)
    then = comparison.parts if comparison.verdict == "hit" else nearest.parts if nearest is not None else {}
    for name in sorted(comparison.parts.keys() | then.keys()):
        now, before_then = comparison.parts.get(name), then.get(name)
        found["parts"].append(
            {"name": name, "now": now, "then": before_then, "same": now == before_then if then else None}
        )
    return found


def _job_id(cairn: Cairn, run_uid: str) -> str:
    try:
        return cairn.records.run(run_uid).job_id
    except NotFound:
        return run_uid
