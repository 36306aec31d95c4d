"""Runs and sweeps as HTML for a notebook. Whatever comes from a run is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from cairn.sdk.results import Run
    from cairn.sdk.sweeping import Sweep

SHOWN_TASKS = 100
_COLOURS = {"SUCCEEDED": "#1a7f37", "FAILED": "#cf222e", "RUNNING": "#0969da", "CANCELLED": "#9a6700"}


def run_html(run: Run) -> str:
    """A heading, then tables of outputs, tasks and artifacts."""
    about = f"<span style='opacity:.7'>{run.seconds:.2f} s · {escape(run.uid)}</span>"
    parts = [f"<div><strong>{escape(run.job_id)}</strong> {_state(run.state)} {about}</div>"]
    if run.error is not None:
        place = f"{run.error.place}: " if run.error.place else ""
        parts.append(f"<pre style='color:#cf222e'>{escape(place + run.error.message)}</pre>")
    outputs = run.outputs
    if outputs:
        pairs = [(escape(name), escape(_text(value))) for name, value in outputs.items()]
        parts.append(_table(("output", "value"), pairs))
    tasks = run.tasks
    rows = [
        (
            escape(task.path),
            _state(task.state),
            "cached" if task.cached else f"{task.seconds:.2f} s" if task.seconds else "",
            escape(_text(task.outputs)) if task.outputs else "",
        )
        for task in tasks[:SHOWN_TASKS]
    ]
    parts.append(_table(("task", "state", "took", "outputs"), rows))
    if len(tasks) > SHOWN_TASKS:
        parts.append(f"<div>and {len(tasks) - SHOWN_TASKS} more</div>")
    artifacts = [(name, found) for name, found in run.artifacts.items() if not isinstance(found, list)][:SHOWN_TASKS]
    if artifacts:
        told = [
            (escape(name), escape(one.type), escape(one.uri), escape(_text(one.metadata)) if one.metadata else "")
            for name, one in artifacts
        ]
        parts.append(_table(("artifact", "type", "uri", "metadata"), told))
    return "\n".join(parts)


def sweep_html(sweep: Sweep) -> str:
    """A heading and the table of its runs, ranked."""
    rows = sweep.table
    about = f"<span style='opacity:.7'>{len(rows)} runs · {escape(sweep.id)}</span>"
    parts = [f"<div><strong>{escape(sweep.name)}</strong> {_state(sweep.state)} {about}</div>"]
    if sweep.error:
        parts.append(f"<pre style='color:#cf222e'>{escape(sweep.error)}</pre>")
    if rows:
        told = [tuple(_cell(name, value) for name, value in row.items()) for row in rows[:SHOWN_TASKS]]
        parts.append(_table(tuple(escape(name) for name in rows[0]), told))
    if len(rows) > SHOWN_TASKS:
        parts.append(f"<div>and {len(rows) - SHOWN_TASKS} more</div>")
    return "\n".join(parts)


def _cell(column: str, value: Any) -> str:
    if column == "state":
        return _state(value)
    if value is None:
        return "-"
    return escape(value[:8] if column == "run" else f"{value:.6g}" if isinstance(value, float) else _text(value))


def _state(state: str) -> str:
    return f"<span style='color:{_COLOURS.get(state, 'inherit')}'>{escape(state)}</span>"


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Cells are HTML already."""
    head = "".join(f"<th style='text-align:left'>{column}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: Any, limit: int = 300) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"
