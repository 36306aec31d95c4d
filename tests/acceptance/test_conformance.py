"""The conformance corpus: pipelines of others, compiled elsewhere, scored by their traces and outputs."""

import os
import re
import subprocess
import sys
from pathlib import Path

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
@pytest.mark.timeout(1200)
def test_every_pipeline_of_the_corpus_that_can_run_here_conforms(corpus: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(corpus / "conformance.py"), "--cli", f"{sys.executable} -m cairn"]
    command += ["--classes", "ABDP", "--jobs", "2", "--home", str(tmp_path / "home")]
    process = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, errors="replace")
    lines = process.stdout.splitlines()
    deviating = "\n".join(line for line in lines if not line.startswith("conform "))
    score = re.fullmatch(r"(\d+) of (\d+) conform", lines[-1] if lines else "")
    assert score, f"no score: {process.stdout[-2000:]}{process.stderr[-2000:]}"
    assert score[1] == score[2], deviating
    assert int(score[2]) > 0
