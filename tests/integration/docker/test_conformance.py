"""The docker executor passes the suite that every executor must pass."""

import pytest

from cairn.config.settings import DockerSettings
from cairn.executors.docker import DockerExecutor
from cairn.testing.executors import ExecutorConformance, marked


class TestDockerExecutor(ExecutorConformance):
    walls = True

    @pytest.fixture
    def executor_factory(self, container_engine):
        return lambda: DockerExecutor(container_engine.socket, DockerSettings())

    @pytest.fixture
    def environment(self, container_engine):
        return container_engine.environment

    @pytest.fixture
    def leftovers(self, container_engine):
        return lambda request: [*marked(request), *container_engine.containers_of(request)]
