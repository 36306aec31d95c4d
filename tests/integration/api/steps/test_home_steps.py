"""`cairn run` has no server: the background host answers the steps behind a step that has launched something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LAUNCHER = "google_cloud_pipeline_components.container.v1.custom_job.launcher"
PAYLOAD = {
    "display_name": "greeting",
    "job_spec": {
        "worker_pool_specs": [
            {"replica_count": 1, "container_spec": {"image_uri": "acme/greeter", "command": ["echo", "hello"]}}
        ]
    },
}
ASK = """
import json, os, sys, urllib.request
[resource] = json.loads(sys.argv[1])["resources"]
path = resource["resourceUri"].partition("googleapis.com")[2]
with urllib.request.urlopen(os.environ["CAIRN_URL"] + path) as answer:
    print(json.load(answer)["state"])
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    cairn(tmp_path / "home", "stop")


def cairn(home: Path, *words: str) -> str:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")}
    done = subprocess.run(
        [sys.executable, "-m", "cairn", *words], env={**variables, "CAIRN_HOME": str(home)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def step(name: str, command: list[str], *, task: dict[str, Any], **component: Any) -> dict[str, Any]:
    return {
        "component": {"executorLabel": name, **component},
        "executor": {"container": {"image": "acme/step", "command": command}},
        "task": {"componentRef": {"name": name}, "taskInfo": {"name": name}, **task},
    }


def written(path: Path, **steps: dict[str, Any]) -> str:
    spec = {
        "components": {name: made["component"] for name, made in steps.items()},
        "deploymentSpec": {"executors": {name: made["executor"] for name, made in steps.items()}},
        "pipelineInfo": {"name": "asking"},
        "root": {"dag": {"tasks": {name: made["task"] for name, made in steps.items()}}},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
    }
    path.write_text(json.dumps(spec))
    return str(path)


def test_a_step_behind_a_launched_job_asks_for_it(home: Path, tmp_path: Path) -> None:
    output = {"outputDefinitions": {"parameters": {"gcp_resources": {"parameterType": "STRING"}}}}
    words = ["--type", "CustomJob", "--payload", json.dumps(PAYLOAD), "--project", "demo", "--location", "us-central1"]
    words += ["--gcp_resources", "{{$.outputs.parameters['gcp_resources'].output_file}}"]
    produced = {"taskOutputParameter": {"producerTask": "launch", "outputParameterKey": "gcp_resources"}}
    pipeline = written(
        tmp_path / "asking.json",
        launch=step("launch", ["python3", "-u", "-m", LAUNCHER, *words], task={}, **output),
        ask=step(
            "ask",
            [sys.executable, "-c", ASK, "{{$.inputs.parameters['made']}}"],
            task={"inputs": {"parameters": {"made": produced}}, "dependentTasks": ["launch"]},
            inputDefinitions={"parameters": {"made": {"parameterType": "STRING"}}},
        ),
    )
    ran = json.loads(cairn(home, "run", pipeline, "--image", "acme/*=host", "--json").splitlines()[-1])
    assert "JOB_STATE_SUCCEEDED" in cairn(home, "runs", "logs", ran["run_id"], "ask")


def test_where_nothing_is_launched_no_host_is_started(home: Path, tmp_path: Path) -> None:
    pipeline = written(tmp_path / "plain.json", plain=step("plain", ["sh", "-c", "echo ${CAIRN_URL:-none}"], task={}))
    ran = json.loads(cairn(home, "run", pipeline, "--image", "acme/*=host", "--json").splitlines()[-1])
    assert cairn(home, "runs", "logs", ran["run_id"], "plain") == "none\n"
    assert not (home / "background").exists()
