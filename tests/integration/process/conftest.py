"""Lightweight components as the engine hands them to an executor."""

import os
import sys
from pathlib import Path

import pytest

from cairn.engine.ports import Environment
from cairn.executors.process import ProcessExecutor
from cairn.testing.executors import Attempts

sys.path.insert(0, str(Path(__file__).parent))

from lightweight_steps import Components


@pytest.fixture
def executor():
    executor = ProcessExecutor(grace_seconds=2.0)
    yield executor
    executor.close()


@pytest.fixture
def kfp_environment(kfp_python):
    path = str(Path(kfp_python).parent) + os.pathsep + os.environ["PATH"]
    return Environment(key="kfp", python=kfp_python, variables={"PATH": path})


@pytest.fixture
def components(tmp_path, kfp_environment):
    return Components(tmp_path, kfp_environment)


@pytest.fixture
def commands(tmp_path):
    return Attempts(tmp_path, Environment(key="host"))
