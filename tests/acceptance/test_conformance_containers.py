"""The conformance corpus in real containers: stand-ins take the place of the images that its pipelines name."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "conformance"


@pytest.fixture
def corpus() -> Path:
    """The folder that holds conformance.py; CAIRN_CONFORMANCE names another one."""
    folder = Path(os.environ.get("CAIRN_CONFORMANCE") or BESIDE)
    if not (folder / "conformance.py").is_file():
        pytest.skip(f"the conformance corpus: there is none at {folder}; CAIRN_CONFORMANCE names another folder")
    return folder


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(900)
def test_every_pipeline_of_the_corpus_that_can_run_here_conforms_in_containers(
    corpus: Path, container_engine: Any, tmp_path: Path
) -> None:
    import stand_ins

    stand_ins.tag(container_engine.socket, corpus.rglob("*.yaml"))
    command = [sys.executable, str(corpus / "conformance.py"), "--cli", f"{sys.executable} -m cairn"]
    command += [
        "--classes",
        "ABD",
        "--extra",
        "--executor docker",
        "--jobs",
        "3",
        "--timeout",
        "300",
        "--home",
        str(tmp_path / "home"),
    ]
    around = {**os.environ, "DOCKER_HOST": f"unix://{container_engine.socket}"}
    process = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, errors="replace", env=around
    )
    lines = process.stdout.splitlines()
    deviating = "\n".join(line for line in lines if not line.startswith("conform "))
    score = re.fullmatch(r"(\d+) of (\d+) conform", lines[-1] if lines else "")
    assert score, f"no score: {process.stdout[-2000:]}{process.stderr[-2000:]}"
    assert score[1] == score[2], deviating
    assert int(score[2]) > 0
    assert container_engine.api.list(f"cairn.home={tmp_path}/home") == []
