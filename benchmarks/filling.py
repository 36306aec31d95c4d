"""Many recorded runs, made by running one for real and writing its rows again under other names.

    python benchmarks/filling.py HOME RUNS      (HOME's config.toml may name a PostgreSQL database)

Each has 5 tasks, 5 attempts, 5 artifacts, 6 executions and its journal, as the engine wrote them. States, names,
labels and times vary.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cairn.domain.runs import ImageMapping, RunSettings, Submission
from cairn.records.connection import Connection
from cairn.spec.load import load_text
from cairn.wiring import Cairn, open_cairn

STEPS = 5
MARK = "f111ed00"  # begins every id of the run that is copied
STATES = ("SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "FAILED", "CANCELLED")
TEAMS = ("vision", "language", "ranking", "fraud")
_CHUNK = 500
_DAY = 86_400_000_000

# By table: the column that names its run (of `runs` itself `n`), then the columns that hold narrow keys, by the table
# that they are keys of.
_TABLES: dict[str, tuple[str, dict[str, str]]] = {
    "runs": ("n = {run}", {"n": "runs"}),
    "run_labels": ("run = {run}", {"run": "runs"}),
    "claims": ("run = {run}", {"run": "runs"}),
    "tasks": ("run = {run}", {"n": "tasks", "run": "runs"}),
    "attempts": ("run = {run}", {"n": "attempts", "run": "runs"}),
    "journal": ("run = {run}", {"sequence": "journal", "run": "runs"}),
    "contexts": ("schema_title = 'system.PipelineRun'", {"n": "contexts"}),
    "context_parents": ("1 = 1", {"child": "contexts"}),
    "executions": ("run = {run}", {"n": "executions", "run": "runs"}),
    "artifacts": ("1 = 1", {"n": "artifacts"}),
    "events": ("1 = 1", {"execution": "executions", "artifact": "artifacts"}),
    "associations": ("1 = 1", {"context": "run contexts", "execution": "executions"}),
    "attributions": ("1 = 1", {"context": "run contexts", "artifact": "artifacts"}),
}
_STRIDE = 64  # between a run's narrow keys and the next one's


def pipeline_text(name: str) -> str:
    """A chain of shell steps, each with one artifact, reading the one before."""
    dataset = {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}
    components: dict[str, Any] = {}
    executors: dict[str, Any] = {}
    tasks: dict[str, Any] = {}
    for number in range(STEPS):
        component: dict[str, Any] = {
            "executorLabel": f"exec-{number}",
            "outputDefinitions": {"artifacts": {"data": dataset}},
        }
        task: dict[str, Any] = {"componentRef": {"name": f"comp-{number}"}, "taskInfo": {"name": f"step-{number}"}}
        if number:
            component["inputDefinitions"] = {"artifacts": {"before": dataset}}
            made = {"producerTask": f"step-{number - 1}", "outputArtifactKey": "data"}
            task["inputs"] = {"artifacts": {"before": {"taskOutputArtifact": made}}}
            task["dependentTasks"] = [f"step-{number - 1}"]
        components[f"comp-{number}"] = component
        command = "printf x > \"{{$.outputs.artifacts['data'].path}}\""
        executors[f"exec-{number}"] = {"container": {"image": "shell", "command": ["sh", "-c", command]}}
        tasks[f"step-{number}"] = task
    return json.dumps(
        {
            "components": components,
            "deploymentSpec": {"executors": executors},
            "pipelineInfo": {"name": name},
            "root": {"dag": {"tasks": tasks}},
            "schemaVersion": "2.1.0",
            "sdkVersion": "kfp-2.17.0",
        }
    )


def run_once(cairn: Cairn, project: str, location: str) -> str:
    """The run that is copied; its uid."""
    settings = RunSettings(images=(ImageMapping("*", "host"),))
    pipeline = load_text(pipeline_text("filled"), origin="filling")
    labels = {"team": TEAMS[0], "n": "0"}
    submission = Submission(settings=settings, project=project, location=location, labels=labels, job_id=f"{MARK}-job")
    run = cairn.runs.submit(pipeline, submission)
    engine = cairn.engine()
    cairn.runs.take(engine, run, pipeline=pipeline)
    engine.run_until_done()
    engine.close()
    found = cairn.records.run(run.uid)
    assert found.state == "SUCCEEDED", found.error
    return found.uid


class Template:
    """The rows of one run, every id in them beginning with MARK."""

    def __init__(self, connection: Connection, run_uid: str) -> None:
        row = connection.one("SELECT n FROM runs WHERE uid = ?", (run_uid,))
        assert row is not None
        self.run = int(row[0])
        self.columns: dict[str, list[str]] = {}
        self.rows: dict[str, list[tuple[Any, ...]]] = {}
        ids = [run_uid]
        for table in ("executions", "artifacts"):
            ids += [one for (one,) in connection.query(f"SELECT id FROM {table}") if len(one) == 36]
        ids += [one for (one,) in connection.query("SELECT uid FROM attempts")]
        for table, (where, _) in _TABLES.items():
            self.columns[table] = connection.columns(table)
            found = connection.query(
                f"SELECT {', '.join(self.columns[table])} FROM {table} WHERE {where.format(run=self.run)}"
            )
            self.rows[table] = [tuple(_marked(value, ids) for value in row) for row in found]
        [(self.shared_context,)] = connection.query("SELECT n FROM contexts WHERE schema_title = 'system.Pipeline'")

    def copies(self, table: str, first: int, count: int) -> Iterator[tuple[Any, ...]]:
        keys = _TABLES[table][1]
        columns = self.columns[table]
        for number in range(first, first + count):
            prefix, state = f"{number:08x}", STATES[number % len(STATES)]
            shift = number * _STRIDE
            earlier = (number % 90) * _DAY
            for row in self.rows[table]:
                yield tuple(
                    self._value(table, column, keys.get(column, ""), value, prefix, state, shift, earlier, number)
                    for column, value in zip(columns, row, strict=True)
                )

    def _value(
        self,
        table: str,
        column: str,
        key: str,
        value: Any,
        prefix: str,
        state: str,
        shift: int,
        earlier: int,
        number: int,
    ) -> Any:
        if key:
            return value if key == "run contexts" and value == self.shared_context else value + shift
        if isinstance(value, str):
            text = value.replace(MARK, prefix)
            if table == "runs":
                if column == "state":
                    return state
                if column == "display_name":
                    return f"experiment {number % 1000}"
                if column == "body":
                    return text.replace('"state":"SUCCEEDED"', f'"state":"{state}"', 1)
            if table == "run_labels" and column == "value":
                return TEAMS[number % len(TEAMS)] if row_is_team(value) else str(number)
            return text
        if column in ("create_time", "start_time", "end_time", "update_time") and value:
            return value - earlier
        return value


def row_is_team(value: str) -> bool:
    return value in TEAMS


def _marked(value: Any, ids: Sequence[str]) -> Any:
    if isinstance(value, str):
        for one in ids:
            value = value.replace(one, MARK + one[8:])
    return value


def fill(cairn: Cairn, runs: int, *, project: str = "bench", location: str = "us-central1") -> float:
    """Write `runs` copies; seconds that it took."""
    uid = run_once(cairn, project, location)
    connection = cairn.records._connection()
    template = Template(connection, uid)
    began = time.perf_counter()
    for first in range(1, runs + 1, _CHUNK):
        count = min(_CHUNK, runs + 1 - first)
        connection.begin()
        for table, columns in template.columns.items():
            marks = ", ".join("?" * len(columns))
            sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
            connection.many(sql, list(template.copies(table, first, count)))
        connection.commit()
    connection.begin()
    connection.run("UPDATE head SET sequence = (SELECT max(sequence) FROM journal)")
    for table in ("runs", "tasks", "attempts", "contexts", "executions", "artifacts"):
        connection.number_after(table)
    connection.commit()
    connection.run("ANALYZE")
    return time.perf_counter() - began


def main() -> None:
    home, runs = sys.argv[1], int(sys.argv[2])
    with open_cairn(str(Path(home))) as cairn:
        print(f"{runs:,} runs written in {fill(cairn, runs):.0f} s")


if __name__ == "__main__":
    main()
