"""Steps run in interpreters other than Cairn's."""

import os
from pathlib import Path

import pytest
from lightweight_steps import FRESH, OBSERVED, Components, observation, output

from cairn.engine.ports import Environment
from cairn.testing.executors import run


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13"])
@pytest.mark.parametrize("name", ["process", "exception", "at exit", "spawn"])
def test_a_forked_step_cannot_be_told_from_a_fresh_process(executor, tmp_path, make_kfp_python, version, name):
    python = make_kfp_python(version)
    path = str(Path(python).parent) + os.pathsep + os.environ["PATH"]
    components = Components(tmp_path, Environment(key=version, python=python, variables={"PATH": path}))
    observed = []
    for variables in ({}, FRESH):
        request = components.call(OBSERVED[name], variables=variables)
        observed.append(observation(request, run(executor, request)))
    assert observed[0] == observed[1]


def test_the_launcher_itself_runs_on_an_old_interpreter(executor, tmp_path):
    """3.8 is older than any kfp that installs today: a stand-in for its runtime will do."""
    candidates = [*Path.home().glob(".pyenv/versions/3.8*/bin/python"), Path("/usr/bin/python3.8")]
    python = next((str(one) for one in candidates if one.exists()), None)
    if python is None:
        pytest.skip("Python 3.8 is not on this machine")
    packages = tmp_path / "packages" / "kfp" / "dsl"
    packages.mkdir(parents=True)
    (packages / "__init__.py").touch()
    (packages.parent / "__init__.py").touch()
    (packages / "executor_main.py").write_text(RUNTIME)
    environment = Environment(key="3.8", python=python, variables={"PYTHONPATH": str(packages.parent.parent)})
    components = Components(tmp_path, environment)
    request = components.call("def step() -> str:\n    import sys\n    return sys.version\n")
    assert run(executor, request).code == 0
    assert output(request).startswith("3.8")


RUNTIME = """
import argparse, importlib.util, json, os
parser = argparse.ArgumentParser()
for name in ("component_module_path", "executor_input", "function_to_execute"):
    parser.add_argument("--" + name)
arguments = parser.parse_args()
source = open(arguments.component_module_path).read().split("from typing import *")[1]
names = {}
exec(source, names)
target = json.loads(arguments.executor_input)["outputs"]["outputFile"]
with open(target, "w") as file:
    json.dump({"parameterValues": {"Output": names[arguments.function_to_execute]()}}, file)
"""
