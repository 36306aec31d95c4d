"""The process executor passes the suite that every executor must pass."""

import pytest

from cairn.engine.ports import Environment
from cairn.executors.process import ProcessExecutor
from cairn.testing.executors import ExecutorConformance


class TestProcessExecutor(ExecutorConformance):
    @pytest.fixture
    def executor_factory(self):
        return ProcessExecutor

    @pytest.fixture
    def environment(self):
        return Environment(key="host")
