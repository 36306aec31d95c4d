"""The same jobs in containers: each replica in one of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from training_packages import OBJECT, package, sdist
from worker_pools import container

from cairn.domain.runs import Run, RunSettings
from cairn.domain.states import RunState
from cairn.errors import UnsupportedFeature
from cairn.wiring import Cairn

DOCKER = RunSettings(executor="docker")
MEET = """
import json, os, socket, time
place, port = json.loads(os.environ["TF_CONFIG"])["cluster"]["chief"][0].split(":")
if os.environ["RANK"] == "0":
    listening = socket.create_server((place, int(port)))
    told = listening.accept()[0].recv(100).decode()
    with open("/gcs/models/a/model/told", "w") as file:
        file.write(told)
else:
    for _ in range(100):
        try:
            socket.create_connection((place, int(port))).sendall(b"hello from " + os.environ["RANK"].encode())
            break
        except OSError:
            time.sleep(0.1)
"""


@pytest.fixture(autouse=True)
def engine(container_engine: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{container_engine.socket}")
    return container_engine


def in_image(image: str, script: str, replicas: int = 1) -> dict[str, Any]:
    pool = container("", replicas)
    pool["containerSpec"] = {"imageUri": image, "command": ["python3", "-c", script]}
    return pool


def test_replicas_meet_and_see_their_buckets(run: Callable[..., Run], engine: Any, cairn_home: Path) -> None:
    ended = run(
        [in_image(engine.image, MEET), in_image(engine.image, MEET)], settings=DOCKER,
        baseOutputDirectory={"outputUriPrefix": "gs://models/a"},
    )  # fmt: skip
    assert ended.state is RunState.SUCCEEDED, ended.error
    assert (cairn_home / "buckets/gs/models/a/model/told").read_text() == "hello from 1"


def test_one_failing_container_ends_the_others(run: Callable[..., Run], engine: Any, cairn: Cairn) -> None:
    script = "import os, sys, time; os.environ['RANK'] == '1' and sys.exit('no layer'); time.sleep(60)"
    ended = run([in_image(engine.image, script), in_image(engine.image, script, 2)], settings=DOCKER)
    assert ended.state is RunState.FAILED
    assert ended.error is not None
    assert ended.error.message == "workerpool1-0: exit status 1: no layer"
    (attempt,) = cairn.records.attempts(ended.uid)
    assert engine.api.list(f"cairn.attempt={attempt.uid}") == []


@pytest.mark.network
def test_a_package_is_added_to_its_image_once(
    run: Callable[..., Run], said: Callable[[Run], dict[str, str]], engine: Any, cairn_home: Path
) -> None:
    bucket = cairn_home / "buckets/gs/stage"
    bucket.mkdir(parents=True)
    sdist(bucket / OBJECT, requires="['six==1.16.0']")
    for _ in range(2):
        ended = run([package(image=engine.image)], settings=DOCKER)
        assert ended.state is RunState.SUCCEEDED, ended.error
        assert said(ended) == {"workerpool0-0": "one ['--a', 'b c'] 1.16.0 0\n"}
    built = [path for path in (cairn_home / "environments/specs").iterdir() if "trainer" in path.read_text()]
    assert len(built) == 1
    assert engine.image in json.loads(built[0].read_text())["description"]


def test_replicas_that_could_not_meet_are_refused(
    run: Callable[..., Run], engine: Any, cairn_home: Path, cairn: Cairn
) -> None:
    cairn.environments._docker = type(cairn.environments._docker)(network="none")
    with pytest.raises(UnsupportedFeature, match="its 2 replicas meet"):
        run([in_image(engine.image, ""), in_image(engine.image, "")], settings=DOCKER)
