"""Databases of every version that was released open; newer ones are refused."""

import gzip
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from cairn.errors import HomeError, RecordsError
from cairn.metadata.service import MetadataService
from cairn.records import migrating, open_records
from cairn.records.migrations import migrations, render
from cairn.records.sqlite import SqliteConnection
from cairn.testing.records import MACHINE, a_run

HERE = Path(__file__).parent
NEXT = "ALTER TABLE settings ADD COLUMN since BIGINT NOT NULL DEFAULT 7"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "cairn.db"


def tables(path: Path) -> str:
    with sqlite3.connect(path) as raw:
        found = raw.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
        text = ";\n".join(re.sub(r"\s+", " ", sql) for (sql,) in found) + ";\n"
    raw.close()
    return text


def test_the_schema_is_the_sum_of_its_migrations(database: Path) -> None:
    """`schema.sql` shows a change to the schema as a difference; write it anew when one is meant."""
    open_records(database, capacity=MACHINE).close()
    assert tables(database) == (HERE / "schema.sql").read_text()
    assert len(migrations()) == migrating.VERSION


def test_both_databases_get_every_word_of_the_dialect() -> None:
    for step in migrations():
        assert "@" not in render(step, "sqlite") + render(step, "postgres")


@pytest.mark.parametrize("version", range(1, migrating.VERSION + 1))
def test_a_database_of_every_version_opens(database: Path, version: int) -> None:
    with gzip.open(HERE / f"version-{version}.db.gz") as old, database.open("wb") as new:
        shutil.copyfileobj(old, new)
    with open_records(database, capacity=MACHINE) as records:
        [run] = records.list_runs()
        assert (run.job_id, run.parameters) == ("demo-1", {"rate": 0.5, "rows": 3})
        assert [task.path for task in records.tasks(run.uid)] == ["load", "train"]
        assert [one.number for one in records.attempts(run.uid)] == [1, 1]
        graph = MetadataService(records).run_lineage(run.uid)
        assert {one.display_name for one in graph.executions} == {"load", "train"}
        assert [one.uri for one in graph.artifacts] == ["/store/data", "/store/model"]
        assert [entry.sequence for entry in records.journal(0)] == list(range(1, records.head() + 1))
        assert records.cached("default/local/demo", ["key-train"])
        assert records.verify() == []
        records.create_run(a_run(), "{}")


def test_a_newer_database_is_refused(database: Path) -> None:
    open_records(database, capacity=MACHINE).close()
    with sqlite3.connect(database) as raw:
        raw.execute(f"PRAGMA user_version = {migrating.VERSION + 1}")
    raw.close()
    with pytest.raises(HomeError, match="newer Cairn") as refused:
        open_records(database, capacity=MACHINE)
    assert refused.value.place == str(database)


def test_a_migration_keeps_a_copy_and_is_done_once(database: Path) -> None:
    open_records(database, capacity=MACHINE).close()
    kept = []
    connection = SqliteConnection(str(database))

    def keep(version: int) -> None:
        kept.append(version)
        connection.copy_to(str(database) + ".old")

    for _ in range(2):
        migrating.migrate(connection, before=keep, steps=[*migrations(), NEXT])
    assert kept == [migrating.VERSION]
    assert "since" in connection.columns("settings")
    assert connection.schema_version() == migrating.VERSION + 1
    connection.close()
    old = SqliteConnection(str(database) + ".old")
    assert "since" not in old.columns("settings")
    assert old.schema_version() == migrating.VERSION
    old.close()


def test_a_migration_that_fails_leaves_the_database_as_it_was(database: Path) -> None:
    open_records(database, capacity=MACHINE).close()
    connection = SqliteConnection(str(database))
    with pytest.raises(RecordsError):
        migrating.migrate(connection, steps=[*migrations(), f"{NEXT}; INSERT INTO nowhere VALUES (1)"])
    assert "since" not in connection.columns("settings")
    connection.close()
    open_records(database, capacity=MACHINE).close()
