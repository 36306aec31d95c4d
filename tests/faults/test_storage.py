"""What the records stand on fails: the disk is full or read-only, the database is locked, cut or damaged."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from harness import Case, Place, wait_for

from cairn.domain.states import RunState

Missing = Callable[[str, str], NoReturn]


@pytest.fixture
def small_disk(tmp_path: Path, missing_service: Missing) -> Iterator[Place]:
    """A place whose home is a file system of its own, of 12 MiB."""
    place = Place(tmp_path)
    place.home.mkdir()
    with contextlib.ExitStack() as stack:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=12m,mode=0700", "tmpfs", str(place.home)], capture_output=True
        )
        if mounted.returncode:
            missing_service("mounting a small tmpfs", "run the tests as root")
        stack.callback(subprocess.run, ["umount", "-l", str(place.home)], check=True)
        yield place


def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(small_disk: Place) -> None:
    case = Case(small_disk, "full", "filling")
    ended = case.run()  # eight steps of 3 MiB do not fit
    assert ended.status not in (0, 70, -9), ended
    assert "space" in ended.errors or "full" in ended.errors, ended
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk.home)], check=True)
    again = case.resume()
    if again.status == 1:  # the step that met the full disk had failed of it: now it is known, and tried anew
        again = case.resume()
    assert again.status == 0, again
    case.check()


def test_records_on_a_full_disk_are_not_damaged(small_disk: Place) -> None:
    case = Case(small_disk, "ballast", "wide")
    running = case.start()
    wait_for(lambda: len(case.executions()) >= 2, 20, "the steps did not start")
    ballast = small_disk.home / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    ended = running.wait(80)
    assert ended.status not in (70, -9), ended
    ballast.unlink()
    before = case.executions()
    committed = case.committed()
    assert case.state() is not RunState.SUCCEEDED or ended.status == 0
    for _ in range(3):
        if case.state() is RunState.SUCCEEDED:
            break
        case.resume()
    assert {path: case.executions()[path] for path in committed} == {path: before[path] for path in committed}
    case.check(outputs={"Output": [number * number for number in range(12)]})


def test_a_home_on_a_read_only_disk_is_refused(small_disk: Place) -> None:
    case = Case(small_disk, "written", "single", number=1)
    assert case.run().status == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk.home)], check=True)
    refused = Case(small_disk, "refused", "single", number=1).run()
    assert refused.status == 2, refused
    assert str(small_disk.home) in refused.errors


def test_a_database_locked_for_thirty_seconds_costs_nothing_but_time(place: Place) -> None:
    case = Case(place, "locked", "wide")
    running = case.start()
    wait_for(lambda: len(case.executions()) >= 2, 20, "the steps did not start")
    raw = sqlite3.connect(place.home / "cairn.db", isolation_level=None, timeout=5)
    raw.execute("BEGIN EXCLUSIVE")
    time.sleep(30)
    assert running.alive, running.wait()
    raw.execute("ROLLBACK")
    raw.close()
    ended = running.wait(60)
    assert ended.status == 0, ended
    case.check(outputs={"Output": [number * number for number in range(12)]})
    assert set(case.executions().values()) == {1}


def killed_with_a_log(place: Place) -> tuple[Case, Path]:
    """A home whose database has a write-ahead log, since its engine was killed."""
    case = Case(place, "damaged", "rich", source=place.root / "source.csv")
    (place.root / "source.csv").write_text("a\n")
    assert case.run(FAULT="after:run.succeeded").killed
    log = place.home / "cairn.db-wal"
    assert log.stat().st_size > 0
    return case, log


def test_a_truncated_log_is_refused_by_name(place: Place) -> None:
    case, log = killed_with_a_log(place)
    os.truncate(log, log.stat().st_size // 2)
    for words in (("runs", "list"), place.run_words("single", trace=case.trace, number=1)):
        refused = place.call(*words)
        assert refused.status == 2, refused
        assert "cairn.db-wal" in refused.errors


def test_a_removed_log_is_refused_by_name(place: Place) -> None:
    case, log = killed_with_a_log(place)
    log.unlink()
    refused = place.call(*place.run_words("single", trace=case.trace, number=1))
    assert refused.status == 2, refused
    assert "cairn.db" in refused.errors


def test_a_corrupt_page_is_refused_by_name(place: Place) -> None:
    case = Case(place, "corrupt", "wide")
    assert case.run().status == 0
    database = place.home / "cairn.db"
    size = database.stat().st_size
    assert size > 40960
    with database.open("r+b") as file:
        for offset in range(8192, size - 4096, 4096):
            file.seek(offset)
            file.write(os.urandom(64))
    for words in (("runs", "list"), place.run_words("single", trace=case.trace, number=1)):
        refused = place.call(*words)
        assert refused.status == 2, refused
        assert "cairn.db" in refused.errors


def test_a_file_that_is_no_database_is_refused_by_name(place: Place) -> None:
    place.home.mkdir()
    (place.home / "cairn.db").write_bytes(b"not a database" * 1000)
    refused = place.call("runs", "list")
    assert refused.status == 2, refused
    assert "cairn.db" in refused.errors
