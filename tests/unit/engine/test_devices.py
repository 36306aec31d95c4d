"""Steps see the accelerators they were given, and no others."""

import pytest

from cairn.domain.resources import Resources
from cairn.engine.devices import shared_out, with_devices
from cairn.engine.ports import Environment, ProcessSpec, StartAttempt


def request(kind: str, shell: dict[str, str] | None = None, own: dict[str, str] | None = None) -> StartAttempt:
    process = ProcessSpec((), Environment("k", variables=shell or {}), own or {})
    return StartAttempt("u", "/d", (process,), Resources(accelerators=2, accelerator_type=kind))


@pytest.mark.parametrize(
    ("kind", "variable"),
    [
        ("nvidia.com/gpu", "CUDA_VISIBLE_DEVICES"),
        ("NVIDIA_TESLA_T4", "CUDA_VISIBLE_DEVICES"),
        ("", "CUDA_VISIBLE_DEVICES"),
        ("amd.com/gpu", "HIP_VISIBLE_DEVICES"),
        ("TPU_V3", "TPU_VISIBLE_CHIPS"),
    ],
)
def test_each_family_has_its_variable(kind: str, variable: str) -> None:
    [process] = with_devices(request(kind), (1, 3)).processes
    assert process.variables[variable] == "1,3"


def test_indices_count_within_what_the_shell_sees() -> None:
    [process] = with_devices(request("nvidia.com/gpu", {"CUDA_VISIBLE_DEVICES": "4, GPU-7f"}), (1,)).processes
    assert process.variables["CUDA_VISIBLE_DEVICES"] == "GPU-7f"


def test_what_the_step_sets_itself_stands() -> None:
    [process] = with_devices(request("nvidia.com/gpu", own={"CUDA_VISIBLE_DEVICES": ""}), (0,)).processes
    assert process.variables["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("indices", "wanted", "shares"),
    [
        ((0, 1, 2, 3), (2, 1, 1), [[0, 1], [2], [3]]),
        ((4, 6), (1, 1), [[4], [6]]),
        ((0,), (1, 1), [[0], [0]]),
        ((0, 1), (1, 1, 1), [[0], [1], [0]]),
        ((0, 1), (4, 4), [[0, 1], [0, 1]]),
        ((0, 1), (0, 2), [[], [0, 1]]),
    ],
)
def test_devices_are_dealt_out_and_shared_where_they_are_too_few(indices, wanted, shares):
    assert shared_out(indices, wanted) == shares


def test_each_replica_is_told_its_own_devices():
    replicas = [
        ProcessSpec(
            argv=("train",), environment=Environment("host"), replica=name, resources=Resources(accelerators=count)
        )
        for name, count in (("workerpool0-0", 2), ("workerpool1-0", 1), ("workerpool2-0", 0))
    ]
    request = StartAttempt("u", "/d", tuple(replicas), Resources(accelerators=3))
    given = with_devices(request, (0, 1, 2)).processes
    assert [process.variables["CUDA_VISIBLE_DEVICES"] for process in given] == ["0,1", "2", ""]
