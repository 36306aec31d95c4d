"""Tasks of a run: one row each, overwritten as it moves on."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from cairn.domain.runs import CacheComparison, Failure, TaskInputs, TaskOutputs, TaskRecord
from cairn.domain.states import TaskState
from cairn.records import spills
from cairn.records.connection import Connection, Row
from cairn.records.encoding import Codec, encode


class _Body(msgspec.Struct, omit_defaults=True):
    """What is never searched for. Defaults are left out: most tasks have neither items nor an error."""

    uid: str
    cached: bool = False
    attempts: int = 0
    retries: int = 0
    inputs: TaskInputs = TaskInputs()
    outputs: TaskOutputs = TaskOutputs()
    iterations: int = 0
    comparison: CacheComparison | None = None
    identity: str = ""
    execution_id: str = ""
    error: Failure | None = None
    not_before: int = 0


_FIELDS = _Body.__struct_fields__
_codec = Codec(_Body)
_UPSERT = (
    "INSERT INTO tasks (run, path, name, component, kind, state, create_time, start_time, end_time, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, path) DO UPDATE SET name = excluded.name, "
    "component = excluded.component, kind = excluded.kind, state = excluded.state, create_time = excluded.create_time, "
    "start_time = excluded.start_time, end_time = excluded.end_time, body = excluded.body"
)


def write(connection: Connection, records: Iterable[tuple[int, TaskRecord]]) -> None:
    rows = []
    for run, task in records:
        row = _row(run, task)
        rows.append(row)
        if '"spilled"' in row[-1]:
            spills.keep(connection, run, [task])
    connection.many(_UPSERT, rows)


def read(connection: Connection, run_uid: str, run: int) -> list[TaskRecord]:
    """In the order in which they were first written."""
    rows = connection.query(
        "SELECT path, name, component, kind, state, create_time, start_time, end_time, body FROM tasks "
        "WHERE run = ? ORDER BY n",
        (run,),
    )
    return [_task(run_uid, row) for row in rows]


def counts(connection: Connection, run: int) -> dict[str, int]:
    """How many leaf tasks are in each state."""
    return dict(
        connection.query("SELECT state, count(*) FROM tasks WHERE run = ? AND kind = 'leaf' GROUP BY state", (run,))
    )


def _row(run: int, task: TaskRecord) -> Row:
    body = _Body(
        task.uid,
        task.cached,
        task.attempts,
        task.retries,
        task.inputs,
        task.outputs,
        task.iterations,
        task.comparison,
        task.identity,
        task.execution_id,
        task.error,
        task.not_before,
    )
    times = (task.create_time, task.start_time, task.end_time)
    return (run, task.path, task.name, task.component, task.kind, task.state, *times, encode(body))


def _task(run_uid: str, row: Row) -> TaskRecord:
    path, name, component, kind, state, create_time, start_time, end_time, text = row
    body = _codec.decode(text)
    return TaskRecord(
        run_uid,
        path,
        name,
        component,
        kind,
        TaskState(state),
        create_time=create_time,
        start_time=start_time,
        end_time=end_time,
        **{field: getattr(body, field) for field in _FIELDS},
    )
