"""An existing project of Hydra programs, run as it is: from its compiled file, from Python, through the Vertex client;
and the same project converted to `cairn.hydra`. All give the same artifacts, byte for byte."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cairn

pytestmark = pytest.mark.network

PROJECT = Path(__file__).parents[1] / "hydra_project" / "project"
IMAGES = {"*/data-preparation:*": "components/data_preparation", "*/training:*": "components/training"}


class Project:
    """A copy of the project, and the home that it is run on: everything is computed, nothing taken from the cache."""

    def __init__(self, folder: Path, installation: Any, python: str) -> None:
        self.folder, self.installation, self.python = folder, installation, python

    def compile(self, *options: str) -> Path:
        target = self.folder / f"compiled{''.join(options)}.yaml"
        if not target.exists():
            command = [self.python, "compile_pipeline.py", *options, str(target)]
            subprocess.run(command, cwd=self.folder, check=True, timeout=120)
        return target

    def images(self) -> list[str]:
        return [word for pattern, target in IMAGES.items() for word in ("--image", f"{pattern}=project:{target}")]

    def run(self, *arguments: object) -> dict[str, Any]:
        """`cairn run` in the project's folder: what its --json says."""
        done = self.installation.cairn(
            "run", *map(str, arguments), "--no-cache", "--json", within=("env", "-C", str(self.folder))
        )
        assert done.returncode == 0, done.stdout + done.stderr
        record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return record

    def made(self, run_id: str) -> dict[str, bytes]:
        """The bytes of every file that the run's steps put out, by task, artifact and file; without what the names of
        `cairn.hydra` have before them."""
        home = self.installation.home
        (root,) = [*home.glob(f"store/*/{run_id}"), *home.glob(f"buckets/gs/*/*/*/{run_id}")]
        found: dict[str, bytes] = {}
        for file in [path for path in root.rglob("*") if path.is_file()]:
            task, _, *rest = file.relative_to(root).parts
            if rest != ["executor_output.json"]:
                found["/".join((task, *rest)).replace("output_", "")] = file.read_bytes()
        return found


@pytest.fixture(scope="module")
def project(tmp_path_factory, client_of, installation_at) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("hydra") / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    home = folder.parent / "home"
    home.mkdir()
    lines = [f'"{pattern}" = "project:../project/{target}"' for pattern, target in IMAGES.items()]
    (home / "config.toml").write_text("\n".join(["[images]", *lines]))  # relative ones start from the home
    installation = installation_at(home, CAIRN_MACHINE_ACCELERATORS="0")
    yield Project(folder, installation, client_of("components"))
    installation.close()


@pytest.fixture(scope="module")
def expected(project: Project) -> dict[str, bytes]:
    """Of the compiled file, where the training step has limits of its own."""
    (project.installation.home / "config.toml").rename(project.folder / "config.toml")
    try:
        record = project.run(project.compile(), *project.images())
    finally:
        (project.folder / "config.toml").rename(project.installation.home / "config.toml")
    assert "accelerators (NVIDIA_TESLA_T4)" in "".join(record["warnings"])
    made = project.made(record["run_id"])
    model = json.loads(made["training/model_dir/model.json"])
    assert model["config"]["note"] == "made of a, b = c"
    assert len(model["weights"]) == 4  # the cubic model of its own group
    assert len(made["data-preparation/data_dir/train.csv"].splitlines()) == 59  # two rows were dropped
    return made


def test_the_training_step_as_a_custom_job(project: Project, expected: dict[str, bytes]) -> None:
    record = project.run(project.compile("--custom-job"))
    assert project.made(record["run_id"]) == expected
    outputs = next(task["outputs"] for task in record["tasks"] if task["path"] == "training")
    assert json.loads(outputs["gcp_resources"])["resources"][0]["resourceType"] == "CustomJob"


def test_from_python(project: Project, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(Path(project.python).parents[1]))  # as where the user has activated it
    run = cairn.run(project.folder / "compile_pipeline.py", home=project.installation.home, cache=False)
    assert run.state == "SUCCEEDED"
    assert project.made(run.uid) == expected


def test_through_the_unmodified_vertex_client(project: Project, expected: dict[str, bytes]) -> None:
    compiled = project.compile("--custom-job")
    done = project.installation.cairn("exec", "--", project.python, str(project.folder / "submit.py"), str(compiled))
    assert "state PIPELINE_STATE_SUCCEEDED" in done.stdout, done.stdout + done.stderr
    newest = json.loads(project.installation.cairn("runs", "list", "--json").stdout)[0]
    assert newest["project"] == "acme-ml"
    assert project.made(newest["run_id"]) == expected


def test_converted_to_cairn_hydra(project: Project, expected: dict[str, bytes]) -> None:
    record = project.run("converted.py")
    assert project.made(record["run_id"]) == expected
