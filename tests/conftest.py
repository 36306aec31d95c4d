"""Fixtures for every kind of test. What a machine lacks is skipped with its name, and fails where all must be there."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit, urlunsplit

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts its background jobs with SIGINT ignored, and so would we start the commands that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def missing_service() -> Callable[[str, str], NoReturn]:
    """`missing_service("PostgreSQL", "set CAIRN_TEST_POSTGRES")` ends the test: skipped, or failed where
    CAIRN_TEST_REQUIRE_SERVICES=1 promises that nothing is skipped."""

    def stop(service: str, remedy: str) -> NoReturn:
        if os.environ.get("CAIRN_TEST_REQUIRE_SERVICES") == "1":
            pytest.fail(f"{service} is missing and CAIRN_TEST_REQUIRE_SERVICES=1: {remedy}", pytrace=False)
        pytest.skip(f"{service}: {remedy}")

    return stop


@pytest.fixture
def postgres_url(missing_service: Callable[[str, str], NoReturn]) -> Iterator[str]:
    """The URL of an empty PostgreSQL database that is this test's own."""
    server = os.environ.get("CAIRN_TEST_POSTGRES")
    if not server:
        missing_service("PostgreSQL", "set CAIRN_TEST_POSTGRES")
    psycopg = pytest.importorskip("psycopg")
    database = f"cairn_test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database} TEMPLATE template0")
        yield urlunsplit(urlsplit(server)._replace(path=f"/{database}"))
        connection.execute(f"DROP DATABASE {database} WITH (FORCE)")


@pytest.fixture
def cairn_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation of this test's own, also for the processes it starts."""
    home = tmp_path / "home"
    monkeypatch.setenv("CAIRN_HOME", str(home))
    return home


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "postgres_url" in getattr(item, "fixturenames", ()):
            item.add_marker("postgres")
