"""kfp.Client and the kfp command, unmodified, against a real server; steps really run."""

import ast
import json
import os
import subprocess
from pathlib import Path

import pytest

COMMAND = "from kfp.cli.__main__ import main; main()"  # an environment that was moved has no scripts
SCENARIOS = Path(__file__).parent / "scenarios.py"


def scenarios():
    """The functions that take a client and nothing else."""
    functions = [one for one in ast.parse(SCENARIOS.read_text()).body if isinstance(one, ast.FunctionDef)]
    return [one.name for one in functions if [argument.arg for argument in one.args.args] == ["client"]]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("scenario", scenarios())
def test_client(client, scenario):
    client(scenario)


@pytest.mark.timeout(180)
def test_the_kfp_command(client_python, shared_server, tmp_path):
    source = tmp_path / "greeting.py"
    source.write_text(
        "from kfp import dsl\n\n"
        "@dsl.component\ndef greet(name: str, path: str):\n"
        "    with open(path, 'w') as file:\n        file.write(f'hello {name}')\n\n"
        "@dsl.pipeline(name='greeting')\ndef greeting(name: str, path: str):\n"
        "    greet(name=name, path=path).set_caching_options(False)\n"
    )

    def kfp(*arguments):
        command = [
            client_python,
            "-c",
            COMMAND,
            "--endpoint",
            shared_server.url,
            "--output",
            "json",
            *arguments,
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path), "PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        start = min((done.stdout.find(one) for one in "[{" if one in done.stdout), default=-1)
        return json.loads(done.stdout[start:]) if start >= 0 else None

    kfp("dsl", "compile", "--py", source.name, "--output", "greeting.yaml")
    assert kfp("pipeline", "create", "--pipeline-name", "by command", "greeting.yaml")["display_name"] == "by command"
    assert "by command" in [one["display_name"] for one in kfp("pipeline", "list")]
    said = tmp_path / "said"
    run = kfp(
        "run", "create", "--experiment-name", "by command", "--package-file", "greeting.yaml", "--timeout", "60",
        "name=you", f"path={said}",
    )  # fmt: skip
    assert run["state"] == "SUCCEEDED"
    assert said.read_text() == "hello you"
    experiments = {one["display_name"]: one["experiment_id"] for one in kfp("experiment", "list")}
    listed = kfp("run", "list", "--experiment-id", experiments["by command"])
    assert [one["run_id"] for one in listed] == [run["run_id"]]
