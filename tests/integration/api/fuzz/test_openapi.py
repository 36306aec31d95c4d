"""Cairn's own API held to its OpenAPI description by schemathesis: no 5xx, and every answer as described."""

import os
import sys
from pathlib import Path
from subprocess import run

import pytest

SECONDS = float(os.environ.get("CAIRN_FUZZ_SECONDS", "10"))
SEED = os.environ.get("CAIRN_FUZZ_SEED", "1")
# What a value means beyond its shape (a pipeline's text, a page's token) no schema can say.
BEYOND_SCHEMA = "positive_data_acceptance"


@pytest.mark.timeout(SECONDS * 10 + 300)
def test_answers_are_as_described(server, pipeline_of, tmp_path):
    pytest.importorskip("schemathesis")
    run_id = server.post("/cairn/v1/runs", {"pipeline": pipeline_of("described", a="true")}).json["run_id"]
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(f'[parameters]\n"path.run" = "{run_id}"\n"query.task" = "a"\n"query.with" = "{run_id}"\n')
    program = Path(sys.executable).parent / "schemathesis"
    done = run(
        [
            program, "--config-file", configuration, "run", f"{server.url}/cairn/v1/openapi.json",
            "--phases", "examples,coverage,fuzzing", "--max-examples", str(max(5, int(SECONDS))), "--seed", SEED,
            "--exclude-checks", BEYOND_SCHEMA, "--exclude-operation-id", "deleteRun", "--request-timeout", "20",
            "--no-color",
        ],
        capture_output=True, text=True, cwd=tmp_path, timeout=SECONDS * 10 + 120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert server.get("/readyz").status == 200
