import os

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
