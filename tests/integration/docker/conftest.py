"""Containers as the engine hands them to an executor."""

import pytest

from cairn.config.settings import DockerSettings
from cairn.executors.docker import DockerExecutor
from cairn.testing.executors import Attempts


@pytest.fixture
def make_executor(container_engine):
    """`make_executor(read_only_root=True)`: an executor with these settings, closed with the test, or by
    `make_executor.close(executor)` before."""
    made = []

    def make(*, socket="", home="", gone_seconds=60.0, sweep_seconds=60.0, **settings):
        made.append(
            DockerExecutor(
                socket or container_engine.socket,
                DockerSettings(**settings),
                home=home,
                grace_seconds=2.0,
                gone_seconds=gone_seconds,
                sweep_seconds=sweep_seconds,
            )
        )
        return made[-1]

    def close(executor):
        made.remove(executor)
        executor.close()

    make.close = close
    yield make
    for executor in made:
        executor.close()


@pytest.fixture
def executor(make_executor):
    return make_executor()


@pytest.fixture
def attempts(tmp_path, container_engine):
    return Attempts(tmp_path, container_engine.environment)
