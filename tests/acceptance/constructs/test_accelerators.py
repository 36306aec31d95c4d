"""Steps are given accelerators of their own, as many as there are; the rest wait, or are capped.

What Cairn decides holds on any machine: the count is then the configuration's. What a step really sees needs a GPU.
"""

import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.network

ASKED = ("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader")
# Processors are not to be what the steps wait for.
ROOM = {"CAIRN_MACHINE_CPU": "8"}


@pytest.fixture(autouse=True)
def _the_shell_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)


@pytest.fixture
def gpus() -> list[str]:
    """What nvidia-smi lists, as "INDEX, UUID". Where all services must be there, a GPU still need not."""
    if not Path("/dev/nvidia0").exists() or not shutil.which("nvidia-smi"):
        pytest.skip("an NVIDIA GPU: there is no /dev/nvidia0 or no nvidia-smi")
    return [line for line in subprocess.check_output(ASKED, text=True, timeout=60).splitlines() if line.strip()]


def overlap(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return left["begin"] < right["end"] and right["begin"] < left["end"]


def with_count(count: int) -> dict[str, str]:
    return {**ROOM, "CAIRN_MACHINE_ACCELERATORS": str(count)}


def test_steps_that_share_one_device_take_turns(own_cli) -> None:
    outcome = own_cli().run("three_devices", variables=with_count(1))
    assert outcome.exit == 0, outcome
    seen = outcome.outputs_of("look")
    assert [one["visible"] for one in seen] == ["0", "0", "0"]
    assert {one["order"] for one in seen} == {"PCI_BUS_ID"}
    assert not any(overlap(*pair) for pair in combinations(seen, 2)), seen


def test_steps_side_by_side_have_different_devices(own_cli) -> None:
    outcome = own_cli().run("three_devices", variables=with_count(2))
    assert outcome.exit == 0, outcome
    seen = outcome.outputs_of("look")
    together = [pair for pair in combinations(seen, 2) if overlap(*pair)]
    assert together, seen
    assert all({one["visible"] for one in pair} == {"0", "1"} for pair in together), seen


def test_runs_of_one_home_share_the_devices(own_cli) -> None:
    from concurrent.futures import ThreadPoolExecutor

    cli = own_cli()
    assert cli.run("no_device", variables=with_count(1)).exit == 0  # the environment is there from now on
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(cli.run, "three_devices", variables=with_count(1)) for _ in range(2)]
        outcomes = [one.result() for one in both]
    assert [one.exit for one in outcomes] == [0, 0], outcomes
    seen = [one for outcome in outcomes for one in outcome.outputs_of("look")]
    assert len(seen) == 6
    assert not any(overlap(*pair) for pair in combinations(seen, 2)), seen


def test_more_than_there_are_is_capped_or_refused(own_cli) -> None:
    cli = own_cli()
    outcome = cli.run("two_devices", variables=with_count(1))
    assert outcome.exit == 0, outcome
    assert "2 devices of accelerators (nvidia.com/gpu) and this machine has 1: capped" in outcome.warnings
    assert outcome.task("look")["outputs"]["Output"]["visible"] == "0"
    refused = cli.run("two_devices", "--strict", variables=with_count(1))
    assert (refused.exit, refused.state) == (2, "REJECTED"), refused


def test_indices_count_within_what_the_shell_shows(own_cli) -> None:
    shown = {**with_count(2), "CUDA_VISIBLE_DEVICES": "5,7"}
    outcome = own_cli().run("two_devices", variables=shown)
    assert outcome.exit == 0, outcome
    assert outcome.task("look")["outputs"]["Output"]["visible"] == "5,7"


def test_a_step_that_asks_nothing_is_told_nothing(own_cli) -> None:
    outcome = own_cli().run("no_device", variables=with_count(1))
    assert outcome.exit == 0, outcome
    assert outcome.task("look")["outputs"]["Output"]["visible"] == "<unset>"


@pytest.mark.gpu
def test_the_devices_that_are_there_are_counted_and_shared(own_cli, gpus: list[str]) -> None:
    from cairn.config import machine

    assert machine.accelerators() == len(gpus)
    outcome = own_cli().run("three_devices", variables=ROOM)
    assert outcome.exit == 0, outcome
    assert outcome.warnings == ""
    seen = outcome.outputs_of("look")
    assert len(seen) == 3
    for one in seen:
        assert one["usable"] == 1, one
        assert int(one["visible"]) < len(gpus)
    for left, right in combinations(seen, 2):
        assert not overlap(left, right) or left["visible"] != right["visible"], seen


@pytest.mark.gpu
def test_a_step_that_asks_nothing_sees_all_devices(own_cli, gpus: list[str]) -> None:
    outcome = own_cli().run("no_device", variables=ROOM)
    assert outcome.exit == 0, outcome
    seen = outcome.task("look")["outputs"]["Output"]
    assert (seen["usable"], seen["visible"]) == (len(gpus), "<unset>")
    assert seen["there"] == gpus
