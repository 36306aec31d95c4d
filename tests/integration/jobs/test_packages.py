"""Jobs that run Python packages: in an environment of their own, or beside what their image is mapped to."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from training_packages import OBJECT, package, sdist, wheel
from worker_pools import HOST

from cairn.domain.runs import ImageMapping, Run, RunSettings
from cairn.domain.states import RunState
from cairn.errors import InputRefused, NoContainerEngine
from cairn.wiring import Cairn

RunJob = Callable[..., Run]
Said = Callable[[Run], dict[str, str]]


@pytest.fixture
def bucket(cairn: Cairn) -> Path:
    path = Path(cairn.home.root, "buckets/gs/stage")
    path.mkdir(parents=True)
    return path


def from_local_script(image: str = "example.com/trainer:1") -> dict[str, Any]:
    """As `CustomJob.from_local_script` of google-cloud-aiplatform writes it for an image that is not Google's."""
    script = f"pip install --upgrade pip && pip3 install -q --user /gcs/stage/{OBJECT} && python3 -m trainer.task --a b"
    return {"replicaCount": 1, "containerSpec": {"imageUri": image, "command": ["sh", "-c", script]}}


@pytest.mark.network
def test_a_package_runs_in_an_environment_with_what_it_requires(run: RunJob, said: Said, bucket: Path) -> None:
    sdist(bucket / OBJECT, requires="['six==1.16.0']")
    ended = run([package(), package(replicas=2)], settings=RunSettings())
    assert ended.state is RunState.SUCCEEDED, ended.error
    assert said(ended) == {
        "workerpool0-0": "one ['--a', 'b c'] 1.16.0 0\n",
        "workerpool1-0": "one ['--a', 'b c'] 1.16.0 1\n",
        "workerpool1-1": "one ['--a', 'b c'] 1.16.0 2\n",
    }
    assert any("scikit-learn 1.0, which that image holds, is missing" in warning for warning in ended.warnings)


@pytest.mark.network
def test_the_command_of_a_local_script_needs_no_container(run: RunJob, said: Said, bucket: Path) -> None:
    sdist(bucket / OBJECT)
    ended = run([from_local_script()], settings=RunSettings())
    assert ended.state is RunState.SUCCEEDED, ended.error
    assert said(ended) == {"workerpool0-0": "one ['--a', 'b'] False 0\n"}


@pytest.mark.network
def test_where_the_image_is_mapped_the_package_is_put_beside_it(
    run: RunJob, said: Said, bucket: Path, tmp_path: Path
) -> None:
    wheel(bucket / "2026-trainer-0.1-py3-none-any.whl")
    uri = "gs://stage/2026-trainer-0.1-py3-none-any.whl"
    ended = run([package(uri)], settings=HOST)
    assert ended.state is RunState.SUCCEEDED, ended.error
    assert said(ended)["workerpool0-0"].startswith("wheel ['--a', 'b c']")
    project = tmp_path / "project"
    project.mkdir()
    (project / "requirements.txt").write_text("six==1.16.0\n")
    ended = run([package(uri)], settings=RunSettings(images=(ImageMapping("*", f"project:{project}"),)))
    assert ended.state is RunState.SUCCEEDED, ended.error
    assert said(ended) == {"workerpool0-0": "wheel ['--a', 'b c'] 1.16.0 0\n"}


def test_what_is_uploaded_again_under_the_same_name_is_what_runs(run: RunJob, said: Said, bucket: Path) -> None:
    name = "trainer-0.1-py3-none-any.whl"
    wheel(bucket / name)
    assert said(run([package(f"gs://stage/{name}")], settings=HOST))["workerpool0-0"].startswith("wheel")
    with zipfile.ZipFile(bucket / name) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    members["trainer/__init__.py"] = b"VERSION = 'changed'\n"
    with zipfile.ZipFile(bucket / name, "w") as archive:
        for each, content in members.items():
            archive.writestr(each, content)
    assert said(run([package(f"gs://stage/{name}")], settings=HOST))["workerpool0-0"].startswith("changed")


def test_a_package_that_is_not_there_or_is_none_is_refused_before_the_job_is_recorded(
    run: RunJob, cairn: Cairn, bucket: Path
) -> None:
    with pytest.raises(InputRefused, match="there is no such package") as refused:
        run([package()], settings=RunSettings())
    assert refused.value.place.endswith(OBJECT)
    (bucket / OBJECT).write_bytes(b"no archive")
    with pytest.raises(InputRefused, match="is no Python package"):
        run([package()], settings=RunSettings())
    with pytest.raises(InputRefused, match="leads out of its bucket"):
        run([package("gs://stage/../../../../etc/passwd")], settings=RunSettings())
    assert cairn.jobs.page() == ([], "")


def test_a_command_of_the_users_own_still_wants_its_image(run: RunJob, bucket: Path) -> None:
    sdist(bucket / OBJECT)
    pool = from_local_script()
    pool["containerSpec"]["command"][2] += " | tee log"
    with pytest.raises(NoContainerEngine):
        run([pool], settings=RunSettings())


@pytest.mark.parametrize("name", ["../theirs/x.tar.gz", "link.tar.gz"])
def test_no_package_leads_out_of_its_bucket(run: RunJob, bucket: Path, name: str) -> None:
    theirs = bucket.parent / "theirs"
    theirs.mkdir()
    sdist(theirs / "x.tar.gz")
    (bucket / "link.tar.gz").symlink_to(theirs / "x.tar.gz")
    pool: dict[str, Any] = {"containerSpec": {"imageUri": "i"}}
    pool["containerSpec"]["command"] = ["sh", "-c", f"pip3 install --user /gcs/stage/{name} && python3 -m trainer.task"]
    with pytest.raises(InputRefused, match="leads out of its bucket"):
        run([pool], settings=RunSettings())
