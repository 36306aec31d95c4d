"""Plain runs of a Hydra program leave its snapshot as it was."""

import subprocess
import sys
from pathlib import Path

import pytest

from cairn.environments import snapshots
from cairn.environments.hydra_outputs import without_outputs

PROGRAM = """
import hydra

@hydra.main(version_base=None, config_path="conf", config_name="multirun")
def train(config):
    open("model.txt", "w").write("trained")

train()
"""


@pytest.fixture(params=["in git", "outside"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    directory = tmp_path / "program"
    (directory / "conf").mkdir(parents=True)
    (directory / "train.py").write_text(PROGRAM)
    (directory / "conf" / "multirun.yaml").write_text("hydra:\n  mode: RUN\nlr: 0.1\n")  # a configuration, not a record
    if request.param == "in git":
        subprocess.run(["git", "init", "-q", directory], check=True)
    return directory


def run(program: Path, *overrides: str) -> None:
    subprocess.run([sys.executable, "train.py", *overrides], cwd=program, check=True, capture_output=True)


def test_what_hydra_writes_is_in_no_snapshot(program: Path) -> None:
    before = snapshots.files_of(program)
    assert before == ["conf/multirun.yaml", "train.py"]
    run(program, "hydra.job.chdir=true")
    run(program, "-m", "lr=1,2", "hydra.job.chdir=true", "hydra.sweep.dir=tried/${now:%H-%M-%S}")
    assert len(list(program.glob("tried/*/multirun.yaml"))) == 1
    assert snapshots.files_of(program) == before


def test_a_run_that_writes_among_the_sources_hides_none(program: Path) -> None:
    before = snapshots.files_of(program)
    run(program, "hydra.run.dir=.")
    assert snapshots.files_of(program) == sorted([*before, "model.txt", "train.log"])
    assert (program / ".hydra" / "config.yaml").exists()
    assert snapshots.files_of(program.parent) == [
        f"program/{name}" for name in sorted([*before, "model.txt", "train.log"])
    ]


def test_what_is_under_version_control_stays(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for name in ("best/.hydra/config.yaml", "best/model.pt", "tried/.hydra/config.yaml", "tried/model.pt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    subprocess.run(["git", "-C", tmp_path, "add", "best"], check=True)
    assert snapshots.files_of(tmp_path) == ["best/.hydra/config.yaml", "best/model.pt"]


def test_sources_that_a_run_copied_to_its_output_are_its_output(tmp_path: Path) -> None:
    names = ["outputs/1/.hydra/config.yaml", "outputs/1/code/train.py", "train.py", "outputs/notes.py"]
    assert without_outputs(tmp_path, names) == ["train.py", "outputs/notes.py"]
