"""Fixtures for every kind of test. What a machine lacks is skipped with its name, and fails where all must be there."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts its background jobs with SIGINT ignored, and so would we start the commands that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


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


@pytest.fixture(scope="session")
def container_engine(
    missing_service: Callable[[str, str], NoReturn], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A `containers.ContainerEngine` with an image in it: that of CAIRN_TEST_DOCKER (the address of its socket), else
    a dockerd of this session's own."""
    from containers import Dockerd, described

    if address := os.environ.get("CAIRN_TEST_DOCKER"):
        yield described(address)
        return
    if lacking := Dockerd.lacking():
        missing_service("a container engine", lacking)
    dockerd = Dockerd(tmp_path_factory.mktemp("d"))
    dockerd.start()
    try:
        yield described(dockerd.socket)
    finally:
        dockerd.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "postgres_url" in names:
            item.add_marker("postgres")
        if "container_engine" in names:
            item.add_marker("docker")


# Tests of servers, clients and containers: they wait most of their time.
_SERVED = (
    "tests/acceptance/clients/",
    "tests/acceptance/test_conformance_containers.py",
    "tests/integration/api/",
    "tests/integration/cli/test_images.py",
    "tests/integration/client/",
    "tests/integration/docker/",
    "tests/integration/environments/test_image",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """CAIRN_TEST_TWO_LANES=1: what serves or runs in containers in one worker, all else in another, in their order."""
    if os.environ.get("CAIRN_TEST_TWO_LANES") != "1":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class TwoLanes(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "served" if nodeid.startswith(_SERVED) else "main"

    return TwoLanes(config, log)


@pytest.fixture(scope="session")
def client_python(missing_service: Callable[[str, str], NoReturn]) -> Callable[..., Path]:
    """`client_python("google-cloud-aiplatform>=2,<3", "kfp")` is the interpreter of an environment with the newest of
    these packages, and nothing of Cairn. It is built once and kept in CAIRN_TEST_CLIENTS (default: the user's cache);
    remove that directory to have newer ones. The test is skipped where no index is reached."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cairn-tests" / "clients"
    root = Path(os.environ.get("CAIRN_TEST_CLIENTS") or default)

    def build(*requirements: str) -> Path:
        name = hashlib.sha256("\n".join((sys.version, *sorted(requirements))).encode()).hexdigest()[:16]
        ready, building = root / name, root / f"{name}-{os.getpid()}"
        if not ready.exists():
            from uv import find_uv_bin

            root.mkdir(parents=True, exist_ok=True)
            python = str(building / "bin" / "python")
            for command in (
                ["venv", "--quiet", "--clear", "--relocatable", "--python", sys.executable, str(building)],
                ["pip", "install", "--quiet", "--python", python, *requirements],
            ):
                done = subprocess.run([find_uv_bin(), *command], capture_output=True, text=True, timeout=900)
                if done.returncode != 0:
                    shutil.rmtree(building, ignore_errors=True)
                    missing_service(" ".join(requirements), (done.stderr.strip() or "not installable")[-300:])
            try:
                building.rename(ready)
            except OSError:  # another worker was quicker
                shutil.rmtree(building, ignore_errors=True)
        return ready / "bin" / "python"

    return build
