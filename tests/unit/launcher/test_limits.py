import os

from cairn.launcher import limits


def test_each_supervisor_begins_at_another_cpu(monkeypatch):
    chosen = []
    for pid in range(4):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        chosen.append(limits._choose({0, 1, 2, 3}, 2))
    assert chosen == [{0, 1}, {1, 2}, {2, 3}, {3, 0}]


def test_more_cpus_than_there_are_is_all_of_them():
    assert limits._choose({3, 5}, 8) == {3, 5}


def test_resident_memory_counts_this_process():
    assert resident_of_self() > 1 << 20


def resident_of_self():
    return limits.resident([os.getpid()])


def test_version_two_cgroups_are_used_where_they_are_granted(tmp_path, monkeypatch):
    """A directory stands in for the unified hierarchy: what is written to it is what the kernel would get."""
    own = tmp_path / "slice"
    own.mkdir()
    (own / "cgroup.procs").touch()
    monkeypatch.setattr(limits, "CGROUPS", str(tmp_path))
    monkeypatch.setattr(limits, "_own_groups", lambda: {"": "/slice"})
    made = os.makedirs

    def make(path, exist_ok=False):
        made(path, exist_ok=exist_ok)
        for name in ("cgroup.procs", "memory.max", "memory.swap.max", "cpu.max"):
            open(os.path.join(path, name), "a").close()

    monkeypatch.setattr(os, "makedirs", make)
    found = limits.Limits("uid", 1 << 20, 1500)
    group = own / "cairn-uid"
    assert found.enforced == ["memory:cgroup", "cpu:cgroup", "cpu:threads"]
    assert (group / "memory.max").read_text() == str(1 << 20)
    assert (group / "cpu.max").read_text() == "150000 100000"
    (group / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert found.killed()
