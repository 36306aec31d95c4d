"""Lightweight components as the engine hands them to an executor."""

import json
import os
import textwrap
from pathlib import Path

import pytest

from cairn.engine.ports import Environment
from cairn.executors.process import ProcessExecutor
from cairn.testing.executors import Attempts

PRELUDE = "\nimport kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n\n"


class Components(Attempts):
    """`call(source)` makes an attempt of the function `step` in `source`, as kfp compiles it."""

    def call(self, source, inputs=None, **fields):
        directory = self.root / f"outputs-{len(list(self.root.iterdir()))}"
        executor_input = {
            "inputs": {"parameterValues": inputs or {}},
            "outputs": {
                "parameters": {"Output": {"outputFile": str(directory / "Output")}},
                "outputFile": str(directory / "executor_output.json"),
            },
        }
        arguments = ("--executor_input", json.dumps(executor_input), "--function_to_execute", "step")
        return self.command(
            call_source=PRELUDE + textwrap.dedent(source),
            call_arguments=arguments,
            create_directories=(str(directory),),
            **fields,
        )


def output(request):
    """What the step returned."""
    text = Path(request.create_directories[0], "executor_output.json").read_text()
    return json.loads(text)["parameterValues"]["Output"]


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
