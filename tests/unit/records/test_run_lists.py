"""How lists of runs of several kinds are read: by the index that leaves the fewest rows to look at."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from cairn.domain.runs import RunKind
from cairn.filters.tree import Comparison, Filter
from cairn.records import Records, open_records
from cairn.records.sqlite import SqliteConnection
from cairn.testing.records import MACHINE, a_run

JOBS = (RunKind.CUSTOM_JOB, RunKind.TRAINING_PIPELINE)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    with open_records(tmp_path / "cairn.db", capacity=MACHINE) as opened:
        kinds = [*RunKind, *RunKind]
        for number, kind in enumerate(kinds):
            parent = f"parent-{number}" if kind is RunKind.TRIAL else ""
            opened.create_run(a_run(job_id=f"{number}-{kind}", kind=kind, parent=parent), "{}")
        yield opened


@pytest.mark.parametrize(
    ("kinds", "where", "index"),
    [
        ((RunKind.PIPELINE,), None, "runs_by_store_kind (store=? AND kind=?)"),
        ((RunKind.PIPELINE,), Comparison(("state",), "=", "RUNNING"), "runs_by_state"),
        ((RunKind.PIPELINE,), Comparison(("state",), "=", "SUCCEEDED"), "runs_by_state"),
        ((RunKind.PIPELINE,), Comparison(("display_name",), "=", "x"), "runs_by_display_name"),
        ((RunKind.PIPELINE,), Comparison(("pipeline_name",), "=", "x"), "runs_by_store_pipeline"),
        (JOBS, None, "runs_by_store_kind (store=? AND kind=?)"),
        (JOBS, Comparison(("state",), "=", "RUNNING"), "runs_by_state"),
        (JOBS, Comparison(("display_name",), "=", "x"), "runs_by_display_name"),
        (JOBS, Comparison(("state",), "=", "SUCCEEDED"), "runs_by_store_kind (store=? AND kind=?)"),
        ((RunKind.TRIAL,), Comparison(("parent",), "=", "parent-3"), "runs_by_parent"),
    ],
)
def test_no_list_goes_through_runs_that_it_does_not_show(
    records: Records,
    monkeypatch: pytest.MonkeyPatch,
    kinds: Collection[RunKind],
    where: Filter | None,
    index: str,
) -> None:
    plans: list[str] = []
    asked = SqliteConnection.query

    def query(self: SqliteConnection, sql: str, values: Any = ()) -> Any:
        if "FROM runs r" in sql:
            plans.append(" ".join(row[3] for row in asked(self, f"EXPLAIN QUERY PLAN {sql}", values)))
        return asked(self, sql, values)

    monkeypatch.setattr(SqliteConnection, "query", query)
    records.page_runs(projects=frozenset({"default"}), location="local", kinds=kinds, where=where)
    assert plans
    for plan in plans:
        assert index in plan and "TEMP B-TREE" not in plan, plan


def test_several_kinds_are_one_list(records: Records) -> None:
    expected = [run.job_id for run in records.page_runs(kinds=())[0] if run.kind in JOBS]
    assert len(expected) == 4
    found: list[str] = []
    token = ""
    for _ in expected:
        page, token = records.page_runs(kinds=JOBS, token=token, limit=1)
        found += [run.job_id for run in page]
    assert (found, token) == (expected, "")
