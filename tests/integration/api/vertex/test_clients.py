"""The packages that people have, unmodified, over REST."""

import json
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "client_jobs.py"


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("requirement", ["google-cloud-aiplatform>=2,<3", "google-cloud-aiplatform<2"])
def test_a_script_of_pipeline_jobs_works_as_it_is(client_python, shared_server, pipeline_of, tmp_path, requirement):
    python = client_python(requirement, "kfp")
    spec = pipeline_of("clients", first="true", second="unused")
    spec["root"]["inputDefinitions"] = {"parameters": {"n": {"parameterType": "NUMBER_INTEGER"}}}
    spec["components"]["comp-second"]["inputDefinitions"] = {"parameters": {"n": {"parameterType": "NUMBER_INTEGER"}}}
    spec["root"]["dag"]["tasks"]["second"]["inputs"] = {"parameters": {"n": {"componentInputParameter": "n"}}}
    second = spec["deploymentSpec"]["executors"]["exec-second"]["container"]
    second["command"] = ["sh", "-c", '[ "$0" = 3 ] || sleep "$0"', "{{$.inputs.parameters['n']}}"]
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    done = subprocess.run(
        [str(python), str(SCRIPT), shared_server.url, str(tmp_path / "spec.json")],
        env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.pop("version")[0] == ("2" if ">=2" in requirement else "1")
    assert told == {
        "state": "PIPELINE_STATE_SUCCEEDED",
        "tasks": {"first": "SUCCEEDED", "second": "SUCCEEDED"},
        "policy": "PIPELINE_FAILURE_POLICY_FAIL_FAST",
        "account": "a@b",
        "listed": True,
        "simple": True,
        "parameters": {"n": 3.0},
        "clone": "PIPELINE_STATE_CANCELLED",
        "deleted": True,
    }
