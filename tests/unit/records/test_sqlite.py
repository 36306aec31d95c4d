"""What can happen to the file."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cairn.domain.runs import TaskOutputs
from cairn.engine.ports import Batch
from cairn.errors import HomeError, RecordsBusy, StorageFull
from cairn.records import open_records, owners, watermark
from cairn.records.sqlite import SqliteConnection
from cairn.testing.records import MACHINE, a_run, a_task

WRITER = """
import os, signal, sys
from cairn.engine.ports import Batch
from cairn.records import open_records, owners
from cairn.testing.records import MACHINE, a_run, a_task
records = open_records(sys.argv[1], capacity=MACHINE)
run = records.create_run(a_run(), "{}")
fence = records.claim(run.uid, owners.this_process(), lease_seconds=60)
for turn in range(40):
    records.commit(Batch(fences={run.uid: fence}, tasks=[a_task(run, f"t{turn}")]))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "cairn.db"


@pytest.fixture
def killed(database: Path) -> Path:
    """A database whose only writer was killed: what it acknowledged is in the write-ahead log."""
    ended = subprocess.run([sys.executable, "-c", WRITER, str(database)], capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert Path(f"{database}-wal").stat().st_size > 0
    return database


def fill(database: Path, runs: int = 40) -> None:
    with open_records(database, capacity=MACHINE) as records:
        for number in range(runs):
            run = records.create_run(a_run(parameters={"text": "x" * 3000}), "{}")
            fence = records.claim(run.uid, owners.this_process(), lease_seconds=60)
            records.commit(Batch(fences={run.uid: fence}, tasks=[a_task(run, f"t{number}")]))
            records.release(fence)


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def test_after_a_kill_everything_acknowledged_is_there(killed: Path) -> None:
    with open_records(killed, capacity=MACHINE) as records:
        assert len(records.tasks(records.list_runs()[0].uid)) == 40


@pytest.mark.parametrize("harm", ["truncated", "emptied", "removed", "damaged"])
def test_a_write_ahead_log_that_has_lost_something_is_refused(killed: Path, harm: str) -> None:
    log = Path(f"{killed}-wal")
    if harm == "truncated":
        os.truncate(log, log.stat().st_size // 2)
    elif harm == "emptied":
        os.truncate(log, 0)
    elif harm == "removed":
        log.unlink()
    else:
        overwrite(log, log.stat().st_size // 2, b"\xff" * 64)
    Path(f"{killed}-shm").unlink(missing_ok=True)
    for _ in range(2):  # to be refused once must not make it acceptable
        with pytest.raises(HomeError, match=r"cairn\.db-wal: \d+ acknowledged transactions are missing"):
            open_records(killed, capacity=MACHINE)
    os.unlink(f"{killed}-seq")  # the remedy that the error names
    open_records(killed, capacity=MACHINE).close()


def test_a_torn_tail_that_nobody_was_told_of_is_dropped(killed: Path) -> None:
    log = Path(f"{killed}-wal")
    log.write_bytes(log.read_bytes() + os.urandom(5000))
    Path(f"{killed}-shm").unlink(missing_ok=True)
    with open_records(killed, capacity=MACHINE) as records:
        assert len(records.tasks(records.list_runs()[0].uid)) == 40


def test_after_a_reboot_the_watermark_is_not_trusted(killed: Path) -> None:
    mark = watermark.read(str(killed))
    assert mark is not None
    content = Path(f"{killed}-seq").read_bytes()
    Path(f"{killed}-seq").write_bytes(content.replace(mark.boot_id.encode(), b"0" * 36))
    os.truncate(f"{killed}-wal", Path(f"{killed}-wal").stat().st_size // 2)
    Path(f"{killed}-shm").unlink(missing_ok=True)
    open_records(killed, capacity=MACHINE).close()


def test_every_corrupt_page_is_refused_and_the_file_named(database: Path, tmp_path: Path) -> None:
    fill(database)
    pages = database.stat().st_size // 4096
    assert pages > 40
    for page in range(0, pages, 7):
        home = tmp_path / f"page-{page}"
        shutil.copytree(database.parent, home, ignore=shutil.ignore_patterns("page-*"))
        overwrite(home / database.name, page * 4096, b"\xa5" * 4096)
        with pytest.raises(HomeError) as refused:
            open_records(home / database.name, capacity=MACHINE)
        assert refused.value.place == str(home / database.name)
        assert "restore" in refused.value.remedy or "CAIRN_HOME" in refused.value.remedy


def test_a_page_that_goes_bad_while_in_use_is_reported_where_it_is_read(database: Path) -> None:
    fill(database)
    status = database.stat()
    overwrite(database, 4096, b"\xa5" * (status.st_size - 4096))
    os.utime(database, ns=(status.st_atime_ns, status.st_mtime_ns))  # as if the disk had done it
    with pytest.raises(HomeError, match="damaged") as refused, open_records(database, capacity=MACHINE) as records:
        records.list_runs()
    assert refused.value.place == str(database)


def test_an_unchanged_file_is_not_checked_in_full(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(database, runs=2)
    asked = []
    with open_records(database, capacity=MACHINE) as records:
        records.create_run(a_run(), "{}")
    from cairn.records.sqlite import SqliteConnection

    query = SqliteConnection.query
    monkeypatch.setattr(
        SqliteConnection, "query", lambda self, sql, *rest: asked.append(sql) or query(self, sql, *rest)
    )
    open_records(database, capacity=MACHINE).close()
    assert asked
    assert not [sql for sql in asked if "check" in sql]


def test_verify_finds_what_is_wrong(database: Path) -> None:
    fill(database, runs=2)
    with open_records(database, capacity=MACHINE) as records:
        assert records.verify() == []
    with sqlite3.connect(database) as raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute("DELETE FROM specs")
    raw.close()
    with open_records(database, capacity=MACHINE) as records:
        assert records.verify()


@pytest.mark.parametrize("content", [b"", b"x", b"not a database" * 1000])
def test_what_is_no_database_is_refused_unless_empty(database: Path, content: bytes) -> None:
    database.write_bytes(content)
    if not content:
        open_records(database, capacity=MACHINE).close()
        return
    with pytest.raises(HomeError) as refused:
        open_records(database, capacity=MACHINE)
    assert refused.value.place == str(database)
    assert database.read_bytes() == content


def test_another_programs_database_is_left_alone(database: Path) -> None:
    with sqlite3.connect(database) as raw:
        raw.execute("CREATE TABLE theirs (x)")
    raw.close()
    with pytest.raises(HomeError, match="another program"):
        open_records(database, capacity=MACHINE)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HomeError) as refused:
        open_records(tmp_path / "missing" / "cairn.db", capacity=MACHINE)
    assert "missing/cairn.db" in str(refused.value)


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_writes_nothing_by_halves_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    home = tmp_path / "small"
    home.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(home)], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        with open_records(home / "cairn.db", capacity=MACHINE) as records:
            run = records.create_run(a_run(), "{}")
            fence = records.claim(run.uid, owners.this_process(), lease_seconds=60)
            ballast = home / "ballast"
            free = os.statvfs(home)
            ballast.write_bytes(b"x" * max((free.f_bavail - 20) * free.f_bsize, 0))
            written = 0

            def write_on() -> None:
                nonlocal written
                while written < 10_000:
                    task = a_task(run, f"{written}", outputs=TaskOutputs({"text": "x" * 20_000}))
                    records.commit(Batch(fences={run.uid: fence}, tasks=[task]))
                    written += 1

            with pytest.raises(StorageFull) as full:
                write_on()
            assert full.value.place == str(home / "cairn.db")
            assert len(records.tasks(run.uid)) == written
            ballast.unlink()
            records.commit(Batch(fences={run.uid: fence}, tasks=[a_task(run, "after")]))
        with open_records(home / "cairn.db", capacity=MACHINE) as records:
            assert len(records.tasks(run.uid)) == written + 1
            assert records.verify() == []
    finally:
        subprocess.run(["umount", str(home)], check=True)


def test_readers_are_not_held_up_by_a_writer(database: Path) -> None:
    fill(database, runs=1)
    with open_records(database, capacity=MACHINE) as records, open_records(database, capacity=MACHINE) as reader:
        records._connection().begin()
        started = time.monotonic()
        assert len(reader.list_runs()) == 1
        assert time.monotonic() - started < 0.2
        records._connection().rollback()


def test_patience_ends_with_an_error_that_loses_nothing(database: Path) -> None:
    fill(database, runs=1)
    locker = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    locker.execute("BEGIN IMMEDIATE")
    with open_records(database, capacity=MACHINE, busy_timeout_seconds=0.2) as records:
        run = a_run()
        with pytest.raises(RecordsBusy):
            records.create_run(run, "{}")
        threading.Timer(0.1, lambda: locker.execute("ROLLBACK")).start()
        assert records.create_run(run, "{}") == run
    locker.close()


def test_threads_of_one_process_wait_for_each_other_without_polling(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    polled: list[float] = []
    with open_records(database, capacity=MACHINE) as records, open_records(database, capacity=MACHINE) as others:
        monkeypatch.setattr(time, "sleep", polled.append)
        with ThreadPoolExecutor(8) as threads:
            made = threads.map(lambda n: (records, others)[n % 2].create_run(a_run(), "{}").uid, range(200))
            assert len(set(made)) == 200
        assert polled == []


def test_patience_with_a_thread_ends_too_and_its_turn_is_given_back(database: Path) -> None:
    fill(database, runs=1)
    with open_records(database, capacity=MACHINE, busy_timeout_seconds=0.2) as records:
        with open_records(database, capacity=MACHINE) as holder:
            holder._connection().begin()
            with pytest.raises(RecordsBusy):
                records.create_run(a_run(), "{}")
        assert records.create_run(a_run(), "{}")  # closing has ended the other's transaction


def test_a_forked_child_does_not_wait_for_threads_that_it_has_not(database: Path) -> None:
    with open_records(database, capacity=MACHINE) as records:
        connection = records._connection()
        connection.begin()
        child = os.fork()
        if child == 0:
            failed = 1
            try:
                elsewhere = SqliteConnection(str(database), busy_timeout_seconds=0.2)
                failed = 0 if elsewhere._turn.lock.acquire(timeout=0) else 2
            finally:
                os._exit(failed)
        assert os.waitpid(child, 0)[1] == 0
        connection.rollback()


def test_a_database_that_was_removed_under_its_watermark_is_not_made_anew_in_silence(database: Path) -> None:
    fill(database, runs=1)
    database.unlink()
    with pytest.raises(HomeError, match="missing"):
        open_records(database, capacity=MACHINE)
    Path(f"{database}-seq").unlink()
    open_records(database, capacity=MACHINE).close()
