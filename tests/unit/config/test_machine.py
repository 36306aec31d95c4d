import os

import pytest

from cairn.config import machine


def test_what_the_machine_offers_is_what_this_process_may_use():
    assert 0 < machine.cpu_millis() <= len(os.sched_getaffinity(0)) * 1000
    assert 0 < machine.memory_bytes() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_cgroups_quota_and_limit_cut_it(tmp_path, monkeypatch):
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    (tmp_path / "outer" / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "outer" / "inner" / "cpu.max").write_text("max 100000\n")
    (tmp_path / "outer" / "inner" / "memory.max").write_text("1048576\n")
    monkeypatch.setattr(machine, "_cgroups", lambda: [tmp_path / "outer" / "inner", tmp_path / "outer"])
    assert machine.cpu_millis() == 500
    assert machine.memory_bytes() == 1048576


def test_hidden_devices_do_not_count(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.accelerators() == 0


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    """`gpus(2)`: the driver lists two; `gpus(2, driver=False)`: only their device files are there."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine, "_GPUS", tmp_path / "gpus")
    monkeypatch.setattr(machine, "_DEVICES", tmp_path / "dev")

    def make(count, driver=True):
        (tmp_path / "dev").mkdir()
        for name in ("nvidiactl", "nvidia-uvm", "nvidia-modeset", *(f"nvidia{index}" for index in range(count))):
            (tmp_path / "dev" / name).touch()
        for index in range(count if driver else 0):
            (tmp_path / "gpus" / f"0000:0{index}:00.0").mkdir(parents=True)

    return make


@pytest.mark.parametrize("driver", [True, False])
def test_devices_are_counted_and_their_drivers_other_files_are_not(gpus, driver):
    assert machine.accelerators() == 0
    gpus(3, driver)
    assert machine.accelerators() == 3


@pytest.mark.parametrize(
    ("visible", "count"),
    [("1", 1), ("0, 2", 2), ("GPU-8f,GPU-1c,", 2), ("", 0), ("-1", 0), ("0,-1,1", 1), ("0,1,2,3", 3)],
)
def test_what_the_shell_hides_is_not_counted(gpus, monkeypatch, visible, count):
    gpus(3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.accelerators() == count
