import os

import pytest

from cairn.config.settings import DockerSettings
from cairn.domain.resources import Resources
from cairn.engine.devices import with_devices
from cairn.engine.ports import ContainerImage, Environment, ProcessSpec, StartAttempt
from cairn.executors.docker.bodies import Maker, mounts

IMAGE = ContainerImage("trainer:1", "sha256:abc")


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "attempt").mkdir()
    return str(tmp_path / "attempt")


NOTHING = Resources()


def _request(directory, *, resources=NOTHING, image=IMAGE, attempt=None, **fields):
    process = ProcessSpec(argv=("train",), environment=Environment(image.id, image=image), **fields)
    return StartAttempt(uid="u", directory=directory, processes=(process,), resources=resources, **(attempt or {}))


def _host(request, **settings):
    return Maker(DockerSettings(**settings), "1000:1000", "/home").container(request, 0)["body"]["HostConfig"]


def _mounted(request):
    return [(one["Source"], one["Target"], one["ReadOnly"]) for one in mounts(request, request.processes[0])]


def test_what_a_mount_above_shows_already_is_not_mounted_again(directory, tmp_path):
    store, out = str(tmp_path), f"{directory}/outputs"
    request = _request(directory, reads=(store, f"{store}/in"), attempt={"create_directories": (out,)})
    os.mkdir(f"{store}/in")
    assert _mounted(request) == [(store, store, True), (directory, directory, False)]


def test_a_read_inside_of_what_is_written_to_stays_read_only(directory):
    os.mkdir(f"{directory}/given")
    request = _request(directory, reads=(f"{directory}/given",))
    assert _mounted(request) == [(directory, directory, False), (f"{directory}/given", f"{directory}/given", True)]


def test_what_is_both_read_and_created_is_written_to(directory, tmp_path):
    out = str(tmp_path / "out")
    request = _request(directory, reads=(out,), attempt={"create_directories": (out,)})
    assert (out, out, False) in _mounted(request)


def test_links_environments_and_single_files_are_shown(directory, tmp_path):
    (tmp_path / "bucket").mkdir()
    (tmp_path / "built").mkdir()
    image = ContainerImage("trainer:1", "sha256:abc", mounts=(("/venv", str(tmp_path / "built")),))
    request = _request(
        directory,
        image=image,
        links=(("/gcs/b", str(tmp_path / "bucket")), ("/gone", str(tmp_path / "not there"))),
        attempt={"files": ((str(tmp_path / "elsewhere" / "key.json"), b"{}"),)},
    )
    assert _mounted(request) == [
        (str(tmp_path / "bucket"), "/gcs/b", False),
        (directory, directory, False),
        (str(tmp_path / "elsewhere" / "key.json"), str(tmp_path / "elsewhere" / "key.json"), True),
        (str(tmp_path / "built"), "/venv", True),
    ]


def test_only_limits_are_ceilings(directory):
    assert "Memory" not in _host(_request(directory, resources=Resources(memory_bytes=1 << 30)))
    host = _host(_request(directory, resources=Resources(memory_limit_bytes=1, cpu_limit_millis=1)))
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (6 << 20, 6 << 20, 1_000_000)


def test_shared_memory_is_the_steps_else_the_settings(directory):
    assert _host(_request(directory), shm="1Mi")["ShmSize"] == 1 << 20
    assert _host(_request(directory, shm_bytes=5 << 20), shm="1Mi")["ShmSize"] == 5 << 20


def test_a_container_is_given_the_devices_that_its_process_was(directory, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, 5, GPU-6")
    wanted = _request(directory, resources=Resources(accelerators=2, accelerator_type="NVIDIA_TESLA_T4"))
    request = with_devices(wanted, (0, 2))
    body = Maker(DockerSettings(), "", "").container(request, 0)["body"]
    assert body["HostConfig"]["DeviceRequests"] == [{"DeviceIDs": ["4", "GPU-6"], "Capabilities": [["gpu"]]}]
    assert "CUDA_VISIBLE_DEVICES=0,1" in body["Env"]


def test_a_process_that_asks_for_none_is_given_no_device(directory):
    request = with_devices(_request(directory, resources=Resources(accelerators=0)), ())
    assert "DeviceRequests" not in _host(request)
    assert "Devices" not in _host(request)


def test_amds_devices_are_shown_as_files(directory):
    request = with_devices(
        _request(directory, resources=Resources(accelerators=1, accelerator_type="amd.com/gpu")), (1,)
    )
    assert [one["PathOnHost"] for one in _host(request)["Devices"]] == ["/dev/kfd", "/dev/dri"]


def test_labels_name_home_attempt_run_and_task(directory):
    request = _request(directory, variables={"CAIRN_RUN": "r", "CAIRN_TASK": "train"})
    labels = Maker(DockerSettings(), "", directory).container(request, 0)["body"]["Labels"]
    assert labels == {
        "cairn.home": directory, "cairn.home.inode": str(os.stat(directory).st_ino),
        "cairn.attempt": "u", "cairn.directory": directory, "cairn.replica": "main",
        "cairn.run": "r", "cairn.task": "train",
    }  # fmt: skip
